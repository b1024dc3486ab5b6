"""A made-up market: deterministic, endless, with regimes and correlated symbols. No real price is in it.

The model is documented in docs/explanation/synthetic-market.md. In short: a chain of regimes drives a common factor
day by day since 2020-01-01; each symbol follows it with its own beta plus a motion of its own; minutes bridge from
one day's close to the next. Every timeframe is made of the same minutes, so they agree with each other. All randomness
is a counter-based generator's, so any stretch of time is computed directly, and is the same in every process.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from alphapulse.adapters.market_data.synthetic_model import DAY_MS, MINUTES, Coin, DailyPath, minute_path
from alphapulse.domain.market import Instrument, Series, Timeframe
from alphapulse.errors import NotFound
from alphapulse.quant.resample import resample
from alphapulse.quant.window import Window, empty_window, to_ms

VENUE = "synthetic"
ANCHOR = datetime(2020, 1, 1, tzinfo=UTC)
#: Days made at a time, so that years of minutes do not have to fit into memory.
_BLOCK_DAYS = 32
_MIN_NOTIONAL = Decimal(5)


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol of the synthetic venue: how it moves and in which steps it trades. tick, lot: decimal places."""

    symbol: str
    coin: Coin
    tick: int
    lot: int


LISTINGS = {
    listing.symbol: listing
    for listing in (
        Listing("BTC/USDT", Coin(9_000.0, 1.00, 0.010, 30_000.0), 2, 5),
        Listing("ETH/USDT", Coin(250.0, 1.15, 0.016, 400_000.0), 2, 4),
        Listing("BNB/USDT", Coin(60.0, 1.05, 0.020, 500_000.0), 1, 3),
        Listing("SOL/USDT", Coin(25.0, 1.40, 0.030, 3_000_000.0), 2, 3),
        Listing("XRP/USDT", Coin(0.3, 1.05, 0.026, 300_000_000.0), 4, 1),
        Listing("ADA/USDT", Coin(0.25, 1.20, 0.026, 200_000_000.0), 4, 1),
        Listing("DOGE/USDT", Coin(0.06, 1.25, 0.034, 900_000_000.0), 5, 0),
        Listing("AVAX/USDT", Coin(15.0, 1.35, 0.030, 4_000_000.0), 2, 2),
        Listing("LINK/USDT", Coin(8.0, 1.20, 0.026, 6_000_000.0), 3, 2),
        Listing("LTC/USDT", Coin(70.0, 1.00, 0.020, 1_000_000.0), 2, 3),
    )
}
SYMBOLS = tuple(LISTINGS)


class SyntheticMarketData:
    """seed: another number is another market. Nothing exists before 2020-01-01; the future is as certain as the
    past.
    """

    begins = ANCHOR

    def __init__(self, seed: int = 7) -> None:
        self._path = DailyPath(seed, tuple(listing.coin for listing in LISTINGS.values()))

    async def candles(self, series: Series, since: datetime, until: datetime) -> Window:
        """Raises NotFound for another venue or symbol. Minutes are made off the event loop."""
        if series.venue != VENUE or series.symbol not in LISTINGS:
            raise NotFound(
                f"the synthetic market has no {series.symbol} on {series.venue}", fix=f"It has {', '.join(SYMBOLS)}."
            )
        return await asyncio.to_thread(self._make, series, max(since, ANCHOR), until)

    async def instruments(self, venue: str) -> tuple[Instrument, ...]:
        if venue != VENUE:
            return ()
        return tuple(_instrument(listing) for listing in LISTINGS.values())

    def _make(self, series: Series, since: datetime, until: datetime) -> Window:
        days = (since - ANCHOR) // timedelta(days=1), -((ANCHOR - until) // timedelta(days=1))
        blocks = [
            resample(self._minutes(series.symbol, first, min(first + _BLOCK_DAYS, days[1])), series.timeframe)
            for first in range(days[0], days[1], _BLOCK_DAYS)
        ]
        if not blocks:
            return empty_window(series.timeframe)
        return _joined(series.timeframe, blocks).since(since).until(until)

    def _minutes(self, symbol: str, first_day: int, end_day: int) -> Window:
        """Whole days of one-minute bars, in the symbol's steps."""
        listing, index = LISTINGS[symbol], SYMBOLS.index(symbol)
        path = minute_path(self._path, index, first_day, end_day)
        step = 10.0**-listing.tick
        opened, high, low, closed = (
            np.maximum(np.round(column, listing.tick), step) for column in (path.open, path.high, path.low, path.close)
        )
        opens = to_ms(ANCHOR) + first_day * DAY_MS + np.arange((end_day - first_day) * MINUTES, dtype=np.int64) * 60_000
        return Window(Timeframe.M1, opens, opened, high, low, closed, np.round(path.volume, listing.lot))


def _joined(timeframe: Timeframe, blocks: list[Window]) -> Window:
    """Blocks hold whole days and no bar is longer than a day, so none is split between two."""
    names = ("open_ms", "open", "high", "low", "close", "volume")
    return Window(timeframe, *(np.concatenate([getattr(block, name) for block in blocks]) for name in names))


def _instrument(listing: Listing) -> Instrument:
    lot = Decimal(1).scaleb(-listing.lot)
    return Instrument(VENUE, listing.symbol, Decimal(1).scaleb(-listing.tick), lot, lot, _MIN_NOTIONAL)
