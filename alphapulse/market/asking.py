"""What to ask a live source for, and when to leave it in peace."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from alphapulse.domain.market import EPOCH, Series
from alphapulse.quant.window import Window, to_ms

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=1)
#: How far past the wanted bar one fetch may run, so that a replay does not ask for every bar by itself.
BARS_AHEAD = 5000


@dataclass(slots=True)
class Pause:
    """After each failure in a row a source is left alone for twice as long, up to a minute. problem: the last
    failure.
    """

    problem: str = ""
    _failures: int = 0
    _until: float = 0.0

    @property
    def active(self) -> bool:
        return time.monotonic() < self._until

    def failed(self, problem: str) -> None:
        delay = min(FIRST_PAUSE * 2.0**self._failures, LONGEST_PAUSE)
        self.problem, self._failures = problem, min(self._failures + 1, 16)
        self._until = time.monotonic() + delay.total_seconds()

    def succeeded(self) -> None:
        self.problem, self._failures, self._until = "", 0, 0.0


@dataclass(slots=True)
class Asked:
    """Which stretches of one series the source was asked for and has nothing more to say about (ms, both ends
    included).
    """

    stretches: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    #: The newest bar is not there yet: not asked again before this moment of the monotonic clock.
    _late_until: float = 0.0

    @property
    def late(self) -> bool:
        return time.monotonic() < self._late_until

    def came_late(self) -> None:
        self._late_until = time.monotonic() + FIRST_PAUSE.total_seconds()

    def without(self, opens: NDArray[np.int64]) -> NDArray[np.int64]:
        """``opens`` that no stretch covers."""
        for low, high in self.stretches:
            opens = opens[(opens < low) | (opens > high)]
        return opens

    def settle(self, low: int, high: int) -> None:
        """Everything between is known now; stretches that touch are joined."""
        apart = [pair for pair in self.stretches if pair[1] < low or pair[0] > high]
        touching = [pair for pair in self.stretches if not (pair[1] < low or pair[0] > high)]
        self.stretches = [*apart, (min([low, *(p[0] for p in touching)]), max([high, *(p[1] for p in touching)]))]


def missing(stored: Window, first_open: int, last_open: int) -> NDArray[np.int64]:
    """Opens (ms) of the bars from ``first_open`` to ``last_open`` that ``stored`` lacks."""
    low = int(np.searchsorted(stored.open_ms, first_open, side="left"))
    high = int(np.searchsorted(stored.open_ms, last_open, side="right"))
    length = stored.timeframe.milliseconds
    if high - low == (last_open - first_open) // length + 1:
        return np.empty(0, dtype=np.int64)
    wanted = np.arange(first_open, last_open + 1, length, dtype=np.int64)
    return np.setdiff1d(wanted, stored.open_ms[low:high], assume_unique=True)


def bounds(series: Series, opens: NDArray[np.int64]) -> tuple[datetime, datetime]:
    """Open of the first and close of the last of ``opens`` (ms, ascending, not empty)."""
    first, last = (EPOCH + timedelta(milliseconds=int(opens[i])) for i in (0, -1))
    return first, last + series.timeframe.length


def is_newer(opens: NDArray[np.int64], stored: Window) -> bool:
    """Whether all of ``opens`` come after what is stored."""
    return len(stored) == 0 or int(opens[0]) > int(stored.open_ms[-1])


def reach(series: Series, close_at: datetime, now: datetime) -> datetime:
    """Up to which close one fetch goes that must reach ``close_at``: on towards the present, within bounds."""
    ahead = min(series.timeframe.floor(now), close_at + BARS_AHEAD * series.timeframe.length)
    return max(close_at, ahead)


def only_new(stored: Window, fetched: Window) -> Window:
    """``fetched`` without the bars that are stored: what is stored stands, also where a venue revised it."""
    fresh = ~np.isin(fetched.open_ms, stored.open_ms)
    return Window(
        fetched.timeframe,
        fetched.open_ms[fresh],
        fetched.open[fresh],
        fetched.high[fresh],
        fetched.low[fresh],
        fetched.close[fresh],
        fetched.volume[fresh],
    )


def settle(asked: Asked, wanted: NDArray[np.int64], stored: Window, fetched: Window) -> None:
    """Note what an answer to ``wanted`` (opens) says about bars that it did not bring.

    Older than what the source has since shown: there are none. Newer: perhaps not yet, so ask again soon.
    """
    newest = max([int(part.open_ms[-1]) for part in (stored, fetched) if len(part)], default=None)
    low, high = int(wanted[0]), int(wanted[-1])
    if newest is not None and newest >= low:
        asked.settle(low, min(high, newest))
    if newest is None or newest < high:
        asked.came_late()


def opens_between(series: Series, since: datetime, close_at: datetime) -> tuple[int, int]:
    """First and last open (ms) of the bars that open at ``since`` or later and have closed at ``close_at``."""
    length = series.timeframe.milliseconds
    first = -(-max(to_ms(since), to_ms(EPOCH)) // length) * length
    return first, to_ms(close_at) // length * length - length
