"""Candle files of every dialect into the catalogue, and what is refused."""

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
from alphapulse.domain.market import ImportReport, Series, Timeframe
from alphapulse.errors import Conflict, InvalidInput
from alphapulse.market.catalogue import Catalogue
from alphapulse.market.importer import identify
from alphapulse.market.service import Market
from alphapulse.quant.window import Window
from tests.candles import RECORDED, START, needs_recorded

BTC = Series("binance", "BTC/USDT", Timeframe.H4)
NAME = "binance_BTC-USDT_4h.csv"
ROWS = (
    ("100.5", "101.25", "99.75", "100.0", "12.5"),
    ("100.0", "102.0", "98.5", "101.5", "8.25"),
    ("101.5", "101.5", "101.5", "101.5", "0"),
)
TIMES = tuple(START + index * timedelta(hours=4) for index in range(len(ROWS)))
MILLISECONDS = [int(at.timestamp()) * 1000 for at in TIMES]


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(
        catalogue=Catalogue(tmp_path / "candles"),
        sources={},
        instruments={},
        clock=ManualClock(START + timedelta(days=9)),
    )


def kline(stamp: object, *cells: str) -> str:
    return ",".join([str(stamp), *cells])


def headed(stamps: list[str], *, header: str = "open_time_ms,open,high,low,close,volume") -> str:
    return "\n".join([header, *(kline(stamp, *row) for stamp, row in zip(stamps, ROWS, strict=True))]) + "\n"


async def bring(market: Market, folder: Path, content: str | bytes, name: str = NAME) -> ImportReport:
    path = folder / "upload"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return await market.import_candles(path, name)


async def stored(market: Market) -> Window:
    return await market.window(BTC, TIMES[-1] + timedelta(hours=4), 10)


