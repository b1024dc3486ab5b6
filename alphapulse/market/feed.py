"""Stored candles, held in memory and topped up from live sources."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from alphapulse.clock import Clock
from alphapulse.domain.market import Instrument, Series
from alphapulse.errors import NotFound, TryAgain, Unavailable
from alphapulse.market.asking import Asked, Pause, bounds, is_newer, missing, only_new, opens_between, reach, settle
from alphapulse.market.catalogue import Catalogue, Merge, Stamp
from alphapulse.ports.market_data import MarketData
from alphapulse.quant.window import Window, empty_window

#: Bytes of one bar in memory: six arrays of eight bytes.
_BAR_BYTES = 48


class Feed:
    """sources: live source by venue. cache_bytes: about how much memory the held series may take; the largest is
    held anyway.
    """

    def __init__(self, catalogue: Catalogue, sources: Mapping[str, MarketData], clock: Clock, cache_bytes: int) -> None:
        self.sources = dict(sources)
        self.pauses: defaultdict[str, Pause] = defaultdict(Pause)
        #: How often this process has written a series.
        self.changes = 0
        self._catalogue = catalogue
        self._clock = clock
        self._cache_bytes = cache_bytes
        self._held: OrderedDict[Series, tuple[Stamp, Window]] = OrderedDict()
        self._locks: defaultdict[Series, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asked: defaultdict[Series, Asked] = defaultdict(Asked)

    def lock(self, series: Series) -> asyncio.Lock:
        """Held while the series is changed by this process."""
        return self._locks[series]

    async def stored(self, series: Series) -> Window | None:
        """The whole series as it is on disk now, from memory where the file is unchanged; None when it is not
        stored.
        """
        stamp = self._catalogue.stamp(series)
        held = self._held.get(series)
        if stamp is None:
            return None
        if held is not None and held[0] == stamp:
            self._held.move_to_end(series)
            return held[1]
        window = await asyncio.to_thread(self._catalogue.read, series)
        if window is not None:
            # Stamped before it was read: a file replaced in between is read once more, never missed.
            self._hold(series, stamp, window)
        return window

    async def covered(self, series: Series, since: datetime, close_at: datetime) -> Window:
        """The whole series, topped up with what it lacks of the bars between if a source has them.

        Raises NotFound for a series that is neither stored nor served, TryAgain when nothing is stored and the
        source is down.
        """
        stored = await self.stored(series)
        if series.venue not in self.sources:
            if stored is None:
                raise unknown(series)
            return stored
        if stored is not None and len(self._lacking(series, stored, since, close_at)) == 0:
            return stored
        async with self.lock(series):
            stored = await self.stored(series)
            if stored is None:
                stored = empty_window(series.timeframe)
            lacking = self._lacking(series, stored, since, close_at)
            if len(lacking):
                stored = await self._top_up(series, stored, lacking, close_at)
        return stored

    def _lacking(self, series: Series, stored: Window, since: datetime, close_at: datetime) -> NDArray[np.int64]:
        return self._asked[series].without(missing(stored, *opens_between(series, since, close_at)))

    async def _top_up(self, series: Series, stored: Window, lacking: NDArray[np.int64], close_at: datetime) -> Window:
        """Fetches from the first to the last lacking bar, and on to the present where the newest is among them."""
        asked, pause = self._asked[series], self.pauses[series.venue]
        since, until = bounds(series, lacking)
        if until >= close_at:
            if asked.late and is_newer(lacking, stored):
                return stored
            until = reach(series, close_at, self._clock.now())
        if pause.active:
            return self._without_source(series, stored, pause.problem)
        try:
            fetched = await self.sources[series.venue].candles(series, since, until)
        except NotFound:
            if len(stored) == 0:
                raise
            fetched = empty_window(series.timeframe)
        except TryAgain as error:
            pause.failed(error.message)
            return self._without_source(series, stored, error.message)
        pause.succeeded()
        return await self._keep(series, stored, lacking, only_new(stored, fetched))

    async def _keep(self, series: Series, stored: Window, lacking: NDArray[np.int64], new: Window) -> Window:
        settle(self._asked[series], lacking, stored, new)
        if len(new) == 0:
            return stored
        instrument = await self._offered(series) if len(stored) == 0 else None
        merge = await asyncio.to_thread(self._catalogue.merge, series, new, series.venue, instrument)
        self.hold(series, merge)
        return merge.window

    async def _offered(self, series: Series) -> Instrument | None:
        """What the source says of the symbol; None leaves it to be derived from the bars."""
        try:
            offered = await self.sources[series.venue].instruments(series.venue)
        except TryAgain:
            return None
        return next((instrument for instrument in offered if instrument.symbol == series.symbol), None)

    def _without_source(self, series: Series, stored: Window, problem: str) -> Window:
        """What is stored stands, however old: staleness shows in its times."""
        if len(stored) == 0:
            raise Unavailable(f"no candles of {series.symbol}: {problem}", fix="Try again when the venue answers.")
        return stored

    def hold(self, series: Series, merge: Merge) -> None:
        """Keep in memory what was just written."""
        self.changes += 1
        if merge.stamp is not None:
            self._hold(series, merge.stamp, merge.window)

    def _hold(self, series: Series, stamp: Stamp, window: Window) -> None:
        self._held[series] = (stamp, window)
        self._held.move_to_end(series)
        total = sum(len(held) for _, held in self._held.values()) * _BAR_BYTES
        while total > self._cache_bytes and len(self._held) > 1:
            _, (_, dropped) = self._held.popitem(last=False)
            total -= len(dropped) * _BAR_BYTES


def unknown(series: Series) -> NotFound:
    return NotFound(
        f"no {series.timeframe} candles of {series.symbol} on {series.venue}",
        fix="Import some with `alphapulse market import FILE`; `alphapulse market list` shows what there is.",
    )
