"""Things are named for what they are, and no name is defined twice."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable

from tests.house.sources import Source, expect_none, package, snippet

#: Words that name a pattern and not the thing.
EMPTY = frozenset({"manager", "helper", "helpers", "util", "utils", "handler", "processor", "base", "common", "misc"})
WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")


def words(name: str) -> set[str]:
    return {word.lower() for word in WORD.findall(name)}


def classes(source: Source) -> list[ast.ClassDef]:
    return [node for node in source.tree.body if isinstance(node, ast.ClassDef)]


def empty_names(sources: Iterable[Source]) -> list[str]:
    found: list[str] = []
    for source in sources:
        found += [f"{source.path} (the file)"] if words(source.module.rpartition(".")[2]) & EMPTY else []
        found += [f"{source.at(node)} {node.name}" for node in classes(source) if words(node.name) & EMPTY]
    return found


def defined_twice(sources: Iterable[Source]) -> list[str]:
    homes: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        for node in classes(source):
            if not node.name.startswith("_"):
                homes[node.name].append(source.module)
    return [f"{name}: {', '.join(where)}" for name, where in sorted(homes.items()) if len(where) > 1]


def test_no_module_or_class_is_named_after_a_pattern() -> None:
    expect_none(empty_names(package()))


def test_no_domain_type_or_port_is_defined_a_second_time() -> None:
    contract = {
        node.name
        for source in package()
        if source.path.startswith(("alphapulse/domain/", "alphapulse/ports/", "alphapulse/errors"))
        for node in classes(source)
    }
    expect_none([line for line in defined_twice(package()) if line.partition(":")[0] in contract])


def test_an_empty_name_and_a_second_definition_are_found() -> None:
    one = snippet("class RiskManager: ...\nclass Position: ...\n", "alphapulse/domain/portfolio.py")
    two = snippet("class Position: ...\n", "alphapulse/trading/base.py")
    assert empty_names([one, two]) == [
        "alphapulse/domain/portfolio.py:1 RiskManager",
        "alphapulse/trading/base.py (the file)",
    ]
    assert defined_twice([one, two]) == ["Position: alphapulse.domain.portfolio, alphapulse.trading.base"]
