"""Where candles come from."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from alphapulse.domain.market import Instrument, Series
from alphapulse.quant.window import Window


class MarketData(Protocol):
    """A source of closed candles for some venues.

    begins: before this no series of it has a bar.
    Raises Unavailable when it cannot be reached, NotFound for a series that is not its own.
    """

    @property
    def begins(self) -> datetime: ...

    async def candles(self, series: Series, since: datetime, until: datetime) -> Window:
        """Bars that open at ``since`` or later and had closed at ``until``; the forming bar never."""
        ...

    async def instruments(self, venue: str) -> tuple[Instrument, ...]:
        """What may be traded on the venue; empty when the source does not know."""
        ...
