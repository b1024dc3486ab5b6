"""A figure and its limit, and how to time two things fairly on a machine that others use too."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

Figure = dict[str, Any]


def at_most(figure: str, value: float, bar: float, unit: str, **detail: object) -> Figure:
    """A figure that holds when ``value`` is not above ``bar``. detail: what it was made of."""
    return _figure(figure, value, bar, unit, value <= bar, detail)


def at_least(figure: str, value: float, bar: float, unit: str, **detail: object) -> Figure:
    """A figure that holds when ``value`` is not below ``bar``. detail: what it was made of."""
    return _figure(figure, value, bar, unit, value >= bar, detail)


def _figure(figure: str, value: float, bar: float, unit: str, holds: bool, detail: dict[str, object]) -> Figure:
    return {"figure": figure, "value": round(value, 4), "bar": bar, "unit": unit, "holds": holds, "detail": detail}


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def interleaved(rounds: int, *calls: Callable[[], object]) -> list[float]:
    """The median seconds of each call, run in turn ``rounds`` times after one unmeasured round.

    In turn, because what slows the machine down then slows all of them down.
    """
    for call in calls:
        call()
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for times, call in zip(taken, calls, strict=True):
            times.append(seconds(call))
    return [median(times) for times in taken]
