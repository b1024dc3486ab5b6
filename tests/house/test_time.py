"""Time comes from a Clock: only clock.py reads the wall clock."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from tests.house.sources import Source, dotted, expect_none, package, snippet

#: Calls that read the wall clock, by the end of their dotted name.
READS = (
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.time",
    "time.time_ns",
    "time.localtime",
    "time.gmtime",
    "time.ctime",
    "time.strftime",
)
CLOCK = "alphapulse/clock.py"


def clock_reads(sources: Iterable[Source]) -> list[str]:
    found: list[str] = []
    for source in sources:
        if source.path == CLOCK:
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                found += [
                    f"{source.at(node)} from time import {a.name}" for a in node.names if f"time.{a.name}" in READS
                ]
            elif isinstance(node, ast.Attribute) and reads(dotted(node)):
                found.append(f"{source.at(node)} {dotted(node)}")
    return found


def reads(name: str) -> bool:
    return any(name == call or name.endswith(f".{call}") for call in READS)


def test_nothing_but_the_clock_reads_the_wall_clock() -> None:
    expect_none(clock_reads(package()))


def test_a_wall_clock_read_is_found_however_it_is_written() -> None:
    text = "import time\nfrom time import time_ns\nat = datetime.datetime.now(UTC)\nlength = time.perf_counter()\n"
    assert clock_reads([snippet(text)]) == [
        "alphapulse/domain/snippet.py:2 from time import time_ns",
        "alphapulse/domain/snippet.py:3 datetime.datetime.now",
    ]
