"""Live public candles of Binance, Coinbase and Kraken, through ccxt. No key is needed.

Only the one venue's module is loaded, at the first call: it costs about half a second and 50 MB.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np

from alphapulse.clock import Clock, SystemClock
from alphapulse.domain.market import Instrument, Series, Timeframe, parse_symbol
from alphapulse.domain.money import ZERO
from alphapulse.errors import InvalidInput, Misconfigured, NotFound, TooManyRequests, Unavailable
from alphapulse.quant.resample import resample
from alphapulse.quant.window import Window, empty_window, to_ms, to_price

#: Candles that a venue gives at most per request. Kraken keeps no more than these, however early the start asked for.
PAGE = {"binance": 1000, "coinbase": 300, "kraken": 720}
#: Where a page spans a stretch of time, so that an empty one does not mean the end.
_SPARSE = frozenset({"coinbase"})
#: The first of the venues opened for trading in this month.
_FIRST_TRADE = datetime(2011, 9, 1, tzinfo=UTC)
#: Spot only, without the requests that need a key.
_OPTIONS: dict[str, dict[str, Any]] = {
    "binance": {
        "defaultType": "spot",
        "fetchMarkets": {"types": ["spot"]},
        "fetchCurrencies": False,
        "fetchMargins": False,
    }
}
OK = 200
_RETRY_AFTER = timedelta(seconds=10)


class CcxtMarketData:
    """venue: binance, coinbase or kraken. clock: no bar that is still forming by it is returned; the system's by
    default.

    api_url: scheme and host to call instead of the venue's own, for a mirror or a stand-in; one on plain HTTP is
    called without a proxy and as fast as it answers. timeout: of each request. authorities: PEM file to check its
    certificate against instead of the public ones; it is always checked.
    """

    begins = _FIRST_TRADE

    def __init__(
        self,
        venue: str,
        *,
        clock: Clock | None = None,
        api_url: str | None = None,
        timeout: timedelta = timedelta(seconds=5),
        authorities: Path | None = None,
    ) -> None:
        if venue not in PAGE:
            raise Misconfigured(f"there is no live source for {venue!r}", fix=f"Choose one of {', '.join(PAGE)}.")
        self.venue = venue
        self._clock = clock or SystemClock()
        self._api_url = api_url
        self._timeout = timeout
        self._authorities = authorities
        self._exchange: Any = None
        self._errors: Any = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Ends the connections; the next call opens them anew."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.close()

    async def candles(self, series: Series, since: datetime, until: datetime) -> Window:
        """As the port says. A venue without the timeframe (Coinbase: 4h) is asked for shorter bars, which are put
        together.

        Raises NotFound for an unknown symbol, TooManyRequests when the venue asks us to slow down, else Unavailable.
        """
        if series.venue != self.venue:
            raise NotFound(f"this source serves {self.venue}, not {series.venue}")
        exchange = await self._open()
        native = _native(exchange, series.timeframe)
        length = series.timeframe.milliseconds
        first = -(-to_ms(since) // length) * length
        end = to_ms(series.timeframe.floor(min(until, self._clock.now())))
        rows = await self._pages(exchange, series.symbol, native, (first, end - native.milliseconds))
        return resample(self._window(rows, native), series.timeframe)

    async def instruments(self, venue: str) -> tuple[Instrument, ...]:
        """The venue's active spot markets; empty for another venue. Asks the venue each time."""
        if venue != self.venue:
            return ()
        exchange = await self._open()
        markets = await self._call(lambda: exchange.load_markets(True))
        made = (self._instrument(market) for market in cast("dict[str, dict[str, Any]]", markets).values())
        return tuple(instrument for instrument in made if instrument is not None)

    async def _pages(self, exchange: Any, symbol: str, native: Timeframe, opens: tuple[int, int]) -> list[list[float]]:
        """Every candle that opens between the two times (ms, both included)."""
        rows: list[list[float]] = []
        cursor, last = opens
        page, length = PAGE[self.venue], native.milliseconds
        while cursor <= last:
            limit = min(page, (last - cursor) // length + 1)
            answer = await self._fetch(exchange, symbol, native, cursor, limit)
            end = min(last, cursor + (limit - 1) * length) if self.venue in _SPARSE else last
            fresh = [row for row in answer if cursor <= row[0] <= end]
            rows += fresh
            if self.venue in _SPARSE:
                cursor += limit * length
            elif fresh:
                cursor = int(fresh[-1][0]) + length
            else:
                break
        return rows

    async def _fetch(self, exchange: Any, symbol: str, native: Timeframe, since: int, limit: int) -> list[list[float]]:
        return await self._call(lambda: exchange.fetch_ohlcv(symbol, native.value, since, limit))

    async def _call(self, request: Callable[[], Any]) -> Any:
        """The answer to ``request``, with ccxt's errors as ours."""
        errors = self._errors
        try:
            return await request()
        except errors.BadSymbol as error:
            raise NotFound(
                f"{self.venue}: {error}", fix="`alphapulse market instruments` lists what it trades."
            ) from error
        except (errors.RateLimitExceeded, errors.DDoSProtection) as error:
            raise TooManyRequests(f"{self.venue} asks us to slow down: {error}", retry_after=_RETRY_AFTER) from error
        except errors.BaseError as error:
            raise Unavailable(f"{self.venue} did not answer: {_short(error)}") from error

    async def _open(self) -> Any:
        async with self._opening:
            if self._exchange is None:
                module, self._errors = await asyncio.to_thread(_load, self.venue)
                exchange = _strict(getattr(module, self.venue), self._errors)(self._settings())
                # The list of currencies needs a key or a second request, and candles do not need it.
                exchange.has["fetchCurrencies"] = False
                if self._api_url is not None:
                    exchange.urls["api"] = _redirected(exchange.urls["api"], self._api_url)
                self._exchange = exchange
            return self._exchange

    def _settings(self) -> dict[str, Any]:
        public = self._api_url is None or self._api_url.startswith("https:")
        return {
            "enableRateLimit": public,
            "timeout": int(self._timeout / timedelta(milliseconds=1)),
            "aiohttp_trust_env": public,
            **({"cafile": str(self._authorities)} if self._authorities else {}),
            "options": _OPTIONS.get(self.venue, {}),
        }

    def _window(self, rows: list[list[float]], native: Timeframe) -> Window:
        if not rows:
            return empty_window(native)
        table = np.array(rows, dtype=np.float64)
        open_ms = table[:, 0].astype(np.int64)
        opened, high, low, closed, volume = table[:, 1:6].T.copy()
        sound = (low > 0) & (low <= np.minimum(opened, closed)) & (high >= np.maximum(opened, closed)) & (volume >= 0)
        if not (np.all(sound) and np.all(np.diff(open_ms) > 0) and np.all(np.isfinite(table))):
            raise Unavailable(f"{self.venue} sent an impossible candle", fix="Nothing of this answer was kept.")
        return Window(native, open_ms, opened, high, low, closed, volume)

    def _instrument(self, market: Mapping[str, Any]) -> Instrument | None:
        """None for what is not an open spot market with known steps."""
        tick, lot = market["precision"]["price"], market["precision"]["amount"]
        if not market["spot"] or market["active"] is False or not tick or not lot:
            return None
        try:
            symbol = parse_symbol(market["symbol"])
        except InvalidInput:
            return None
        limits = market["limits"]
        return Instrument(
            self.venue,
            symbol,
            to_price(tick),
            to_price(lot),
            _decimal(limits["amount"]["min"]),
            _decimal(limits["cost"]["min"]),
        )


def _load(venue: str) -> tuple[ModuleType, Any]:
    module = importlib.import_module(f"ccxt.async_support.{venue}")
    return module, importlib.import_module("ccxt.base.errors")


def _strict(venue: type[Any], errors: Any) -> type[Any]:
    """The venue's class, which on its own takes an answer that is no JSON for one without candles."""

    class Strict(venue):  # type: ignore[misc]
        def handle_errors(self, code: int, reason: str, *rest: Any) -> Any:
            parsed = rest[4]
            if code == OK and parsed is None:
                raise errors.BadResponse(f"{self.id} sent no JSON")
            return super().handle_errors(code, reason, *rest)

    return Strict


def _native(exchange: Any, timeframe: Timeframe) -> Timeframe:
    """The longest timeframe that the venue has and that divides ``timeframe``."""
    fitting = [
        frame
        for frame in Timeframe
        if frame.value in exchange.timeframes and timeframe.milliseconds % frame.milliseconds == 0
    ]
    return max(fitting, key=lambda frame: frame.milliseconds)


def _redirected(urls: object, api_url: str) -> object:
    """Every address in ``urls`` with the scheme and host of ``api_url``."""
    if isinstance(urls, dict):
        return {name: _redirected(url, api_url) for name, url in cast("dict[str, object]", urls).items()}
    target = urlsplit(api_url)
    return urlsplit(str(urls))._replace(scheme=target.scheme, netloc=target.netloc).geturl()


def _decimal(value: float | None) -> Decimal:
    return to_price(value) if value else ZERO


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
