"""A small HTTP server that answers public requests as Binance, Coinbase and Kraken do, from one recorded window."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from aiohttp import web

from alphapulse.clock import Clock
from alphapulse.domain.market import Timeframe
from alphapulse.quant.resample import resample
from alphapulse.quant.window import Window

COINBASE_FRAMES = {
    "ONE_MINUTE": Timeframe.M1,
    "FIVE_MINUTE": Timeframe.M5,
    "ONE_HOUR": Timeframe.H1,
    "ONE_DAY": Timeframe.D1,
}

#: What high, close and volume of a forming bar are multiplied by.
FORMING = 3.0


@dataclass
class PublicApi:
    """recorded: bars of BTC against the venue's dollar, the newest of them still forming. others: of other coins, which
    Binance lists as well.

    clock: with one, bars that open after its time are not there yet, and the one that forms then has a high, close and
    volume far from those that it will end with. late_after: nothing that closes after it is there, not even forming.
    requests: paths in the order of arrival. answer: replaces the answers of the candle route while it is set.
    stall: requests for candles are never answered.
    """

    recorded: Window
    others: Mapping[str, Window] = field(default_factory=dict[str, Window])
    clock: Clock | None = None
    late_after: datetime | None = None
    requests: list[str] = field(default_factory=list[str])
    answer: Callable[[], web.StreamResponse] | None = None
    stall: bool = False
    url: str = ""
    _runner: web.AppRunner | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/v3/exchangeInfo", self._binance_instruments)
        app.router.add_get("/api/v3/klines", self._candles(self._binance))
        app.router.add_get("/api/v3/brokerage/market/products", self._coinbase_instruments)
        app.router.add_get("/api/v3/brokerage/market/products/{id}/candles", self._candles(self._coinbase))
        app.router.add_get("/0/public/AssetPairs", self._kraken_instruments)
        app.router.add_get("/0/public/OHLC", self._candles(self._kraken))
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def _candles(self, reply: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.StreamResponse:
            self.requests.append(request.path_qs)
            if self.stall:
                await self._stopping.wait()
            return self.answer() if self.answer is not None else web.json_response(reply(request))

        return respond

    def _rows(
        self, timeframe: Timeframe, first_ms: int, last_ms: int, coin: str = "BTC"
    ) -> list[tuple[int, list[str]]]:
        bars = self._shown(resample(self.others.get(coin, self.recorded), timeframe))
        columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
        return [
            (int(bars.open_ms[i]), [repr(float(column[i])) for column in columns])
            for i in range(len(bars))
            if first_ms <= bars.open_ms[i] <= last_ms
        ]

    def _shown(self, bars: Window) -> Window:
        if self.late_after is not None:
            return bars.until(self.late_after)
        if self.clock is None:
            return bars
        now = self.clock.now()
        shown = bars.until(bars.timeframe.floor(now) + bars.timeframe.length)
        if len(shown) and shown.closed_at(-1) > now:
            far = np.ones(len(shown))
            far[-1] = FORMING
            high, close, volume = shown.high * far, shown.close * far, shown.volume * far
            shown = replace(shown, high=high, close=close, volume=volume)
        return shown

    def _binance(self, request: web.Request) -> Any:
        frame = Timeframe(request.query["interval"])
        first, last = int(request.query["startTime"]), int(request.query.get("endTime", 2**62))
        rows = self._rows(frame, first, last, request.query["symbol"].removesuffix("USDT"))
        return [
            [at, *cells, at + frame.milliseconds - 1, "0", 1, "0", "0", "0"]
            for at, cells in rows[: int(request.query.get("limit", 500))]
        ]

    def _coinbase(self, request: web.Request) -> Any:
        first, last = int(request.query["start"]) * 1000, int(request.query["end"]) * 1000
        rows = self._rows(COINBASE_FRAMES[request.query["granularity"]], first, last)
        assert len(rows) <= 350, "Coinbase refuses more"
        names = ("open", "high", "low", "close", "volume")
        return {
            "candles": [
                {"start": str(at // 1000), **dict(zip(names, cells, strict=True))} for at, cells in reversed(rows)
            ]
        }

    def _kraken(self, request: web.Request) -> Any:
        frame = next(each for each in Timeframe if each.milliseconds == int(request.query["interval"]) * 60_000)
        rows = self._rows(frame, int(request.query.get("since", 0)) * 1000 + 1, 2**62)
        every = self._rows(frame, 0, 2**62)[-720:]
        kept = [row for row in rows if row[0] >= every[0][0]]
        answer = [[at // 1000, *cells[:4], cells[3], cells[4], 1] for at, cells in kept]
        return {"error": [], "result": {"XXBTZUSD": answer, "last": every[-2][0] // 1000}}

    async def _binance_instruments(self, request: web.Request) -> web.Response:
        filters = [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
        ]
        listed = {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "baseAsset": "BTC",
            "quoteAsset": "USDT",
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "isSpotTradingAllowed": True,
            "filters": filters,
            "permissions": ["SPOT"],
        }
        more = [{**listed, "symbol": f"{coin}USDT", "baseAsset": coin} for coin in self.others]
        halted = {**listed, "symbol": "LUNAUSDT", "baseAsset": "LUNA", "status": "BREAK"}
        return web.json_response({"timezone": "UTC", "symbols": [listed, *more, halted]})

    async def _coinbase_instruments(self, request: web.Request) -> web.Response:
        if request.query.get("product_type") == "FUTURE":
            return web.json_response({"products": []})
        product = {
            "product_id": "BTC-USD",
            "price": "60000",
            "base_increment": "0.00000001",
            "quote_increment": "0.01",
            "price_increment": "0.01",
            "quote_min_size": "1",
            "base_min_size": "0.00000001",
            "base_max_size": "3400",
            "quote_max_size": "150000000",
            "status": "online",
            "product_type": "SPOT",
            "base_currency_id": "BTC",
            "quote_currency_id": "USD",
            "trading_disabled": False,
            "is_disabled": False,
        }
        return web.json_response({"products": [product], "num_products": 1})

    async def _kraken_instruments(self, request: web.Request) -> web.Response:
        pair = {
            "altname": "XBTUSD",
            "wsname": "XBT/USD",
            "base": "XXBT",
            "quote": "ZUSD",
            "pair_decimals": 1,
            "lot_decimals": 8,
            "cost_decimals": 5,
            "tick_size": "0.1",
            "ordermin": "0.00005",
            "costmin": "0.5",
            "status": "online",
            "fees": [[0, 0.4]],
            "fees_maker": [[0, 0.25]],
            "leverage_buy": [],
            "leverage_sell": [],
        }
        return web.json_response({"error": [], "result": {"XXBTZUSD": pair}})


@contextmanager
def in_background(api: PublicApi) -> Generator[PublicApi]:
    """Serves from a thread of its own, for tests that wait for other processes without an event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="public-api")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(api.start(), loop).result(10)
        yield api
    finally:
        asyncio.run_coroutine_threadsafe(api.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
