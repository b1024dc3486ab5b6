"""Candles, prices and instruments of every venue: from memory, then the catalogue, then the venue's source."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from alphapulse.clock import Clock
from alphapulse.domain.market import (
    EPOCH,
    Gap,
    ImportReport,
    Instrument,
    Series,
    SeriesInfo,
    Timeframe,
    parse_symbol,
    parse_venue,
)
from alphapulse.domain.money import book
from alphapulse.domain.portfolio import Price
from alphapulse.errors import InvalidInput, NotFound, TryAgain, Unavailable
from alphapulse.market.catalogue import Catalogue, gaps_of
from alphapulse.market.feed import Feed, unknown
from alphapulse.market.importer import identify, read_candles
from alphapulse.market.priced import Priced, good_until
from alphapulse.ports.market_data import MarketData
from alphapulse.quant.window import Window, to_price

#: Memory for held series: a million bars take 48 MB.
CACHE_BYTES = 64 * 2**20
#: How long a venue's list of instruments is good for.
_INSTRUMENTS_FOR = 3600.0
#: How long what another process may have changed on disk is trusted.
_DISK_FOR = 1.0
MOST_CANDLES = 10_000
#: Share of a window for which the source is asked in addition, to make up for bars that the venue itself lacks.
_SLACK = 0.02


@dataclass(frozen=True, slots=True)
class _Kept:
    """Instruments of the catalogue, and the state of disk and memory they were read at."""

    changes: int
    good_until: float
    series: tuple[Series, ...]
    instruments: dict[str, Instrument]


class Market:
    """catalogue: where candles are kept. sources: live source by venue, if it has one.

    instruments: by venue and symbol, as configured; they override the source's, and those the catalogue derived.
    clock: only says how far ahead one fetch may run, and what ``now`` means for a live venue.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        sources: Mapping[str, MarketData],
        instruments: Mapping[str, Mapping[str, Instrument]],
        clock: Clock,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._catalogue = catalogue
        self._feed = Feed(catalogue, sources, clock, cache_bytes)
        self._configured = instruments
        self._clock = clock
        self._priced = Priced()
        self._kept: dict[str, _Kept] = {}
        self._offered: dict[str, tuple[float, dict[str, Instrument]]] = {}

    async def window(self, series: Series, close_at: datetime, bars: int) -> Window:
        """The last ``bars`` bars that had closed at ``close_at``, fetched from the venue's source where they lack.

        May be shorter, have gaps, or end early (a source that is down): look at ``closed_at(-1)``. Raises NotFound
        for a series that is neither stored nor served, TryAgain when nothing is stored and the source is down,
        StorageFull when fetched bars cannot be stored.
        """
        last_close = series.timeframe.floor(close_at)
        slots = bars + int(bars * _SLACK)
        whole = await self._feed.covered(_checked(series), last_close - slots * series.timeframe.length, last_close)
        return whole.until(last_close).tail(bars)

    async def candles(
        self, series: Series, since: datetime | None = None, until: datetime | None = None, limit: int = 500
    ) -> Window:
        """Bars that open at ``since`` or later and had closed at ``until``: the first ``limit`` of them, or, without
        since, the last.

        Without until: up to the newest. Raises as ``window`` does, and InvalidInput for a limit outside [1, 10000].
        """
        if not 1 <= limit <= MOST_CANDLES:
            raise InvalidInput(f"limit must lie in [1, {MOST_CANDLES}]", field="limit")
        timeframe = series.timeframe
        # Bars lie between 1970 and the present; a time far outside has no neighbours to count from.
        end = until or await self.now(series.venue, (series.symbol,), timeframe)
        end = timeframe.floor(min(max(end, EPOCH), self._clock.now()))
        if since is None:
            return await self.window(series, end, limit)
        since = min(max(since, EPOCH), end)
        wanted = min(end, timeframe.floor(since) + (limit + 1) * timeframe.length)
        whole = (await self._feed.covered(_checked(series), since, wanted)).since(since).until(end)
        return whole if len(whole) <= limit else whole.until(whole.closed_at(limit - 1))

    async def prices(
        self, venue: str, symbols: Iterable[str], timeframe: Timeframe, close_at: datetime
    ) -> dict[str, Price]:
        """The last close at or before ``close_at`` of each symbol, quote per base; symbols without any are left out.

        Price.at is when that bar closed, so that the caller can tell how stale it is. What another process imports
        is seen after a quarter of a second at the latest.
        """
        known = self._priced.at(venue, timeframe, timeframe.floor(close_at), self._feed.changes)
        now = time.monotonic()
        found: dict[str, Price] = {}
        for symbol in symbols:
            held = known.get(symbol)
            if held is None or held[0] < now:
                price = await self._price(Series(venue, symbol, timeframe), close_at)
                held = known[symbol] = (good_until(), price)
            if held[1] is not None:
                found[symbol] = held[1]
        return found

    async def _price(self, series: Series, close_at: datetime) -> Price | None:
        try:
            window = await self.window(series, close_at, 1)
        except (NotFound, TryAgain):
            return None
        return Price(book(to_price(window.close[-1])), window.closed_at(-1)) if len(window) else None

    async def now(self, venue: str, symbols: Iterable[str], timeframe: Timeframe) -> datetime:
        """The market time that a decision by hand belongs to, a bar's close.

        The newest closed bar by the clock where the venue has a live source, else of the newest stored candle among
        ``symbols`` that had closed by the clock. Raises NotFound when there is neither.
        """
        if venue in self._feed.sources:
            return timeframe.floor(self._clock.now())
        newest: list[datetime] = []
        symbols = tuple(symbols)
        for symbol in symbols:
            stored = await self._feed.stored(_checked(Series(venue, symbol, timeframe)))
            if stored is not None and len(closed := stored.until(self._clock.now())):
                newest.append(closed.closed_at(-1))
        if not newest:
            wanted = ", ".join(symbols)
            raise NotFound(
                f"no {timeframe} candles of {wanted} on {venue}",
                fix="Import some with `alphapulse market import FILE`.",
            )
        return max(newest)

    def is_served(self, venue: str) -> bool:
        """Whether a live source stands behind the venue, so that what is stored is not all there is."""
        return venue in self._feed.sources

    def begins(self, venue: str) -> datetime | None:
        """Before when the venue's live source has no candle; None without a live source."""
        source = self._feed.sources.get(venue)
        return None if source is None else source.begins

    async def first_price(self, series: Series, since: datetime, close_at: datetime) -> Price | None:
        """The close of the first bar that closed after ``since``, unless it closed after ``close_at``."""
        try:
            window = await self.candles(series, since, close_at, 1)
        except (NotFound, TryAgain):
            return None
        return Price(book(to_price(window.close[0])), window.closed_at(0)) if len(window) else None

    async def instruments(self, venue: str) -> dict[str, Instrument]:
        """Everything that may be traded on the venue, by symbol: as configured, else as the source says, else as
        kept at import.

        Empty for an unknown venue. Raises TryAgain when nothing is known but from a source that is down.
        """
        parse_venue(venue)
        kept = await self._kept_instruments(venue)
        configured = dict(self._configured.get(venue, {}))
        try:
            offered = await self._offered_instruments(venue)
        except TryAgain:
            if not kept and not configured:
                raise
            offered = {}
        return kept | offered | configured

    async def import_candles(
        self,
        path: Path,
        filename: str,
        *,
        venue: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
    ) -> ImportReport:
        """Add the candles of the file at ``path``, all or none. filename: names it in errors, and the series where
        the rest is None.

        Raises InvalidInput naming file, line and column; Conflict where a stored bar differs; StorageFull.
        """
        series = identify(filename, venue, symbol, timeframe)
        async with self._feed.lock(series):
            new, rows = await asyncio.to_thread(read_candles, path, filename, series, self._clock.now())
            merge = await asyncio.to_thread(self._catalogue.merge, series, new, "import")
            self._feed.hold(series, merge)
        span = merge.window.since(new.closed_at(0) - series.timeframe.length).until(new.closed_at(-1))
        return ImportReport(series, rows, merge.added, rows - merge.added, gaps_of(span))

    async def series(self) -> list[SeriesInfo]:
        """What is stored."""
        return await asyncio.to_thread(self._catalogue.infos)

    async def gaps(self, series: Series) -> list[Gap]:
        """Runs of bars that the stored series lacks. Raises NotFound when it is not stored."""
        stored = await self._feed.stored(_checked(series))
        if stored is None:
            raise unknown(series)
        return list(gaps_of(stored))

    def problems(self) -> dict[str, str]:
        """Venue -> why its source does not answer; venues without trouble are left out."""
        return {venue: pause.problem for venue, pause in self._feed.pauses.items() if pause.problem}

    async def _kept_instruments(self, venue: str) -> dict[str, Instrument]:
        """Looks at the disk again after a change of ours, or a second later: another process may have imported."""
        known = self._kept.get(venue)
        changes = self._feed.changes
        if known is not None and known.changes == changes and time.monotonic() < known.good_until:
            return known.instruments
        stored = await asyncio.to_thread(self._catalogue.stored, venue)
        # An instrument, once kept, does not change: only other series can bring others.
        if known is not None and known.series == stored:
            instruments = known.instruments
        else:
            instruments = await asyncio.to_thread(self._catalogue.instruments, venue)
        self._kept[venue] = _Kept(changes, time.monotonic() + _DISK_FOR, stored, instruments)
        return instruments

    async def _offered_instruments(self, venue: str) -> dict[str, Instrument]:
        """The source's list, at most an hour old, or older while the source is down. Raises TryAgain when there was
        never one.
        """
        source = self._feed.sources.get(venue)
        if source is None:
            return {}
        known = self._offered.get(venue)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        pause = self._feed.pauses[venue]
        try:
            if pause.active:
                raise Unavailable(pause.problem)
            offered = {instrument.symbol: instrument for instrument in await source.instruments(venue)}
        except TryAgain as error:
            if not pause.active:
                pause.failed(error.message)
            if known is None:
                raise
            return known[1]
        pause.succeeded()
        self._offered[venue] = (time.monotonic() + _INSTRUMENTS_FOR, offered)
        return offered


def _checked(series: Series) -> Series:
    """``series`` with names that are safe as file names. Raises InvalidInput for others."""
    parse_venue(series.venue)
    parse_symbol(series.symbol)
    return series
