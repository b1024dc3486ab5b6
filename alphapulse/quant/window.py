"""A run of closed bars as arrays, and the named borders between money and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from alphapulse.domain.market import Bar, Timeframe
from alphapulse.domain.money import book

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """n closed bars of one series, oldest first, all arrays of length n.

    open_ms: first instant of each bar, milliseconds since 1970-01-01 UTC, strictly rising; a missing bar
    is simply absent. Prices in quote currency, volume in base currency.
    """

    timeframe: Timeframe
    open_ms: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.open_ms)

    def closed_at(self, index: int) -> datetime:
        """When bar ``index`` closed: its open plus the timeframe."""
        return datetime.fromtimestamp(int(self.open_ms[index]) / 1000, UTC) + self.timeframe.length

    def tail(self, bars: int) -> Window:
        """The last ``bars`` bars, without copying."""
        return self._slice(slice(max(0, len(self) - bars), None))

    def until(self, close_at: datetime) -> Window:
        """The bars that had closed at ``close_at``, without copying."""
        last_open = to_ms(close_at - self.timeframe.length)
        return self._slice(slice(0, int(np.searchsorted(self.open_ms, last_open, side="right"))))

    def since(self, open_at: datetime) -> Window:
        """The bars that opened at ``open_at`` or later, without copying."""
        return self._slice(slice(int(np.searchsorted(self.open_ms, to_ms(open_at), side="left")), None))

    def _slice(self, part: slice) -> Window:
        return Window(
            self.timeframe,
            self.open_ms[part],
            self.open[part],
            self.high[part],
            self.low[part],
            self.close[part],
            self.volume[part],
        )

    def bar(self, index: int) -> Bar:
        """Rounded to the places that money has on the wire; a sum of float volumes may have more."""
        return Bar(
            datetime.fromtimestamp(int(self.open_ms[index]) / 1000, UTC),
            book(to_price(self.open[index])),
            book(to_price(self.high[index])),
            book(to_price(self.low[index])),
            book(to_price(self.close[index])),
            book(to_price(self.volume[index])),
        )


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970-01-01 UTC."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def to_price(value: float) -> Decimal:
    """The decimal that the float was read from: its shortest form that reads back the same."""
    return Decimal(repr(float(value)))


def empty_window(timeframe: Timeframe) -> Window:
    none = np.empty(0, dtype=np.float64)
    return Window(timeframe, np.empty(0, dtype=np.int64), none, none, none, none, none)


def joined(windows: Sequence[Window]) -> Window:
    """Windows of one series that follow one another, as one. windows: at least one, oldest first."""
    if len(windows) == 1:
        return windows[0]
    return Window(
        windows[0].timeframe,
        np.concatenate([window.open_ms for window in windows]),
        *(
            np.concatenate([getattr(window, name) for window in windows])
            for name in ("open", "high", "low", "close", "volume")
        ),
    )
