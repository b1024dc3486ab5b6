"""Instruments, timeframes and bars."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from alphapulse.domain.money import ZERO
from alphapulse.errors import InvalidInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SYMBOL = re.compile(r"[A-Z0-9]{1,20}/[A-Z0-9]{1,20}")
_VENUE = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Timeframe(StrEnum):
    """Length of a bar, in the notation of venues. Bars start at whole multiples since 1970-01-01 UTC."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"

    @property
    def length(self) -> timedelta:
        return _LENGTHS[self]

    @property
    def milliseconds(self) -> int:
        return _LENGTHS[self] // timedelta(milliseconds=1)

    def floor(self, at: datetime) -> datetime:
        """Start of the bar that ``at`` falls into; equally the close of the newest closed bar at ``at``."""
        return at - (at - EPOCH) % self.length


_LENGTHS = {
    Timeframe.M1: timedelta(minutes=1),
    Timeframe.M5: timedelta(minutes=5),
    Timeframe.M15: timedelta(minutes=15),
    Timeframe.M30: timedelta(minutes=30),
    Timeframe.H1: timedelta(hours=1),
    Timeframe.H4: timedelta(hours=4),
    Timeframe.D1: timedelta(days=1),
}


def parse_timeframe(text: str, field: str = "timeframe") -> Timeframe:
    try:
        return Timeframe(text)
    except ValueError:
        known = ", ".join(Timeframe)
        raise InvalidInput(
            f"{field}: {text[:40]!r} is not a timeframe", field=field, fix=f"Use one of {known}."
        ) from None


def parse_symbol(text: str, field: str = "symbol") -> str:
    """``BASE/QUOTE`` in capitals, as ccxt writes spot symbols."""
    if not _SYMBOL.fullmatch(text):
        raise InvalidInput(
            f"{field}: {text[:60]!r} is not a symbol",
            field=field,
            fix="Write BASE/QUOTE in capitals, for example BTC/USDT.",
        )
    return text


def parse_venue(text: str, field: str = "venue") -> str:
    if not _VENUE.fullmatch(text):
        raise InvalidInput(
            f"{field}: {text[:60]!r} is not a venue name",
            field=field,
            fix="Use lower-case letters, digits and underscores, for example binance.",
        )
    return text


@dataclass(frozen=True, slots=True)
class Instrument:
    """What may be traded on a venue, and in which steps.

    price_increment: quote currency per step ("tick"). quantity_increment: base currency per step ("lot").
    min_quantity: base currency. min_notional: quote currency, price x quantity.
    """

    venue: str
    symbol: str
    price_increment: Decimal
    quantity_increment: Decimal
    min_quantity: Decimal
    min_notional: Decimal

    def __post_init__(self) -> None:
        parse_venue(self.venue)
        parse_symbol(self.symbol)
        for field in ("price_increment", "quantity_increment"):
            if getattr(self, field) <= ZERO:
                raise InvalidInput(f"{field} of {self.symbol} must be above zero", field=field)
        for field in ("min_quantity", "min_notional"):
            if getattr(self, field) < ZERO:
                raise InvalidInput(f"{field} of {self.symbol} must not be negative", field=field)

    @property
    def base(self) -> str:
        return self.symbol.partition("/")[0]

    @property
    def quote(self) -> str:
        return self.symbol.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Bar:
    """One closed candle. open_at: its first instant. Prices in quote currency, volume in base currency."""

    open_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    def __post_init__(self) -> None:
        if not ZERO < self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise InvalidInput(
                f"bar of {self.open_at.isoformat()}: prices must satisfy 0 < low <= open, close <= high",
                field="bar",
            )
        if self.volume < ZERO:
            raise InvalidInput(f"bar of {self.open_at.isoformat()}: volume is negative", field="volume")


@dataclass(frozen=True, slots=True)
class Series:
    """Which candles: one symbol on one venue in one timeframe."""

    venue: str
    symbol: str
    timeframe: Timeframe


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of bars that a series lacks. start: open of the first missing bar; end: open of the next present."""

    start: datetime
    end: datetime
    bars: int


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """What is stored of one series. first, last: open of its first and newest bar; gaps: runs of missing bars between.

    source: where the newest bars came from, "import" or the venue they were fetched from.
    """

    venue: str
    symbol: str
    timeframe: Timeframe
    first: datetime
    last: datetime
    bars: int
    gaps: int
    source: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What one file brought. rows: candles in the file; added: bars that were new; duplicates: rows already known.

    gaps: runs of bars missing between the file's first and last candle, after the import.
    """

    series: Series
    rows: int
    added: int
    duplicates: int
    gaps: tuple[Gap, ...]
