"""What no candle file may bring in, however well it is formed, and times that lie outside of any market."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from alphapulse.clock import ManualClock
from alphapulse.domain.market import ImportReport, Instrument, Series, Timeframe
from alphapulse.domain.money import QUANTUM
from alphapulse.domain.wire import decode, encode
from alphapulse.errors import InvalidInput, NotFound
from alphapulse.market.catalogue import Catalogue
from alphapulse.market.rows import MOST_ROWS
from alphapulse.market.service import Market
from alphapulse.quant.window import to_ms
from tests.candles import START, random_walk, window_of
from tests.fakes.recorded import RecordedMarketData

BTC = Series("binance", "BTC/USDT", Timeframe.H4)
NAME = "binance_BTC-USDT_4h.csv"
BAR = timedelta(hours=4)
NOW = START + 100 * BAR
FIRST = to_ms(START)
HEADER = "time,open,high,low,close,volume\n"
GOOD = f"{FIRST},1,2,0.5,1.5,10\n"
COLUMNS = ("open", "high", "low", "close", "volume")


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(catalogue=Catalogue(tmp_path / "candles"), sources={}, instruments={}, clock=ManualClock(NOW))


async def bring(market: Market, folder: Path, content: str | bytes, name: str = NAME) -> ImportReport:
    path = folder / "upload"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return await market.import_candles(path, name)


def packed(table: pa.Table, format_: str) -> bytes:
    sink = pa.BufferOutputStream()
    if format_ == "parquet":
        pq.write_table(table, sink, compression="zstd")
    else:
        feather.write_feather(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1e-15,2e-15,1e-16,1e-15,1", r"line 1, column 2 \(open\): 1e-15 is out of range.*at least 1e-12"),
        ("1e-12,2e-12,1e-13,1e-12,1", r"line 1, column 4 \(low\): 1e-13 is out of range"),
        ("1,1e15,0.5,1.5,1", r"line 1, column 3 \(high\): 1000000000000000.0 is out of range.*less than 1e15"),
        ("1,1e308,0.5,1.5,1", r"line 1, column 3 \(high\)"),
        ("1,2,0.5,1.5,1e15", r"line 1, column 6 \(volume\): 1000000000000000.0 is out of range"),
    ],
)
async def test_what_the_books_cannot_hold_is_refused_by_line_and_column(
    market: Market, tmp_path: Path, row: str, problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem) as refused:
        await bring(market, tmp_path, f"{FIRST},{row}\n")
    assert NAME in refused.value.message
    assert await market.series() == []


@pytest.mark.parametrize("price", ["0.00000012", "1.2e-9", "1.2345e-10", "1e-12", "9e14"])
async def test_steps_of_any_price_fit_the_books(market: Market, tmp_path: Path, price: str) -> None:
    await bring(market, tmp_path, f"{FIRST},{price},{price},{price},{price},3\n")
    (instrument,) = (await market.instruments("binance")).values()
    assert min(instrument.price_increment, instrument.quantity_increment) >= QUANTUM
    assert decode(Instrument, encode(instrument)) == instrument


async def test_one_instrument_that_cannot_be_traded_hides_no_other(market: Market, tmp_path: Path) -> None:
    step = Decimal("1e-18")
    catalogue = Catalogue(tmp_path / "candles")
    window = window_of(random_walk(9))
    catalogue.merge(BTC, window, "import")
    tiny = Series("binance", "TNY/USDT", Timeframe.H4)
    catalogue.merge(tiny, window, "import", Instrument("binance", "TNY/USDT", step, step, step, step))
    assert set(await market.instruments("binance")) == {"BTC/USDT"}
    # The next file derives it anew.
    await bring(market, tmp_path, f"{to_ms(START - BAR)},100,101,99,100,1\n", "binance_TNY-USDT_4h.csv")
    assert set(Catalogue(tmp_path / "candles").instruments("binance")) == {"BTC/USDT", "TNY/USDT"}


async def test_one_damaged_file_hides_no_other_instrument(market: Market, tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "candles")
    for symbol in ("BTC/USDT", "ETH/USDT"):
        catalogue.merge(Series("binance", symbol, Timeframe.H4), window_of(random_walk(9)), "import")
    catalogue.path(BTC).write_bytes(b"PAR1")
    assert set(await market.instruments("binance")) == {"ETH/USDT"}


@pytest.mark.parametrize("opens", [NOW, datetime(2200, 1, 1, tzinfo=UTC)])
async def test_a_bar_that_had_not_closed_is_refused_by_line(market: Market, tmp_path: Path, opens: datetime) -> None:
    with pytest.raises(InvalidInput, match=r"line 2, column 1 \(time\): the 4h bar of .* had not closed at 2026-01-17"):
        await bring(market, tmp_path, GOOD + f"{to_ms(opens)},1,2,0.5,1.5,10\n")
    assert await market.series() == []


async def test_the_bar_that_has_just_closed_is_accepted_and_a_clock_may_be_seconds_off(tmp_path: Path) -> None:
    clock = ManualClock(NOW - timedelta(seconds=5))
    market = Market(catalogue=Catalogue(tmp_path / "candles"), sources={}, instruments={}, clock=clock)
    await bring(market, tmp_path, GOOD + f"{to_ms(NOW - BAR)},1,2,0.5,1.5,10\n")
    # Not the market's time before the clock says so.
    assert await market.now("binance", ["BTC/USDT"], Timeframe.H4) == START + BAR
    clock.advance(timedelta(seconds=5))
    assert await market.now("binance", ["BTC/USDT"], Timeframe.H4) == NOW


async def test_stored_bars_of_the_future_are_not_the_markets_time(market: Market, tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "candles")
    catalogue.merge(BTC, window_of(random_walk(3), start=NOW + 1000 * BAR), "import")
    with pytest.raises(NotFound):
        await market.now("binance", ["BTC/USDT"], Timeframe.H4)
    catalogue.merge(BTC, window_of(random_walk(3)), "import")
    assert await market.now("binance", ["BTC/USDT"], Timeframe.H4) == START + 3 * BAR
    assert (await market.candles(BTC, until=NOW + 5000 * BAR)).closed_at(-1) == START + 3 * BAR


@pytest.mark.parametrize("year", [1, 1960])
async def test_a_time_before_1970_is_refused_by_line(market: Market, tmp_path: Path, year: int) -> None:
    with pytest.raises(InvalidInput, match=r"line 2, column 1 \(time\)"):
        await bring(market, tmp_path, f"{HEADER}{year:04}-01-01T00:00:00Z,1,2,0.5,1.5,10\n")


@pytest.mark.parametrize("format_", ["parquet", "feather"])
async def test_a_table_of_too_many_rows_is_refused_before_it_is_unpacked(
    market: Market, tmp_path: Path, format_: str
) -> None:
    rows = MOST_ROWS + 1
    ones = pa.array(np.ones(rows))
    content = packed(pa.table([pa.array(np.zeros(rows, np.int64)), *[ones] * 5], names=["time", *COLUMNS]), format_)
    usual, watched = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(watched)
    try:
        with pytest.raises(InvalidInput, match=rf"{rows} rows, at most {MOST_ROWS} are read"):
            await bring(market, tmp_path, content)
    finally:
        pa.set_memory_pool(usual)
    assert (watched.max_memory() or 0) < 20 * 2**20


async def test_a_text_of_too_many_rows_is_refused(market: Market, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"at most {MOST_ROWS} are read"):
        await bring(market, tmp_path, b"0,1,1,1,1,1\n" * (MOST_ROWS + 2))


@pytest.mark.parametrize("format_", ["parquet", "feather"])
async def test_columns_that_no_candle_needs_are_not_read(market: Market, tmp_path: Path, format_: str) -> None:
    values = {name: [1.0] * 40 for name in COLUMNS}
    times = [FIRST + index * BAR // timedelta(milliseconds=1) for index in range(40)]
    content = packed(pa.table({"note": ["x" * 2_000_000] * 40, "time": times, **values}), format_)
    usual, watched = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(watched)
    try:
        assert (await bring(market, tmp_path, content)).added == 40
    finally:
        pa.set_memory_pool(usual)
    assert 0 < (watched.max_memory() or 0) < 20 * 2**20


@pytest.mark.parametrize("format_", ["parquet", "feather"])
async def test_columns_that_unpack_to_gigabytes_or_hold_no_values_are_refused(
    market: Market, tmp_path: Path, format_: str
) -> None:
    values = {name: [1.0] * 60 for name in COLUMNS}
    times = [FIRST + index * BAR // timedelta(milliseconds=1) for index in range(60)]
    for broken, problem in (
        ({**values, "close": ["1" * 10_000_000] * 60}, r"close|bytes unpacked"),
        ({**values, "close": [[1.0]] * 60}, r"column close: list.* is neither a time nor a number"),
    ):
        with pytest.raises(InvalidInput, match=problem):
            await bring(market, tmp_path, packed(pa.table({"time": times, **broken}), format_))


@pytest.mark.parametrize(
    "content",
    [b"\0" * 1_000_000, b"1" * 3_000_000, b'"' + b"a" * 5_000_000, GOOD.encode() + b'"' + b"a" * 5_000_000],
    ids=["nothing but zero bytes", "one cell", "a quotation mark without end", "and after a good row"],
)
async def test_a_text_that_is_no_table_is_refused_by_line(market: Market, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"binance_BTC-USDT_4h\.csv, line \d+"):
        await bring(market, tmp_path, content)


@pytest.mark.parametrize("cell", [str(FIRST), "10"])
async def test_digits_of_other_scripts_are_no_numbers(market: Market, tmp_path: Path, cell: str) -> None:
    arabic = cell.translate({ord("0") + digit: chr(0x660 + digit) for digit in range(10)})
    with pytest.raises(InvalidInput, match="line 2, column"):
        await bring(market, tmp_path, HEADER + GOOD.replace(cell, arabic))


@pytest.mark.parametrize("served", [False, True], ids=["stored", "served"])
@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), None, 0),
        (None, datetime(1, 1, 1, tzinfo=UTC), 0),
        (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), 9),
        (datetime(9999, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), 0),
    ],
)
async def test_candles_of_any_time_are_an_answer(
    tmp_path: Path, served: bool, since: datetime | None, until: datetime | None, found: int
) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.merge(BTC, window_of(random_walk(9)), "import")
    sources = {"binance": RecordedMarketData({BTC: window_of(random_walk(9))}, ())} if served else {}
    market = Market(catalogue=catalogue, sources=sources, instruments={}, clock=ManualClock(NOW))
    assert len(await market.candles(BTC, since, until, 1000)) == found
