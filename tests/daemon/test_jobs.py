"""The jobs' own work: due funds decide, missed bars are recorded, interrupted work is taken up again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.clock import ManualClock, SystemClock
from alphapulse.daemon.jobs import store
from alphapulse.daemon.jobs.cycle import CycleJob
from alphapulse.daemon.jobs.maintenance import KEEP_JOBS, MaintenanceJob
from alphapulse.daemon.jobs.reconcile import ReconcileJob, recover
from alphapulse.daemon.jobs.replay import ReplayJob
from alphapulse.daemon.services import Services
from alphapulse.domain import wire
from alphapulse.domain.funds import Fund, FundConfig, FundMode, Replay, ReplayState
from alphapulse.domain.orders import OrderRequest, OrderStatus, OrderType, Side
from alphapulse.domain.wire import write_time
from alphapulse.errors import Refused
from alphapulse.ports.database import Transaction
from alphapulse.settings import load
from tests.conftest import MakeTenant
from tests.daemon.house import CONFIG, VENUE, build_house

BAR = timedelta(hours=4)
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
#: A little after a bar's close, as the schedule fires.
SETTLE = timedelta(seconds=10)


class Desk:
    """A tenant's funds over the synthetic market, and a clock that the test moves."""

    def __init__(self, services: Services, clock: ManualClock, tenant_id: UUID) -> None:
        self.services = services
        self.clock = clock
        self.tenant_id = tenant_id

    async def fund(self, name: str, *, running: bool = True) -> Fund:
        config = wire.decode(FundConfig, {**CONFIG, "agents": [{"name": "trend"}]})
        fund = await self.services.funds.create(self.tenant_id, name, FundMode.PAPER, Decimal(100_000), config, "test")
        return await self.services.funds.start(self.tenant_id, name, "test") if running else fund

    async def cycle(self, slot: datetime, **more: str) -> None:
        """The cycle job at the slot, run when the schedule would."""
        self.clock.advance(slot + SETTLE - self.clock.now())
        await self.job().run({"timeframe": "4h", "slot": write_time(slot), **more})

    def job(self) -> CycleJob:
        services = self.services
        return CycleJob(
            database=services.database,
            funds=services.funds,
            cycle=services.cycle,
            clock=self.clock,
            telemetry=services.telemetry,
            settle=SETTLE,
        )

    async def decisions(self, name: str) -> list[tuple[datetime, str]]:
        found = await self.services.books.decisions(self.tenant_id, name, limit=100)
        return [(decision.at, decision.state.value) for decision in reversed(found)]

    async def jobs(self) -> list[str]:
        async with self.services.database.transaction(self.tenant_id) as tx:
            rows = await tx.all("SELECT name FROM jobs WHERE state = 'queued'")
        return [row["name"] for row in rows]


@pytest.fixture
async def desk(database: PostgresDatabase, urls: DatabaseUrls, make_tenant: MakeTenant, tmp_path: Path) -> Desk:
    clock = ManualClock(MIDNIGHT + timedelta(minutes=5))
    services = build_house(database, urls, load(data_directory=tmp_path), clock, tmp_path)
    return Desk(services, clock, await make_tenant(database))


async def test_running_funds_decide_on_the_slot_and_stopped_ones_do_not(desk: Desk) -> None:
    await desk.fund("runs")
    await desk.fund("rests", running=False)
    await desk.cycle(MIDNIGHT + BAR)
    assert await desk.decisions("runs") == [(MIDNIGHT + BAR, "made")]
    assert await desk.decisions("rests") == []


async def test_a_repeated_job_decides_nothing_twice(desk: Desk) -> None:
    await desk.fund("runs")
    await desk.cycle(MIDNIGHT + BAR)
    await desk.cycle(MIDNIGHT + BAR)
    assert len(await desk.decisions("runs")) == 1


async def test_bars_that_closed_while_no_daemon_ran_are_recorded_as_missed(desk: Desk) -> None:
    await desk.fund("runs")
    await desk.cycle(MIDNIGHT + BAR)
    await desk.cycle(MIDNIGHT + 4 * BAR)
    assert await desk.decisions("runs") == [
        (MIDNIGHT + BAR, "made"),
        (MIDNIGHT + 2 * BAR, "missed"),
        (MIDNIGHT + 3 * BAR, "missed"),
        (MIDNIGHT + 4 * BAR, "made"),
    ]


async def test_bars_that_closed_while_the_fund_was_stopped_are_not_missed(desk: Desk) -> None:
    await desk.fund("runs")
    await desk.cycle(MIDNIGHT + BAR)
    await desk.services.funds.stop(desk.tenant_id, "runs", "test")
    desk.clock.advance(2 * BAR)
    await desk.services.funds.start(desk.tenant_id, "runs", "test")
    await desk.cycle(MIDNIGHT + 4 * BAR)
    assert await desk.decisions("runs") == [(MIDNIGHT + BAR, "made"), (MIDNIGHT + 4 * BAR, "made")]


async def test_a_fund_first_decides_on_a_bar_that_closes_after_its_start_unless_asked(desk: Desk) -> None:
    await desk.fund("runs")
    await desk.cycle(MIDNIGHT)
    assert await desk.decisions("runs") == []
    await desk.cycle(MIDNIGHT, asked="yes")
    assert await desk.decisions("runs") == [(MIDNIGHT, "made")]


async def test_an_overtaken_slot_is_left_to_the_newest(desk: Desk) -> None:
    await desk.fund("runs")
    desk.clock.advance(2 * BAR + SETTLE)
    await desk.job().run({"timeframe": "4h", "slot": write_time(MIDNIGHT + BAR)})
    assert await desk.decisions("runs") == []


