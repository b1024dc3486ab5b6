"""Recorded bars served as if a venue did: the source that needs no network, no disk and no model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from alphapulse.domain.market import EPOCH, Instrument, Series
from alphapulse.errors import NotFound
from alphapulse.quant.window import Window


class RecordedMarketData:
    """windows: the recorded bars, as they are; gaps stay gaps. instruments: of the same venues.

    begins: before when there are none; nothing is known about that by default.
    """

    def __init__(
        self,
        windows: Mapping[Series, Window],
        instruments: tuple[Instrument, ...] = (),
        *,
        begins: datetime = EPOCH,
    ) -> None:
        self.begins = begins
        self._windows = dict(windows)
        self._instruments = instruments

    async def candles(self, series: Series, since: datetime, until: datetime) -> Window:
        window = self._windows.get(series)
        if window is None:
            raise NotFound(f"no recorded {series.timeframe} candles of {series.symbol} on {series.venue}")
        return window.since(since).until(until)

    async def instruments(self, venue: str) -> tuple[Instrument, ...]:
        return tuple(instrument for instrument in self._instruments if instrument.venue == venue)