def as_stamps(factor: int) -> list[str]:
    return [str(stamp * factor // 1000) for stamp in MILLISECONDS]


@pytest.mark.parametrize(
    "content",
    [
        headed(as_stamps(1000)),
        headed(as_stamps(1)),
        headed(as_stamps(1_000_000)),
        headed(as_stamps(1_000_000_000)),
        headed([f"{stamp}.0" for stamp in as_stamps(1)]),
        headed([at.isoformat() for at in TIMES]),
        headed([at.strftime("%Y-%m-%d %H:%M:%S.000000") for at in TIMES]),
        headed([at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in TIMES]),
        headed([at.astimezone().isoformat() for at in TIMES]),
        headed([f'"{at:%Y-%m-%d %H:%M}"' for at in TIMES], header="Date,Open,High,Low,Close,Volume BTC"),
        headed(as_stamps(1000), header="unix,o,h,l,c,vol"),
        headed(as_stamps(1000), header="Timestamp,Open Price,High Price,Low Price,Close Price,Base Volume"),
        headed(as_stamps(1000)).replace(",", ";"),
        headed(as_stamps(1000)).replace(",", "\t"),
        headed(as_stamps(1000)).replace("\n", "\r\n"),
        headed(as_stamps(1000)).replace("\n", "\n\n"),
        "\ufeff" + headed(as_stamps(1000)),
        headed(as_stamps(1000)).partition("\n")[2],
        "\n".join(
            kline(stamp, *row, str(stamp + 14_399_999), "1250.0", "77", "1", "2", "0")
            for stamp, row in zip(MILLISECONDS, ROWS, strict=True)
        ),
        "\n".join(reversed(headed(as_stamps(1000)).partition("\n")[2].split())),
    ],
    ids=[
        "milliseconds", "seconds", "microseconds", "nanoseconds", "float seconds", "iso", "naive iso", "zulu", "offset",
        "capitals", "letters", "words", "semicolons", "tabs", "crlf", "blank lines", "byte order mark", "no header",
        "binance klines", "newest first",
    ],
)  # fmt: skip
async def test_every_dialect_of_csv_brings_the_same_bars(market: Market, tmp_path: Path, content: str) -> None:
    report = await bring(market, tmp_path, content)
    assert (report.series, report.rows, report.added, report.duplicates, report.gaps) == (BTC, 3, 3, 0, ())
    window = await stored(market)
    assert window.open_ms.tolist() == MILLISECONDS
    columns = (window.open, window.high, window.low, window.close, window.volume)
    assert [[column[row] for column in columns] for row in range(3)] == [[float(cell) for cell in row] for row in ROWS]


@pytest.mark.parametrize("kind", ["timestamp", "zoned", "integers", "text", "nanoseconds"])
@pytest.mark.parametrize("format_", ["parquet", "feather"])
async def test_parquet_and_feather_bring_the_same_bars(market: Market, tmp_path: Path, kind: str, format_: str) -> None:
    times = {
        "timestamp": pa.array([at.replace(tzinfo=None) for at in TIMES], pa.timestamp("ms")),
        "zoned": pa.array(TIMES, pa.timestamp("us", "UTC")),
        "integers": pa.array(MILLISECONDS),
        "text": pa.array([at.strftime("%Y-%m-%d %H:%M:%S") for at in TIMES]),
        "nanoseconds": pa.array([at.replace(tzinfo=None) for at in TIMES], pa.timestamp("ns")),
    }[kind]
    columns = np.array([[float(cell) for cell in row] for row in ROWS]).T
    table = pa.table([times, *columns], names=["date", "open", "high", "low", "close", "volume"])
    sink = pa.BufferOutputStream()
    if format_ == "parquet":
        pq.write_table(table, sink)
    else:
        feather.write_feather(table, sink)
    report = await bring(market, tmp_path, sink.getvalue().to_pybytes(), f"binance_BTC-USDT_4h.{format_}")
    assert report.added == 3
    assert (await stored(market)).open_ms.tolist() == MILLISECONDS


GOOD = headed(as_stamps(1000))
LAST = str(MILLISECONDS[2])


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (GOOD.replace("101.25", "0.00002854.1"), r"line 2, column 3 \(high\): '0.00002854.1' is not a number"),
        (GOOD.replace("8.25", ""), r"line 3, column 6 \(volume\): '' is not a number"),
        (GOOD.replace("8.25", "nan"), r"line 3, column 6 \(volume\)"),
        (GOOD.replace("8.25", "1e400"), r"line 3, column 6 \(volume\)"),
        (GOOD.replace("8.25", "-1"), r"line 3, column 6 \(volume\): -1.0 is not a number zero or more"),
        (GOOD.replace("8.25", "1_000"), r"line 3, column 6 \(volume\)"),
        (GOOD.replace("102.0", "98.0"), r"line 3, column 3 \(high\): 98.0 does not enclose"),
        (GOOD.replace("98.5", "101.8"), r"line 3, column 4 \(low\)"),
        (GOOD.replace("98.5", "0"), r"line 3, column 4 \(low\): 0.0 is not a number above zero"),
        (GOOD.replace(LAST, str(MILLISECONDS[2] + 60_000)), r"line 4, column 1 \(open_time_ms\).*start of a 4h bar"),
        (GOOD.replace(LAST, "yesterday"), r"line 4, column 1 \(open_time_ms\): 'yesterday' is not a time"),
        (GOOD.replace(LAST, str(MILLISECONDS[0])), r"line 4, column 2 \(open\): differs from line 2"),
        (GOOD.replace(",8.25", ""), r"line 3: 5 cells, expected 6"),
        (GOOD + "\n\n" + GOOD.split("\n")[1].replace("100.5", "x"), r"line 7, column 2 \(open\): 'x'"),
        (GOOD.replace(",volume", ",turnover"), "no column for volume"),
        (GOOD.replace("\n", ",oops\n", 1), r"line 2: 6 cells, expected 7"),
        (kline(MILLISECONDS[0], "1", "1", "1", "1"), "5 cells, a candle needs 6"),
        ("open_time_ms,open,high,low,close,volume\n", "no candles"),
        ("", "is empty"),
        (" \n\n", "is empty"),
        (b"\xff\xfe\x00bad", "not UTF-8"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"PAR1 and then nothing of the kind", "damaged"),
        (b"ARROW1 and then nothing of the kind", "damaged"),
    ],
)  # fmt: skip
async def test_a_bad_cell_is_refused_by_file_line_and_column_and_nothing_is_imported(
    market: Market, tmp_path: Path, content: str | bytes, place: str
) -> None:
    with pytest.raises(InvalidInput, match=place) as refused:
        await bring(market, tmp_path, content)
    assert NAME in refused.value.message
    assert refused.value.field == "file"
    assert refused.value.fix
    assert await market.series() == []


