"""Only the outermost loop of a job or of a request may catch everything."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from tests.house.sources import Source, dotted, expect_none, package, snippet

BROAD = frozenset({"Exception", "BaseException", "builtins.Exception", "builtins.BaseException"})

#: File -> why it may catch everything, and how many times it does.
ALLOWED: dict[str, tuple[int, str]] = {
    "alphapulse/adapters/queue/procrastinate.py": (
        1,
        "the loop around a job: it is noted as failed, the worker goes on",
    ),
    "alphapulse/cli/dispatch.py": (1, "the loop around a command: what is not ours to explain becomes exit code 70"),
    "alphapulse/daemon/jobs/cycle.py": (1, "the loop around one fund's cycle: the other funds of the batch go on"),
    "alphapulse/daemon/jobs/replay.py": (1, "the loop around one replay: it is marked failed with the reason"),
    "alphapulse/daemon/problems.py": (1, "the loop around a request: what is not ours to explain becomes a 500"),
}


def broad_catches(source: Source) -> list[str]:
    found: list[str] = []
    for node in ast.walk(source.tree):
        match node:
            case ast.ExceptHandler(body=[*_, ast.Raise(exc=None)]):
                pass  # cleans up and lets it pass
            case ast.ExceptHandler(type=None):
                found.append(source.at(node))
            case ast.ExceptHandler(type=ast.expr() as kind) if catches_all(kind):
                found.append(source.at(node))
            case ast.Call(func=called, args=kinds) if dotted(called).endswith("suppress") and any(
                map(catches_all, kinds)
            ):
                found.append(source.at(node))
            case _:
                pass
    return found


def catches_all(kind: ast.expr) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(dotted(one) in BROAD for one in kinds)


def unlisted(sources: Iterable[Source]) -> list[str]:
    found: list[str] = []
    for source in sources:
        catches = broad_catches(source)
        allowed, _reason = ALLOWED.get(source.path, (0, ""))
        if len(catches) > allowed:
            found += catches
    return found


def test_everything_is_caught_only_where_the_list_says_so() -> None:
    expect_none(unlisted(package()))


def test_the_list_names_no_file_that_catches_less() -> None:
    caught = {source.path: len(broad_catches(source)) for source in package()}
    assert {path: caught.get(path, 0) for path in ALLOWED} == {path: count for path, (count, _) in ALLOWED.items()}


def test_a_broad_except_is_found_however_it_is_written() -> None:
    text = (
        "try:\n    f()\nexcept:\n    g()\n"
        "try:\n    f()\nexcept (ValueError, Exception):\n    g()\n"
        "with suppress(Exception):\n    f()\n"
        "try:\n    f()\nexcept BaseException:\n    g()\n    raise\n"
    )
    assert sorted(unlisted([snippet(text)])) == [
        "alphapulse/domain/snippet.py:3",
        "alphapulse/domain/snippet.py:7",
        "alphapulse/domain/snippet.py:9",
    ]
