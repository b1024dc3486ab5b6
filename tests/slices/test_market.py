"""Windows, prices and instruments through memory, catalogue and live source; what happens when one of them fails."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from alphapulse.adapters.market_data.synthetic import SYMBOLS, SyntheticMarketData
from alphapulse.clock import ManualClock
from alphapulse.domain.market import Instrument, Series, Timeframe
from alphapulse.domain.money import book
from alphapulse.domain.portfolio import Price
from alphapulse.errors import InvalidInput, Misconfigured, NotFound, TryAgain, Unavailable
from alphapulse.market.catalogue import Catalogue
from alphapulse.market.service import Market
from alphapulse.ports.market_data import MarketData
from alphapulse.quant.window import Window, to_price
from tests.candles import START, random_walk, window_of, without
from tests.fakes.recorded import RecordedMarketData

BTC = Series("binance", "BTC/USDT", Timeframe.H4)
ETH = Series("binance", "ETH/USDT", Timeframe.H4)
BAR = timedelta(hours=4)
WINDOW = window_of(random_walk(100))
END = START + 100 * BAR
STEP = Decimal("0.5")
LISTED = Instrument("binance", "BTC/USDT", STEP, STEP, STEP, STEP)


class Wire(RecordedMarketData):
    """A recorded venue behind a line that can be cut. asked: the stretches that were asked for."""

    def __init__(self, windows: dict[Series, Window], instruments: tuple[Instrument, ...] = ()) -> None:
        super().__init__(windows, instruments)
        self.asked: list[tuple[datetime, datetime]] = []
        self.cut = False

    async def candles(self, series: Series, since: datetime, until: datetime) -> Window:
        self.asked.append((since, until))
        if self.cut:
            raise Unavailable("the line is cut")
        return await super().candles(series, since, until)

    async def instruments(self, venue: str) -> tuple[Instrument, ...]:
        if self.cut:
            raise Unavailable("the line is cut")
        return await super().instruments(venue)


def market_of(
    folder: Path, source: MarketData | None = None, *, now: datetime = END, cache_bytes: int = 2**20
) -> Market:
    return Market(
        catalogue=Catalogue(folder),
        sources={} if source is None else {"binance": source},
        instruments={},
        clock=ManualClock(now),
        cache_bytes=cache_bytes,
    )


def same(one: Window, other: Window) -> bool:
    return np.array_equal(one.open_ms, other.open_ms) and np.array_equal(one.close, other.close)


async def test_a_window_ends_with_the_bar_that_had_closed(tmp_path: Path) -> None:
    Catalogue(tmp_path).merge(BTC, WINDOW, "import")
    market = market_of(tmp_path)
    at = START + 50 * BAR
    window = await market.window(BTC, at, 10)
    assert len(window) == 10
    assert window.closed_at(-1) == at
    assert same(window, await market.window(BTC, at + timedelta(hours=3), 10))
    assert len(await market.window(BTC, START + 3 * BAR, 10)) == 3
    assert len(await market.window(BTC, START - BAR, 10)) == 0
    assert (await market.window(BTC, END + 9 * BAR, 10)).closed_at(-1) == END


async def test_a_series_that_nobody_has_is_not_found(tmp_path: Path) -> None:
    market = market_of(tmp_path)
    with pytest.raises(NotFound, match="BTC/USDT on binance"):
        await market.window(BTC, END, 10)
    with pytest.raises(NotFound):
        await market.gaps(BTC)
    with pytest.raises(NotFound, match="candles of BTC/USDT on binance"):
        await market.now("binance", ["BTC/USDT"], Timeframe.H4)
    with pytest.raises(NotFound, match="LTC"):
        await market_of(tmp_path, Wire({BTC: WINDOW})).window(Series("binance", "LTC/USDT", Timeframe.H4), END, 10)


@pytest.mark.parametrize(
    "series", [Series("../etc", "BTC/USDT", Timeframe.H4), Series("binance", "../x", Timeframe.H4)]
)
async def test_names_that_are_no_file_names_never_reach_the_disk(tmp_path: Path, series: Series) -> None:
    market = market_of(tmp_path)
    for call in (market.window(series, END, 1), market.gaps(series), market.candles(series)):
        with pytest.raises(InvalidInput):
            await call


async def test_prices_are_the_last_closes_with_their_times(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.merge(BTC, WINDOW, "import")
    catalogue.merge(ETH, WINDOW.until(START + 20 * BAR), "import")
    at = START + 30 * BAR
    prices = await market_of(tmp_path).prices("binance", ["BTC/USDT", "ETH/USDT", "XRP/USDT"], Timeframe.H4, at)
    assert prices == {
        "BTC/USDT": Price(book(to_price(WINDOW.close[29])), at),
        "ETH/USDT": Price(book(to_price(WINDOW.close[19])), START + 20 * BAR),
    }


async def test_now_is_the_newest_candle_without_a_source_and_the_clock_with_one(tmp_path: Path) -> None:
    Catalogue(tmp_path).merge(BTC, WINDOW, "import")
    late = END + timedelta(days=30, hours=1)
    assert await market_of(tmp_path, now=late).now("binance", ["BTC/USDT", "ETH/USDT"], Timeframe.H4) == END
    live = market_of(tmp_path, Wire({}), now=late)
    assert await live.now("binance", ["BTC/USDT"], Timeframe.H4) == END + timedelta(days=30)


async def test_candles_are_paged_forward_from_since_and_else_the_newest(tmp_path: Path) -> None:
    Catalogue(tmp_path).merge(BTC, WINDOW, "import")
    market = market_of(tmp_path)
    assert same(await market.candles(BTC, limit=5), WINDOW.tail(5))
    assert same(await market.candles(BTC, until=START + 7 * BAR, limit=5), WINDOW.until(START + 7 * BAR).tail(5))
    assert same(
        await market.candles(BTC, START + 3 * BAR, limit=4), WINDOW.since(START + 3 * BAR).until(START + 7 * BAR)
    )
    assert same(
        await market.candles(BTC, START + 3 * BAR, START + 5 * BAR),
        WINDOW.since(START + 3 * BAR).until(START + 5 * BAR),
    )
    with pytest.raises(InvalidInput):
        await market.candles(BTC, limit=0)


async def test_candles_from_since_reach_their_limit_across_a_gap(tmp_path: Path) -> None:
    Catalogue(tmp_path).merge(BTC, without(WINDOW, *range(4, 30)), "import")
    found = await market_of(tmp_path).candles(BTC, START, limit=10)
    assert len(found) == 10


async def test_what_another_process_imported_is_seen_at_the_next_call(tmp_path: Path) -> None:
    Catalogue(tmp_path).merge(BTC, WINDOW.until(START + 50 * BAR), "import")
    market = market_of(tmp_path)
    assert (await market.window(BTC, END, 1)).closed_at(-1) == START + 50 * BAR
    Catalogue(tmp_path).merge(BTC, WINDOW, "import")
    assert (await market.window(BTC, END, 1)).closed_at(-1) == END


async def test_memory_is_bounded_and_what_was_dropped_is_read_again(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    for series in (BTC, ETH):
        catalogue.merge(series, WINDOW, "import")
    market = market_of(tmp_path, cache_bytes=100 * 48)
    for series in (BTC, ETH, BTC):
        assert same(await market.window(series, END, 100), WINDOW)


async def test_a_live_venue_is_asked_once_and_kept_in_the_catalogue(tmp_path: Path) -> None:
    wire = Wire({BTC: WINDOW}, (LISTED,))
    market = market_of(tmp_path, wire)
    at = START + 60 * BAR
    assert same(await market.window(BTC, at, 20), WINDOW.until(at).tail(20))
    # One fetch runs on to the present, so that a replay does not ask for each bar.
    assert wire.asked == [(START + 40 * BAR, END)]
    for bars in range(60, 101):
        assert (await market.window(BTC, START + bars * BAR, 20)).closed_at(-1) == START + bars * BAR
    assert len(wire.asked) == 1
    again = market_of(tmp_path, wire)
    assert (await again.window(BTC, END, 20)).closed_at(-1) == END
    assert len(wire.asked) == 1
    assert [(info.bars, info.source) for info in await again.series()] == [(60, "binance")]
    assert (await market_of(tmp_path).instruments("binance"))["BTC/USDT"] == LISTED


async def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    wire = Wire({BTC: WINDOW})
    Catalogue(tmp_path).merge(BTC, without(WINDOW.until(START + 50 * BAR), *range(20, 30)), "import")
    market = market_of(tmp_path, wire)
    assert same(await market.window(BTC, START + 50 * BAR, 40), WINDOW.until(START + 50 * BAR).tail(40))
    assert wire.asked == [(START + 20 * BAR, START + 30 * BAR)]


async def test_many_who_want_the_same_candles_share_one_request(tmp_path: Path) -> None:
    wire = Wire({BTC: WINDOW})
    market = market_of(tmp_path, wire)
    await asyncio.gather(*(market.window(BTC, END, 30) for _ in range(50)))
    assert len(wire.asked) == 1


async def test_a_gap_of_the_venue_is_asked_for_once_and_stays_a_gap(tmp_path: Path) -> None:
    wire = Wire({BTC: without(WINDOW, 90, 91, 92)})
    market = market_of(tmp_path, wire)
    for _ in range(3):
        assert len(await market.window(BTC, END, 20)) == 17
    assert len(wire.asked) == 1
    assert [gap.bars for gap in await market.gaps(BTC)] == [3]


async def test_before_the_first_listing_nothing_is_asked_twice(tmp_path: Path) -> None:
    wire = Wire({BTC: WINDOW})
    market = market_of(tmp_path, wire)
    for _ in range(3):
        assert len(await market.window(BTC, START + 5 * BAR, 50)) == 5
    assert len(wire.asked) == 1


async def test_a_bar_that_is_late_is_not_asked_for_by_everyone_at_once(tmp_path: Path) -> None:
    wire = Wire({BTC: WINDOW})
    market = market_of(tmp_path, wire, now=END + BAR)
    for _ in range(10):
        assert (await market.window(BTC, END + BAR, 5)).closed_at(-1) == END
    assert len(wire.asked) == 1


async def test_stored_bars_stand_when_the_venue_tells_another_story(tmp_path: Path) -> None:
    Catalogue(tmp_path).merge(BTC, without(WINDOW, 50), "import")
    told = window_of(random_walk(100, seed=9))
    market = market_of(tmp_path, Wire({BTC: told}))
    window = await market.window(BTC, END, 100)
    assert window.close[50] == told.close[50]
    assert same(without(window, 50), without(WINDOW, 50))


async def test_while_a_source_is_down_what_is_stored_stands_and_its_trouble_is_said(tmp_path: Path) -> None:
    Catalogue(tmp_path).merge(BTC, WINDOW, "import")
    wire = Wire({BTC: WINDOW})
    wire.cut = True
    market = market_of(tmp_path, wire, now=END + 5 * BAR)
    for _ in range(10):
        assert (await market.window(BTC, END + 5 * BAR, 3)).closed_at(-1) == END
    assert len(wire.asked) == 1
    assert market.problems() == {"binance": "the line is cut"}
    with pytest.raises(TryAgain, match="the line is cut"):
        await market.window(ETH, END, 3)
    assert await market.prices("binance", ["ETH/USDT"], Timeframe.H4, END) == {}


async def test_instruments_are_those_configured_then_the_venues_then_the_kept_ones(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    for symbol in ("BTC/USDT", "ETH/USDT", "ADA/USDT"):
        catalogue.merge(Series("binance", symbol, Timeframe.H4), WINDOW, "import")
    kept = await market_of(tmp_path).instruments("binance")
    listed = tuple(Instrument("binance", symbol, STEP, STEP, STEP, STEP) for symbol in ("BTC/USDT", "ETH/USDT"))
    configured = Instrument("binance", "BTC/USDT", STEP * 2, STEP * 2, STEP * 2, STEP * 2)
    market = Market(
        catalogue=catalogue,
        sources={"binance": Wire({}, listed)},
        instruments={"binance": {"BTC/USDT": configured}},
        clock=ManualClock(END),
    )
    found = await market.instruments("binance")
    assert found == {"BTC/USDT": configured, "ETH/USDT": listed[1], "ADA/USDT": kept["ADA/USDT"]}
    assert await market.instruments("nowhere") == {}


async def test_instruments_of_a_venue_that_is_down_are_those_kept_or_cannot_be_told(tmp_path: Path) -> None:
    wire = Wire({})
    wire.cut = True
    with pytest.raises(TryAgain):
        await market_of(tmp_path, wire).instruments("binance")
    Catalogue(tmp_path).merge(BTC, WINDOW, "import")
    assert list(await market_of(tmp_path, wire).instruments("binance")) == ["BTC/USDT"]


async def test_a_symbol_is_tradable_as_soon_as_its_candles_are_imported(tmp_path: Path) -> None:
    market = market_of(tmp_path)
    assert await market.instruments("binance") == {}
    path = tmp_path / "upload"
    path.write_text("\n".join(f"{int(ms)},1,1,1,1,1" for ms in WINDOW.open_ms))
    await market.import_candles(path, "binance_BTC-USDT_4h.csv")
    assert list(await market.instruments("binance")) == ["BTC/USDT"]


async def test_the_synthetic_market_fills_the_catalogue_like_any_venue(tmp_path: Path) -> None:
    source = SyntheticMarketData()
    market = Market(
        catalogue=Catalogue(tmp_path), sources={"synthetic": source}, instruments={}, clock=ManualClock(END)
    )
    series = Series("synthetic", "BTC/USDT", Timeframe.H4)
    window = await market.window(series, END, 60)
    assert same(window, await source.candles(series, END - 60 * BAR, END))
    assert set(await market.instruments("synthetic")) == set(SYMBOLS)
    assert [info.source for info in await market.series()] == ["synthetic"]


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"PAR1 not really PAR1", None])
async def test_a_damaged_file_is_named_with_its_remedy(tmp_path: Path, damage: bytes | None) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.merge(BTC, WINDOW, "import")
    path = catalogue.path(BTC)
    path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    market = market_of(tmp_path)
    for call in (market.window(BTC, END, 1), market.series(), market.instruments("binance")):
        with pytest.raises(Misconfigured, match=r"BTC-USDT/4h\.parquet is damaged") as failed:
            await call
        assert "Delete this file" in failed.value.fix


async def test_a_foreign_parquet_file_in_the_catalogue_is_not_taken_for_candles(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    catalogue = Catalogue(tmp_path)
    path = catalogue.path(BTC)
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"open_ms": [1.5]}), path)
    for call in (catalogue.read, catalogue.info):
        with pytest.raises(Misconfigured, match="damaged"):
            call(BTC)


FULL_DISK = """
import resource, sys
from pathlib import Path
from alphapulse.errors import StorageFull
from alphapulse.market.catalogue import Catalogue
from tests.candles import random_walk, window_of
from tests.slices.test_market import BTC, WINDOW