async def test_an_empty_or_wrong_cell_of_a_table_is_refused_by_its_row(market: Market, tmp_path: Path) -> None:
    columns = {name: [1.0, 1.0, 1.0] for name in ("open", "high", "low", "close", "volume")}
    for broken, place in (
        ([1.0, None, 1.0], r"row 2, column 5 \(close\): the cell is empty"),
        (["1", "x", "1"], r"column 5 \(close\)"),
    ):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"time": MILLISECONDS, **columns, "close": broken}), sink)
        with pytest.raises(InvalidInput, match=place):
            await bring(market, tmp_path, sink.getvalue().to_pybytes())


def evenly(minutes: int, count: int = 9) -> str:
    rows = [kline(MILLISECONDS[0] + index * minutes * 60_000, "1", "2", "1", "2", "3") for index in range(count)]
    return "\n".join(["open_time_ms,open,high,low,close,volume", *rows])


@pytest.mark.parametrize(
    ("minutes", "timeframe", "said"),
    [
        (240, "1h", r"most rows are 4h apart, which contradicts the timeframe 1h"),
        (60, "4h", r"most rows are 1h apart, which contradicts the timeframe 4h"),
        (720, "4h", r"most rows are 12:00:00 apart, which contradicts the timeframe 4h"),
    ],
)
async def test_rows_of_another_timeframe_are_refused_naming_both(
    market: Market, tmp_path: Path, minutes: int, timeframe: str, said: str
) -> None:
    (tmp_path / "upload").write_text(evenly(minutes))
    with pytest.raises(InvalidInput, match=said) as refused:
        await market.import_candles(tmp_path / "upload", NAME, timeframe=timeframe)
    assert (refused.value.field, await market.series()) == ("timeframe", [])


async def test_a_file_with_many_gaps_is_still_of_its_timeframe(market: Market, tmp_path: Path) -> None:
    lines = evenly(240, 30).splitlines()
    report = await bring(market, tmp_path, "\n".join(line for number, line in enumerate(lines) if number % 3 != 2))
    assert (report.added, len(report.gaps)) == (20, 10)


async def test_duplicates_collapse_and_are_counted(market: Market, tmp_path: Path) -> None:
    lines = GOOD.splitlines()
    report = await bring(market, tmp_path, "\n".join([*lines, lines[2], lines[3]]))
    assert (report.rows, report.added, report.duplicates) == (5, 3, 2)
    again = await bring(market, tmp_path, GOOD)
    assert (again.rows, again.added, again.duplicates) == (3, 0, 3)
    assert len(await stored(market)) == 3


async def test_a_file_that_contradicts_stored_bars_is_refused_as_a_whole(market: Market, tmp_path: Path) -> None:
    await bring(market, tmp_path, "\n".join(GOOD.splitlines()[:3]))
    with pytest.raises(Conflict, match=r"2026-01-01T04:00:00.*close 101.5.*101.75") as refused:
        await bring(market, tmp_path, GOOD.replace("98.5,101.5", "98.5,101.75"))
    assert "venue" in refused.value.fix
    assert len(await stored(market)) == 2


async def test_gaps_are_reported_and_filled_by_a_later_file(market: Market, tmp_path: Path) -> None:
    lines = GOOD.splitlines()
    report = await bring(market, tmp_path, "\n".join([lines[0], lines[1], lines[3]]))
    assert [(gap.start, gap.end, gap.bars) for gap in report.gaps] == [(TIMES[1], TIMES[2], 1)]
    assert list(report.gaps) == await market.gaps(BTC)
    assert (await market.series())[0].gaps == 1
    await bring(market, tmp_path, "\n".join([lines[0], lines[2]]))
    assert await market.gaps(BTC) == []
    assert (await market.series())[0].bars == 3


