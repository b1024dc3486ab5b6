"""A file that can be read in one go, a function that fits on a screen."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from tests.house.sources import Source, everything, expect_none, functions, package, snippet

FILE_LINES = 400
FUNCTION_LINES = 60
MEDIAN_LINES = 150


def long_files(sources: Iterable[Source]) -> list[str]:
    return [f"{source.path}: {source.lines} lines" for source in sources if source.lines > FILE_LINES]


def long_functions(sources: Iterable[Source]) -> list[str]:
    return [
        f"{source.at(node)} {node.name}: {size} lines"
        for source in sources
        for node in functions(source.tree)
        if (size := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]


def test_no_file_has_more_than_400_lines() -> None:
    expect_none(long_files(everything()))


def test_no_function_has_more_than_60_lines() -> None:
    expect_none(long_functions(everything()))


def test_half_of_the_files_have_fewer_than_150_lines() -> None:
    assert median(source.lines for source in package()) < MEDIAN_LINES


def test_a_long_file_and_a_long_function_are_found() -> None:
    body = "    x = 1\n" * FUNCTION_LINES
    assert long_functions([snippet(f"def f():\n{body}")]) == ["alphapulse/domain/snippet.py:1 f: 61 lines"]
    assert long_files([snippet("\n" * 401)]) == ["alphapulse/domain/snippet.py: 401 lines"]
