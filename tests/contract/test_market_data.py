"""What every source of candles keeps; ccxt's three venues talk to a real HTTP server that answers as they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from aiohttp import web

from alphapulse.adapters.market_data.ccxt import CcxtMarketData
from alphapulse.adapters.market_data.synthetic import ANCHOR, SyntheticMarketData
from alphapulse.clock import ManualClock
from alphapulse.domain.market import Instrument, Series, Timeframe
from alphapulse.errors import Misconfigured, NotFound, TooManyRequests, Unavailable
from alphapulse.ports.market_data import MarketData
from alphapulse.quant.resample import resample
from alphapulse.quant.window import Window
from tests.candles import START, random_walk, window_of
from tests.fakes.public_api import PublicApi
from tests.fakes.recorded import RecordedMarketData

HOUR = timedelta(hours=1)
SYMBOLS = {
    "binance": "BTC/USDT",
    "coinbase": "BTC/USD",
    "kraken": "BTC/USD",
    "recorded": "BTC/USDT",
    "synthetic": "BTC/USDT",
}
VENUES = ("binance", "coinbase", "kraken")
HOURS = 2400
#: Ten minutes before the newest recorded bar closes.
NOW = START + HOURS * HOUR - timedelta(minutes=10)
CLOSED = START + (HOURS - 1) * HOUR


@dataclass
class Source:
    """One adapter, its venue, and what it must answer: the recorded hours, or None where it makes up its own."""

    adapter: MarketData
    series: Series
    recorded: Window | None


@pytest.fixture
async def api() -> AsyncIterator[PublicApi]:
    opened = PublicApi(window_of(random_walk(HOURS), timeframe=Timeframe.H1))
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture(params=SYMBOLS)
async def source(request: pytest.FixtureRequest, api: PublicApi) -> AsyncIterator[Source]:
    venue: str = request.param
    series = Series(venue, SYMBOLS[venue], Timeframe.H1)
    if venue in VENUES:
        adapter = CcxtMarketData(venue, clock=ManualClock(NOW), api_url=api.url)
        yield Source(adapter, series, api.recorded)
        await adapter.close()
    elif venue == "recorded":
        step = Decimal("0.01")
        listed = (Instrument("recorded", "BTC/USDT", step, step, step, step),)
        yield Source(RecordedMarketData({series: api.recorded}, listed), series, api.recorded)
    else:
        yield Source(SyntheticMarketData(), series, None)


@pytest.fixture(params=VENUES)
async def live(request: pytest.FixtureRequest, api: PublicApi) -> AsyncIterator[CcxtMarketData]:
    adapter = CcxtMarketData(
        request.param, clock=ManualClock(NOW), api_url=api.url, timeout=timedelta(milliseconds=700)
    )
    yield adapter
    await adapter.close()


def series_of(live: CcxtMarketData, timeframe: Timeframe = Timeframe.H1) -> Series:
    return Series(live.venue, SYMBOLS[live.venue], timeframe)


def same(one: Window, other: Window) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("timeframe", "open_ms", "open", "high", "low", "close", "volume")
    )


async def test_bars_are_closed_whole_and_between_the_times_asked_for(source: Source) -> None:
    since, until = CLOSED - 48 * HOUR, CLOSED - 3 * HOUR
    window = await source.adapter.candles(source.series, since, until)
    assert len(window) == 45
    assert window.timeframe is Timeframe.H1
    assert window.closed_at(0) == since + HOUR
    assert window.closed_at(-1) == until
    assert (np.diff(window.open_ms) == 3_600_000).all()
    assert (window.low > 0).all()
    assert (window.low <= np.minimum(window.open, window.close)).all()
    assert (window.high >= np.maximum(window.open, window.close)).all()
    assert (window.volume >= 0).all()
    if source.recorded is not None:
        assert same(window, source.recorded.since(since).until(until))


async def test_times_between_bars_are_rounded_inwards(source: Source) -> None:
    since, until = CLOSED - timedelta(hours=5, minutes=30), CLOSED - timedelta(minutes=30)
    window = await source.adapter.candles(source.series, since, until)
    assert window.closed_at(0) == CLOSED - 4 * HOUR
    assert window.closed_at(-1) == CLOSED - HOUR


async def test_asking_again_gives_the_same(source: Source) -> None:
    whole = await source.adapter.candles(source.series, CLOSED - 30 * HOUR, CLOSED)
    part = await source.adapter.candles(source.series, CLOSED - 10 * HOUR, CLOSED - 5 * HOUR)
    assert same(whole.since(CLOSED - 10 * HOUR).until(CLOSED - 5 * HOUR), part)


async def test_an_empty_stretch_gives_no_bars(source: Source) -> None:
    assert len(await source.adapter.candles(source.series, CLOSED, CLOSED)) == 0
    assert len(await source.adapter.candles(source.series, CLOSED, CLOSED - HOUR)) == 0


async def test_a_foreign_series_is_not_found(source: Source) -> None:
    for series in (
        Series(source.series.venue, "NOPE/USDT", Timeframe.H1),
        Series("elsewhere", source.series.symbol, Timeframe.H1),
    ):
        with pytest.raises(NotFound):
            await source.adapter.candles(series, CLOSED - HOUR, CLOSED)


async def test_instruments_name_the_venue_and_its_steps(source: Source) -> None:
    instruments = await source.adapter.instruments(source.series.venue)
    found = {instrument.symbol: instrument for instrument in instruments}[source.series.symbol]
    assert found.venue == source.series.venue
    assert found.price_increment <= Decimal("0.1")
    assert found.min_notional > 0
    assert await source.adapter.instruments("elsewhere") == ()


async def test_the_forming_bar_is_never_returned(live: CcxtMarketData) -> None:
    window = await live.candles(series_of(live), CLOSED - 3 * HOUR, NOW + 5 * HOUR)
    assert window.closed_at(-1) == CLOSED


@pytest.mark.parametrize(("timeframe", "bars"), [(Timeframe.H1, 700), (Timeframe.H4, 170), (Timeframe.D1, 20)])
async def test_many_bars_come_page_by_page(
    live: CcxtMarketData, api: PublicApi, timeframe: Timeframe, bars: int
) -> None:
    until = timeframe.floor(CLOSED)
    window = await live.candles(series_of(live, timeframe), until - bars * timeframe.length, until)
    assert len(window) == bars
    expected = resample(api.recorded, timeframe).until(until).tail(bars)
    assert np.array_equal(window.open_ms, expected.open_ms)
    assert np.array_equal(window.close, expected.close)
    assert np.allclose(window.volume, expected.volume)


async def test_a_long_stretch_of_binance_takes_three_requests(api: PublicApi) -> None:
    adapter = CcxtMarketData("binance", clock=ManualClock(NOW), api_url=api.url)
    window = await adapter.candles(series_of(adapter), START, CLOSED)
    await adapter.close()
    assert same(window, api.recorded.until(CLOSED))
    assert len(api.requests) == 3


async def test_what_lies_before_the_venues_memory_is_missing_and_no_error(live: CcxtMarketData, api: PublicApi) -> None:
    window = await live.candles(series_of(live), START - 30 * HOUR, START + HOURS * HOUR)
    assert window.closed_at(-1) == CLOSED
    # Kraken keeps 720 candles, the forming one among them.
    assert len(window) == (719 if live.venue == "kraken" else HOURS - 1)


@pytest.mark.parametrize(
    ("status", "error"), [(500, Unavailable), (503, Unavailable), (404, Unavailable), (429, TooManyRequests)]
)
async def test_a_venue_in_trouble_is_reported_as_ours(
    live: CcxtMarketData, api: PublicApi, status: int, error: type[Exception]
) -> None:
    api.answer = lambda: web.Response(status=status, text="<html>sorry</html>")
    with pytest.raises(error, match=live.venue):
        await live.candles(series_of(live), CLOSED - HOUR, CLOSED)
    api.answer = None
    assert len(await live.candles(series_of(live), CLOSED - HOUR, CLOSED)) == 1


async def test_a_venue_that_does_not_answer_is_given_up(live: CcxtMarketData, api: PublicApi) -> None:
    await live.candles(series_of(live), CLOSED - HOUR, CLOSED)
    api.stall = True
    with pytest.raises(Unavailable, match="did not answer"):
        await live.candles(series_of(live), CLOSED - HOUR, CLOSED)


async def test_a_venue_that_cannot_be_reached_is_unavailable(live: CcxtMarketData, api: PublicApi) -> None:
    await api.stop()
    with pytest.raises(Unavailable, match=live.venue):
        await live.candles(series_of(live), CLOSED - HOUR, CLOSED)


async def test_an_answer_that_is_not_json_is_unavailable(live: CcxtMarketData, api: PublicApi) -> None:
    api.answer = lambda: web.Response(text="{not json")
    with pytest.raises(Unavailable):
        await live.candles(series_of(live), CLOSED - HOUR, CLOSED)


async def test_an_impossible_candle_is_refused_with_its_whole_answer(api: PublicApi) -> None:
    ms = int((CLOSED - HOUR).timestamp() * 1000)
    api.answer = lambda: web.json_response([[ms, "1", "0.5", "1", "1", "1", ms + 1, "0", 1, "0", "0", "0"]])
    adapter = CcxtMarketData("binance", clock=ManualClock(NOW), api_url=api.url)
    with pytest.raises(Unavailable, match="impossible"):
        await adapter.candles(series_of(adapter), CLOSED - HOUR, CLOSED)
    await adapter.close()


async def test_what_is_not_traded_is_no_instrument(api: PublicApi) -> None:
    adapter = CcxtMarketData("binance", clock=ManualClock(NOW), api_url=api.url)
    instruments = await adapter.instruments("binance")
    await adapter.close()
    assert instruments == (
        Instrument("binance", "BTC/USDT", Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"), Decimal(5)),
    )


def test_a_venue_without_an_adapter_is_refused_by_name() -> None:
    with pytest.raises(Misconfigured, match="mtgox"):
        CcxtMarketData("mtgox", clock=ManualClock(NOW))


async def test_the_synthetic_market_is_the_same_in_every_process_and_another_with_another_seed() -> None:
    series = Series("synthetic", "ETH/USDT", Timeframe.H4)
    one, other, third = SyntheticMarketData(), SyntheticMarketData(), SyntheticMarketData(seed=8)
    late = await one.candles(series, CLOSED - 60 * HOUR, CLOSED)
    assert same(late, await other.candles(series, CLOSED - 60 * HOUR, CLOSED))
    assert not same(late, await third.candles(series, CLOSED - 60 * HOUR, CLOSED))


async def test_the_synthetic_timeframes_are_made_of_the_same_minutes() -> None:
    source = SyntheticMarketData()
    since, until = ANCHOR + timedelta(days=40), ANCHOR + timedelta(days=43)
    minutes = await source.candles(Series("synthetic", "SOL/USDT", Timeframe.M1), since, until)
    assert len(minutes) == 3 * 1440
    assert np.array_equal(minutes.open[1:], minutes.close[:-1])
    for timeframe in Timeframe:
        bars = await source.candles(Series("synthetic", "SOL/USDT", timeframe), since, until)
        assert same(bars, resample(minutes, timeframe))


async def test_the_synthetic_market_begins_in_2020_and_its_coins_move_together() -> None:
    source, long_ago = SyntheticMarketData(), datetime(1, 1, 1, tzinfo=UTC)
    days = [
        await source.candles(Series("synthetic", symbol, Timeframe.D1), long_ago, ANCHOR + timedelta(days=800))
        for symbol in ("BTC/USDT", "ETH/USDT", "DOGE/USDT")
    ]
    assert all(len(window) == 800 and window.closed_at(0) == ANCHOR + timedelta(days=1) for window in days)
    returns = [np.diff(np.log(window.close)) for window in days]
    together = np.corrcoef(returns)
    assert 0.4 < together[0, 2] < together[0, 1] < 0.95
    assert 0.3 < returns[0].std() * np.sqrt(365) < 0.9
