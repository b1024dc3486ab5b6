"""Every number that the code counts stands in the table of metrics, with the same labels; and no other does."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from alphapulse.adapters.telemetry.metrics import METRICS
from tests.house.sources import Source, dotted, expect_none, package, snippet

#: Method of the port -> kind of metric, and its parameters that are no labels.
KINDS = {"count": "counter", "gauge": "gauge", "observe": "histogram"}
NO_LABELS = frozenset({"by", "value", "seconds"})


@dataclass(frozen=True)
class Use:
    where: str
    name: str
    kind: str
    labels: frozenset[str]


def uses(sources: Iterable[Source]) -> Iterator[Use]:
    """Every ``telemetry.count("name", label=...)`` and its like with a literal name."""
    for source in sources:
        for node in ast.walk(source.tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=owner, attr=method),
                    args=[ast.Constant(value=str() as name), *_],
                    keywords=keywords,
                ) if method in KINDS and dotted(owner).endswith("telemetry"):
                    labels = frozenset(f"{one.arg}" for one in keywords) - NO_LABELS
                    yield Use(source.at(node), name, KINDS[method], labels)
                case _:
                    pass


def unknown(found: Iterable[Use]) -> list[str]:
    table = {one.name: (one.kind, frozenset(one.labels)) for one in METRICS.values()}
    return [
        f"{use.where} {use.kind} {use.name} {sorted(use.labels)}"
        for use in found
        if table.get(use.name) != (use.kind, use.labels)
    ]


def test_every_counted_number_is_in_the_table() -> None:
    expect_none(unknown(uses(package())))


def test_no_metric_is_listed_that_nothing_counts() -> None:
    assert set(METRICS) - {use.name for use in uses(package())} == set()


def test_a_misspelled_metric_and_a_missing_label_are_found() -> None:
    text = 'self._telemetry.count("job_total", name=n)\ntelemetry.observe("job_seconds", 0.1)\n"text".count("x")\n'
    assert unknown(uses([snippet(text)])) == [
        "alphapulse/domain/snippet.py:1 counter job_total ['name']",
        "alphapulse/domain/snippet.py:2 histogram job_seconds []",
    ]