async def test_the_instrument_is_derived_once_and_later_files_cannot_change_it(market: Market, tmp_path: Path) -> None:
    await bring(market, tmp_path, GOOD)
    derived = (await market.instruments("binance"))["BTC/USDT"]
    # Prices have two decimal places; a lot of a symbol priced above 100 is worth at most one quote unit.
    assert (derived.price_increment, derived.quantity_increment) == (Decimal("0.01"), Decimal("0.001"))
    assert (derived.min_quantity, derived.min_notional) == (Decimal("0.001"), Decimal(5))
    finer = kline(MILLISECONDS[0] - 14_400_000, "1.23456", "1.23456", "1.23456", "1.23456", "1.234567")
    await bring(market, tmp_path, finer)
    hours = kline(MILLISECONDS[0], "1.23456", "1.23456", "1.23456", "1.23456", "1.234567")
    await bring(market, tmp_path, hours, "binance_BTC-USDT_1h.csv")
    assert (await market.instruments("binance"))["BTC/USDT"] == derived


@pytest.mark.parametrize(
    ("filename", "series"),
    [
        ("binance_BTC-USDT_4h.csv", BTC),
        ("bad-cell_ADA-BTC_1m.csv", Series("bad_cell", "ADA/BTC", Timeframe.M1)),
        ("My Venue_btc-usdt_1d.parquet", Series("my_venue", "BTC/USDT", Timeframe.D1)),
    ],
)
def test_the_file_name_says_which_series_it_holds(filename: str, series: Series) -> None:
    assert identify(filename, None, None, None) == series


def test_what_is_given_goes_before_the_file_name() -> None:
    assert identify(NAME, "kraken", "ETH/EUR", "1h") == Series("kraken", "ETH/EUR", Timeframe.H1)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ((None, None, None), "venue"),
        (("binance", None, None), "symbol"),
        (("binance", "BTC/USDT", None), "timeframe"),
        (("Binance!", "BTC/USDT", "1h"), "venue"),
        (("../../etc", "BTC/USDT", "1h"), "venue"),
        (("binance", "../BTC", "1h"), "symbol"),
        (("binance", "BTC/USDT", "7h"), "timeframe"),
    ],
)
def test_a_series_that_cannot_be_told_is_refused_by_field(given: tuple[str | None, ...], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        identify("candles.csv", *given)
    assert refused.value.field == field


@needs_recorded
@pytest.mark.parametrize(
    ("name", "rows", "gaps", "tick", "lot"),
    [
        ("binance_BTC-USDT_4h.csv", 500, 0, "0.01", "0.00001"),
        ("binance_ETH-USDT_4h.csv", 500, 0, "0.01", "0.0001"),
        ("binance_SOL-USDT_4h.csv", 500, 0, "0.01", "0.001"),
        ("binance_BNB-USDT_4h.csv", 500, 0, "0.1", "0.001"),
        ("perp_BTC-USD_1m.csv", 45_031, 0, "1", "0.00001"),
        ("binance_ETH-BTC_5m.feather", 5_760, 0, "0.00000001", "0.00000001"),
        ("binance_ADA-BTC_5m.feather", 5_720, 5, "0.00000001", "0.0000001"),
        ("binance_DASH-BTC_5m.feather", 5_758, 2, "0.00000001", "0.00000001"),
    ],
)
async def test_recorded_candles_are_imported(
    market: Market, name: str, rows: int, gaps: int, tick: str, lot: str
) -> None:
    report = await market.import_candles(RECORDED / name, name)
    assert (report.rows, report.added, len(report.gaps)) == (rows, rows, gaps)
    instrument = (await market.instruments(report.series.venue))[report.series.symbol]
    assert (instrument.price_increment, instrument.quantity_increment) == (Decimal(tick), Decimal(lot))


@needs_recorded
async def test_recorded_klines_with_a_broken_cell_are_refused(market: Market, tmp_path: Path) -> None:
    lines = (RECORDED / "bad-cell_ADA-BTC_1m.csv").read_text().splitlines()
    lines[3] = lines[3].replace("0.00002857", "0.00002854.1")
    with pytest.raises(
        InvalidInput, match=r"ADA-BTC_1m.csv, line 4, column 5 \(close\): '0.00002854.1' is not a number"
    ):
        await bring(market, tmp_path, "\n".join(lines), "binance_ADA-BTC_1m.csv")
    assert await market.series() == []


def test_times_with_an_offset_are_moved_to_utc() -> None:
    assert datetime.fromtimestamp(MILLISECONDS[0] / 1000, UTC) == START
