"""Replays: stored, resumable, and the same rows whatever instant the process dies at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.domain.events import EventKind
from alphapulse.domain.funds import Replay, ReplayState
from alphapulse.domain.market import Series, Timeframe
from alphapulse.errors import Conflict, InvalidInput, NotFound, Unavailable
from alphapulse.events import store as event_store
from alphapulse.market.catalogue import Catalogue
from alphapulse.market.service import Market
from alphapulse.ports.database import Transaction
from alphapulse.quant.simulation import PaperRules
from alphapulse.trading.replay import MOST_BARS, Replays
from tests.conftest import MakeTenant, Server
from tests.fakes.candles import START, wander
from tests.fakes.floor import (
    BARS,
    FIRST,
    SYMBOLS,
    VENUE,
    Floor,
    buy,
    configuration,
    hours,
    instruments,
    wandering,
)
from tests.fakes.fragile import FragileDatabase
from tests.fakes.recorded import RecordedMarketData
from tests.fakes.venue import Crash

ANN = "ann@example.com"
HOUR = timedelta(hours=1)
END = START + BARS * HOUR
#: Thin bars, so that orders rest, fill in parts and expire while processes die around them.
THIN = PaperRules(volume_share=Decimal("0.06"), market_bars=3)


async def finished(floor: Floor) -> list[str]:
    async with floor.database.transaction(floor.tenant_id) as tx:
        found = await event_store.read(tx, 0, 5000)
    return [event.subject for event in found if event.kind is EventKind.REPLAY_FINISHED]


async def test_a_replay_runs_every_bar_through_the_cycle(floor: Floor) -> None:
    fund = await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", bars=10)
    assert (replay.end_at, replay.bars_total, replay.bars_done) == (END, 10, 0)
    done = await floor.replays.run(floor.tenant_id, replay.id)
    assert (done.state, done.cursor, done.bars_done) == (ReplayState.FINISHED, END, 10)
    assert [row["at"] for row in await floor.rows(fund, "equity")] == hours(END - 9 * HOUR, 10)
    assert await finished(floor) == [str(replay.id)]
    assert await floor.books.verify(floor.tenant_id, "alpha") == []


async def test_a_replay_of_more_bars_than_there_are_begins_with_the_first(floor: Floor) -> None:
    fund = await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", bars=BARS + 300)
    assert (replay.start_at, replay.end_at, replay.bars_total) == (START + HOUR, END, BARS)
    await floor.replays.run(floor.tenant_id, replay.id)
    points = await floor.books.history(floor.tenant_id, "alpha")
    closes = {symbol: [float(close) for close in window.close] for symbol, window in wandering().items()}
    held = sum(found[-1] / found[0] for found in closes.values()) / len(closes)
    assert float(points[-1].benchmark / fund.capital) == pytest.approx(held)


async def test_a_start_before_the_first_candle_becomes_the_first_bar(floor: Floor) -> None:
    await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", start_at=START - 90 * HOUR, bars=5)
    assert (replay.start_at, replay.bars_total) == (START + HOUR, 5)


async def test_a_span_without_candles_is_refused_with_what_there_is(floor: Floor) -> None:
    await floor.fund()
    with pytest.raises(InvalidInput, match="paperville has bars closing from 2024-01-01 01:00 to 2024-01-03 00:00"):
        await floor.replays.start(floor.tenant_id, "alpha", end_at=START - 9 * HOUR, bars=5)


async def test_a_replay_leaves_the_rows_that_running_each_bar_by_hand_leaves(floor: Floor) -> None:
    by_hand, replayed = await floor.fund("by-hand"), await floor.fund("replayed")
    for at in hours(END - 9 * HOUR, 10):
        await floor.cycle.run(by_hand, at)
    replay = await floor.replays.start(floor.tenant_id, "replayed", bars=10)
    await floor.replays.run(floor.tenant_id, replay.id)
    ours, theirs = [await floor.books.history(floor.tenant_id, name) for name in ("by-hand", "replayed")]
    assert ours == theirs
    assert len(await floor.rows(by_hand, "fills")) == len(await floor.rows(replayed, "fills")) > 5


async def test_a_finished_replay_is_not_run_again(floor: Floor) -> None:
    fund = await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", bars=3)
    await floor.replays.run(floor.tenant_id, replay.id)
    before = await floor.all_rows(fund)
    assert (await floor.replays.run(floor.tenant_id, replay.id)).state is ReplayState.FINISHED
    assert await floor.all_rows(fund) == before


async def test_a_replay_run_by_two_workers_at_once_ends_like_one(floor: Floor) -> None:
    fund = await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", bars=8)
    workers = [Floor(floor.database, floor.tenant_id, floor.root) for _ in range(3)]
    ends = await asyncio.gather(*(worker.replays.run(floor.tenant_id, replay.id) for worker in workers))
    assert {end.state for end in ends} == {ReplayState.FINISHED}
    assert len(await floor.rows(fund, "equity")) == len(await floor.rows(fund, "decisions")) == 8
    assert await finished(floor) == [str(replay.id)]
    assert await floor.books.verify(floor.tenant_id, "alpha") == []


# Dying at every instant. Each run starts from a copy of one prepared database, so that every id is the same.


class Prepared:
    """A database with one tenant, one fund and one replay that has not begun."""

    def __init__(self, server: Server, root: Path) -> None:
        self.server, self.root = server, root
        self.urls = server.create()

    async def fill(self, make_tenant: MakeTenant) -> None:
        database = await PostgresDatabase.open(self.urls.app)
        self.tenant_id = await make_tenant(database)
        floor = Floor(database, self.tenant_id, self.root, rules=THIN)
        floor.store({symbol: wander(seed, BARS, volume=400.0) for seed, symbol in enumerate(SYMBOLS, 1)})
        self.fund = await floor.fund()
        self.replay = await floor.replays.start(self.tenant_id, "alpha", start_at=FIRST, bars=4)
        await database.close()

    async def run(self, *deaths: tuple[int, bool]) -> tuple[dict[str, list[dict[str, Any]]], int]:
        """The rows after a replay whose processes died like this, and how many transactions the last one ended."""
        copy = self.server.create(template=self.urls.app.rsplit("/", 1)[1].split("?")[0])
        database = await PostgresDatabase.open(copy.app)
        try:
            for dies_at, committed in deaths:
                with pytest.raises(Crash):
                    await self._process(FragileDatabase(database, dies_at=dies_at, committed=committed))
            living = FragileDatabase(database)
            assert (await self._process(living)).state is ReplayState.FINISHED
            floor = Floor(database, self.tenant_id, self.root, rules=THIN)
            assert await floor.books.verify(self.tenant_id, "alpha") == []
            return await floor.all_rows(self.fund), living.ended
        finally:
            await database.close()
            self.server.drop(copy)

    async def _process(self, database: FragileDatabase) -> Replay:
        floor = Floor(cast("PostgresDatabase", database), self.tenant_id, self.root, rules=THIN)
        return await floor.replays.run(self.tenant_id, self.replay.id)


@pytest.fixture
async def prepared(server: Server, tmp_path: Path, make_tenant: MakeTenant) -> AsyncIterator[Prepared]:
    made = Prepared(server, tmp_path)
    await made.fill(make_tenant)
    yield made
    server.drop(made.urls)


@pytest.mark.parametrize("committed", [False, True], ids=["before-commit", "after-commit"])
async def test_dying_at_any_transaction_ends_in_the_rows_of_an_undisturbed_run(
    prepared: Prepared, committed: bool
) -> None:
    undisturbed, transactions = await prepared.run()
    assert {row["status"] for row in undisturbed["orders"]} >= {"filled", "expired"}
    assert len(undisturbed["fills"]) > len(undisturbed["orders"]) > 3
    # The last transaction only reads how the run ended.
    for instant in range(1, transactions):
        rows, _ = await prepared.run((instant, committed))
        assert rows == undisturbed, f"died at transaction {instant} of {transactions}"


async def test_dying_again_and_again_ends_in_the_rows_of_an_undisturbed_run(prepared: Prepared) -> None:
    undisturbed, _ = await prepared.run()
    rows, _ = await prepared.run((3, True), (4, False), (2, True), (5, True), (3, False), (4, True))
    assert rows == undisturbed


# Stopping


async def test_a_stopped_replay_keeps_what_it_did_tells_so_once_and_frees_the_fund(floor: Floor) -> None:
    fund = await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", bars=4)
    half = await floor.replays.run(floor.tenant_id, replay.id, lasting=timedelta(0))
    assert (half.state, half.bars_done) == (ReplayState.RUNNING, 1)
    for _ in range(2):
        stopped = await floor.replays.stop(floor.tenant_id, "alpha", replay.id, actor=ANN)
        assert (stopped.state, stopped.bars_done) == (ReplayState.STOPPED, 1)
    assert (await floor.replays.run(floor.tenant_id, replay.id)).state is ReplayState.STOPPED
    assert len(await floor.rows(fund, "decisions")) == 1
    assert await finished(floor) == [str(replay.id)]
    await floor.replays.start(floor.tenant_id, "alpha")


async def test_a_replay_that_is_over_cannot_be_stopped(floor: Floor) -> None:
    await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", bars=2)
    await floor.replays.run(floor.tenant_id, replay.id)
    with pytest.raises(Conflict, match="finished"):
        await floor.replays.stop(floor.tenant_id, "alpha", replay.id, actor=ANN)


# Starting


async def test_a_replay_needs_a_stopped_fund(floor: Floor) -> None:
    await floor.fund()
    await floor.funds.start(floor.tenant_id, "alpha", ANN)
    with pytest.raises(Conflict, match="is running"):
        await floor.replays.start(floor.tenant_id, "alpha", bars=3)


async def test_a_fund_is_replayed_by_one_run_at_a_time_and_not_started_meanwhile(floor: Floor) -> None:
    await floor.fund()
    await floor.replays.start(floor.tenant_id, "alpha", bars=3)
    with pytest.raises(Conflict, match="already"):
        await floor.replays.start(floor.tenant_id, "alpha", bars=3)
    with pytest.raises(Conflict, match="replayed"):
        await floor.funds.start(floor.tenant_id, "alpha", ANN)


async def test_a_fund_cannot_go_back_in_time(floor: Floor) -> None:
    fund = await floor.fund()
    await floor.cycle.run(fund, FIRST + 5 * HOUR)
    with pytest.raises(Conflict, match="cannot go back"):
        await floor.replays.start(floor.tenant_id, "alpha", start_at=FIRST)
    onwards = await floor.replays.start(floor.tenant_id, "alpha")
    assert onwards.start_at == FIRST + 6 * HOUR


async def test_orders_by_hand_count_as_something_the_fund_did(floor: Floor) -> None:
    fund = await floor.fund()
    await floor.desk.place(fund, buy("1"), key="k", as_of=FIRST, actor=ANN)
    with pytest.raises(Conflict, match="cannot go back"):
        await floor.replays.start(floor.tenant_id, "alpha", start_at=FIRST)


async def test_without_a_span_a_replay_covers_what_every_symbol_has(floor: Floor) -> None:
    late = Floor(floor.database, floor.tenant_id, floor.root / "late")
    late.store({SYMBOLS[0]: wander(1, 20), SYMBOLS[1]: wander(2, 10, start=START + 10 * HOUR)})
    await late.fund()
    replay = await late.replays.start(late.tenant_id, "alpha")
    assert (replay.start_at, replay.end_at) == (START + 11 * HOUR, START + 20 * HOUR)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ({"start_at": START + 5 * HOUR, "end_at": START + 9 * HOUR}, (5, 9)),
        ({"start_at": START + 5.5 * HOUR, "bars": 3}, (5, 7)),
        ({"end_at": START + 9 * HOUR, "bars": 3}, (7, 9)),
        ({"end_at": END + 90 * HOUR, "bars": 1}, (BARS, BARS)),
    ],
)
async def test_a_span_is_given_by_two_of_start_end_and_bars(
    floor: Floor, span: dict[str, Any], expected: tuple[int, int]
) -> None:
    await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", **span)
    assert (replay.start_at, replay.end_at) == tuple(START + hour * HOUR for hour in expected)


@pytest.mark.parametrize(
    "span",
    [
        {"bars": 0},
        {"start_at": END + HOUR},
        {"start_at": START + 9 * HOUR, "end_at": START + 8 * HOUR},
        {"start_at": START, "end_at": END, "bars": 3},
    ],
)
async def test_a_span_without_bars_is_refused(floor: Floor, span: dict[str, Any]) -> None:
    await floor.fund()
    with pytest.raises(InvalidInput):
        await floor.replays.start(floor.tenant_id, "alpha", **span)


async def test_a_span_of_more_bars_than_one_replay_may_have_is_refused_with_how_many_it_has(floor: Floor) -> None:
    long = Floor(floor.database, floor.tenant_id, floor.root / "long")
    long.store({symbol: wander(seed, MOST_BARS + 5) for seed, symbol in enumerate(SYMBOLS, 1)})
    long.clock.advance(timedelta(days=4000))
    await long.fund()
    with pytest.raises(InvalidInput, match="100,005 bars") as refused:
        await long.replays.start(long.tenant_id, "alpha")
    assert "--bars" in refused.value.fix
    assert (await long.replays.start(long.tenant_id, "alpha", bars=MOST_BARS)).bars_total == MOST_BARS


async def test_a_replay_of_a_live_venue_begins_no_earlier_than_its_first_candle(floor: Floor) -> None:
    """The source says since when it has any; what it lacks is not replayed bar by bar."""
    windows = {Series(VENUE, symbol, Timeframe.H1): window for symbol, window in wandering().items()}
    market = Market(
        catalogue=Catalogue(floor.root / "live"),
        sources={VENUE: RecordedMarketData(windows, begins=START)},
        instruments={VENUE: instruments()},
        clock=floor.clock,
    )
    replays = Replays(database=floor.database, clock=floor.clock, cycle=floor.cycle, market=market)
    await floor.fund()
    replay = await replays.start(floor.tenant_id, "alpha", bars=1_000_000)
    assert replay.start_at == START + HOUR


async def test_the_job_is_enqueued_in_the_transaction_of_the_row(floor: Floor) -> None:
    await floor.fund()

    async def refuse(tx: Transaction, replay: Replay) -> None:
        raise Crash

    with pytest.raises(Crash):
        await floor.replays.start(floor.tenant_id, "alpha", bars=3, enqueue=refuse)
    await floor.replays.start(floor.tenant_id, "alpha", bars=3)


async def test_an_error_that_a_repeat_cannot_cure_fails_the_run_and_keeps_what_it_did(floor: Floor) -> None:
    fund = await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", bars=4)
    await floor.replays.fail(floor.tenant_id, replay.id, "the candles are gone")
    done = await floor.replays.run(floor.tenant_id, replay.id)
    assert (done.state, done.error) == (ReplayState.FAILED, "the candles are gone")
    assert await floor.rows(fund, "decisions") == []
    assert await finished(floor) == [str(replay.id)]
    await floor.funds.start(floor.tenant_id, "alpha", ANN)


async def test_a_replay_that_is_unknown_or_another_funds_is_not_found(floor: Floor) -> None:
    await floor.fund()
    await floor.fund("beta")
    replay = await floor.replays.start(floor.tenant_id, "alpha", bars=3)
    assert await floor.replays.get(floor.tenant_id, "alpha", replay.id) == replay
    for fund, identity in (("beta", replay.id), ("alpha", uuid4())):
        with pytest.raises(NotFound):
            await floor.replays.get(floor.tenant_id, fund, identity)


async def test_a_configuration_set_during_a_replay_is_in_force_from_the_next_bar(floor: Floor) -> None:
    fund = await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", start_at=FIRST, bars=2)
    await floor.cycle.run(fund, FIRST)
    with pytest.raises(Conflict, match="replayed"):
        daily = replace(configuration(), timeframe=Timeframe.D1)
        await floor.funds.configure(floor.tenant_id, "alpha", daily, ANN)
    await floor.funds.configure(floor.tenant_id, "alpha", configuration(strength=0.5), ANN)
    await floor.replays.run(floor.tenant_id, replay.id)
    versions = [row["config_version"] for row in await floor.rows(fund, "decisions")]
    assert sorted(versions) == [1, 2]


async def test_a_replay_waits_for_a_database_that_is_away(floor: Floor) -> None:
    await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", bars=2)
    await floor.database.close()
    with pytest.raises(Unavailable):
        await floor.replays.run(floor.tenant_id, replay.id)
