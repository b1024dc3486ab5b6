"""Keys of the cache and of the rate limits are built in one place: no tenant's can be made by accident elsewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from tests.house.sources import Source, docstrings, dotted, expect_none, package, snippet

HOME = "alphapulse/domain/cache_keys.py"
#: How a key begins, wherever it may stand in a text.
PREFIX = re.compile(r"(tenant|shared):($|\{|#|\*)")
#: Types that are made of plain text without a check: only their home may.
MADE = frozenset({"CacheKey", "Namespace"})


def built_elsewhere(sources: Iterable[Source]) -> list[str]:
    found: list[str] = []
    for source in sources:
        if source.path == HOME:
            continue
        prose = docstrings(source.tree)
        for node in ast.walk(source.tree):
            match node:
                case ast.Constant(value=str() as text) if node not in prose and PREFIX.match(text):
                    found.append(source.at(node))
                case ast.Call(func=called) if dotted(called).rpartition(".")[2] in MADE:
                    found.append(source.at(node))
                case ast.Call(func=called, args=[ast.Name(id=name), *_]) if (
                    dotted(called).rpartition(".")[2] == "cast" and name in MADE
                ):
                    found.append(source.at(node))
                case _:
                    pass
    return sorted(found)


def test_no_key_is_built_outside_its_home() -> None:
    expect_none(built_elsewhere(package()))


def test_the_home_builds_them() -> None:
    assert built_elsewhere([Source("elsewhere.py", next(one.text for one in package() if one.path == HOME))])


def test_a_key_that_is_built_elsewhere_is_found_however_it_is_written() -> None:
    text = (
        'a = f"tenant:{tenant_id}:x"\n'
        'b = "shared:" + name\n'
        'c = CacheKey("anything")\n'
        'd = cast(CacheKey, "anything")\n'
        'e = "tenant: a firm"\n'
        'f = {"shared": 1}\n'
    )
    assert built_elsewhere([snippet(text)]) == [f"alphapulse/domain/snippet.py:{line}" for line in (1, 2, 3, 4)]