catalogue = Catalogue(Path(sys.argv[1]))
before = catalogue.path(BTC).read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    catalogue.merge(BTC, window_of(random_walk(5000), start=WINDOW.closed_at(-1)), "import")
except StorageFull as error:
    assert "no room to write" in error.message and "nothing was changed" in error.fix
    assert catalogue.path(BTC).read_bytes() == before
    assert [path.name for path in catalogue.path(BTC).parent.iterdir() if path.suffix == ".tmp"] == []
    print("refused")
"""


def test_a_full_disk_leaves_the_catalogue_as_it_was(tmp_path: Path) -> None:
    # The system's limit on file sizes fails a write half way, as a full disk does.
    Catalogue(tmp_path).merge(BTC, WINDOW, "import")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "refused\n", done.stderr


def test_two_processes_that_add_bars_at_once_lose_none(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from alphapulse.market.catalogue import Catalogue;"
        "from tests.slices.test_market import BTC, WINDOW, START, BAR;"
        "first = int(sys.argv[2]); catalogue = Catalogue(Path(sys.argv[1]));"
        "parts = [WINDOW.since(START + i * BAR).until(START + (i + 1) * BAR) for i in range(first, 60, 2)];"
        "[catalogue.merge(BTC, part, 'import') for part in parts]"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(first)], cwd=Path(__file__).parents[2])
        for first in (0, 1)
    ]
    assert [process.wait(60) for process in running] == [0, 0]
    stored = Catalogue(tmp_path).read(BTC)
    assert stored is not None
    assert same(stored, WINDOW.until(START + 60 * BAR))