async def test_a_fund_that_fails_does_not_stop_the_others(desk: Desk, urls: DatabaseUrls) -> None:
    broken, sound = await desk.fund("broken"), await desk.fund("sound")
    break_config(urls, broken)
    with pytest.raises(Refused, match=f"1 of 2 funds failed.*{broken.id}"):
        await desk.cycle(MIDNIGHT + BAR)
    assert await desk.decisions(sound.name) == [(MIDNIGHT + BAR, "made")]


def break_config(urls: DatabaseUrls, fund: Fund) -> None:
    """As a defect or a careless hand in the database would."""
    with psycopg.connect(urls.admin or "", autocommit=True) as connection:
        connection.execute(
            "UPDATE app.fund_configs SET config = config || '{\"surprise\": 1}' WHERE fund_id = %s", [fund.id]
        )


async def start_replay(desk: Desk, name: str) -> Replay:
    """Stored without a job, as when every attempt of one was given up."""
    return await desk.services.replays.start(desk.tenant_id, name, bars=5)


async def test_a_replay_job_runs_to_the_end(desk: Desk) -> None:
    await desk.fund("past", running=False)
    replay = await start_replay(desk, "past")
    await ReplayJob(replays=desk.services.replays).run({"tenant_id": str(desk.tenant_id), "replay_id": str(replay.id)})
    found = await desk.services.replays.get(desk.tenant_id, "past", replay.id)
    assert (found.state, found.bars_done) == (ReplayState.FINISHED, 5)


async def test_a_replay_that_cannot_go_on_is_marked_failed_and_its_job_given_up(desk: Desk, urls: DatabaseUrls) -> None:
    fund = await desk.fund("past", running=False)
    replay = await start_replay(desk, "past")
    break_config(urls, fund)
    with pytest.raises(Refused):
        await ReplayJob(replays=desk.services.replays).run(
            {"tenant_id": str(desk.tenant_id), "replay_id": str(replay.id)}
        )
    with psycopg.connect(urls.admin or "") as connection:
        rows = connection.execute("SELECT state, error FROM app.replays").fetchall()
    assert rows[0][0] == "failed"
    assert "surprise" in rows[0][1]


async def test_a_start_queues_a_running_replay_that_no_job_carries_on_and_does_so_once(desk: Desk) -> None:
    await desk.fund("past", running=False)
    await start_replay(desk, "past")
    for _ in range(2):
        await recover(desk.services.database, desk.services.queue)
    assert await desk.jobs() == ["replay"]
    async with desk.services.database.shared() as tx:
        assert await store.pending_any(tx, "reconcile")


async def test_a_start_leaves_a_replay_alone_whose_job_still_waits(desk: Desk) -> None:
    async def enqueue(tx: Transaction, replay: Replay) -> None:
        arguments = {"tenant_id": str(desk.tenant_id), "replay_id": str(replay.id)}
        await desk.services.queue.enqueue(tx, "replay", arguments, tenant_id=desk.tenant_id)

    await desk.fund("past", running=False)
    await desk.services.replays.start(desk.tenant_id, "past", bars=5, enqueue=enqueue)
    await recover(desk.services.database, desk.services.queue)
    assert await desk.jobs() == ["replay"]


async def test_reconciliation_settles_the_live_orders_of_running_funds(desk: Desk) -> None:
    fund = await desk.fund("runs")
    prices = await desk.services.market.prices(VENUE, ["BTC/USDT"], fund.config.timeframe, MIDNIGHT)
    limit = (prices["BTC/USDT"].value * Decimal("0.99")).quantize(Decimal(1))
    request = OrderRequest(VENUE, "BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal("0.01"), limit)
    placed = await desk.services.desk.place(fund, request, key="k", as_of=MIDNIGHT, actor="test")
    assert placed.order.status is OrderStatus.OPEN
    desk.clock.advance(timedelta(days=60))
    services = desk.services
    job = ReconcileJob(database=services.database, funds=services.funds, desk=services.desk, market=services.market)
    await job.run({})
    settled = await services.books.order(desk.tenant_id, placed.order.id)
    assert settled.status is OrderStatus.FILLED
    async with services.database.shared() as tx:
        assert await store.funds_with_live_orders(tx) == []


async def test_maintenance_deletes_old_finished_jobs_of_everybody_and_keeps_failed_ones(
    desk: Desk, urls: DatabaseUrls
) -> None:
    now = SystemClock().now()
    old = now - KEEP_JOBS - timedelta(minutes=1)
    with psycopg.connect(urls.admin or "", autocommit=True) as connection:
        for number, (tenant, state, at) in enumerate(
            (
                (None, "done", old),
                (None, "failed", old),
                (desk.tenant_id, "done", old),
                (desk.tenant_id, "done", now),
            )
        ):
            connection.execute(
                "INSERT INTO app.jobs (id, name, tenant_id, arguments, state, attempts, error, queued_at, finished_at)"
                " VALUES (%s, 'x', %s, '{}', %s, 1, '', %s, %s)",
                [UUID(int=number), tenant, state, at, at],
            )
        services = desk.services
        maintenance = MaintenanceJob(database=services.database, delivery=services.delivery, accounts=services.accounts)
        await maintenance.run({})
        left = connection.execute("SELECT id FROM app.jobs ORDER BY id").fetchall()
    assert [row[0].int for row in left] == [1, 3]
