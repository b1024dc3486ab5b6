"""Money is Decimal: nothing that is named like money is annotated with float."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from tests.house.sources import Source, expect_none, package, snippet

MONEY = frozenset({"price", "quantity", "fee", "fees", "amount", "equity", "cash", "notional", "capital", "balance"})

#: Where a float may carry such a name, each for its reason.
ALLOWED: dict[str, str] = {}


def is_money(name: str) -> bool:
    """``limit_price`` and ``price`` are; ``price_ratio`` is a ratio and ``prices_at`` is a time."""
    return name.lower().rpartition("_")[2] in MONEY


def names_float(annotation: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "float" for node in ast.walk(annotation))


def annotated(tree: ast.Module) -> Iterator[tuple[str, ast.expr, ast.stmt | ast.arg]]:
    """Every annotated name: fields, variables and parameters."""
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                yield name, annotation, node
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                yield name, annotation, node
            case _:
                pass


def float_money(sources: Iterable[Source]) -> list[str]:
    return [
        f"{source.at(node)} {name}"
        for source in sources
        if source.path not in ALLOWED
        for name, annotation, node in annotated(source.tree)
        if is_money(name) and names_float(annotation)
    ]


def test_no_money_field_or_parameter_is_a_float() -> None:
    expect_none(float_money(package()))


def test_a_float_price_is_found_in_a_field_and_in_a_parameter() -> None:
    text = "class A:\n    limit_price: float | None\n    price_ratio: float\ndef f(fee: dict[str, float]): ...\n"
    assert float_money([snippet(text)]) == [
        "alphapulse/domain/snippet.py:2 limit_price",
        "alphapulse/domain/snippet.py:4 fee",
    ]
