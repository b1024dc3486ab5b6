"""Replays as jobs: in turns, behind what trades, stopped by hand, and going on when there is room again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.clock import ManualClock
from alphapulse.daemon.jobs import store
from alphapulse.daemon.jobs.replay import ReplayJob, enqueue_replay
from alphapulse.domain.funds import Replay, ReplayState
from alphapulse.domain.jobs import JobState
from alphapulse.domain.tenancy import Role
from alphapulse.errors import StorageFull
from alphapulse.ports.database import Transaction
from alphapulse.ports.queue import Turn
from alphapulse.settings import load
from tests.conftest import MakeTenant
from tests.daemon.house import CONFIG, House, build_house
from tests.daemon.test_jobs import MIDNIGHT, Desk
from tests.daemon.waiting import eventually, working

ONE_BAR = timedelta(0)
LONG = 20_000
REPLAYS = frozenset({"replay"})


@pytest.fixture
async def desk(database: PostgresDatabase, urls: DatabaseUrls, make_tenant: MakeTenant, tmp_path: Path) -> Desk:
    clock = ManualClock(MIDNIGHT + timedelta(minutes=5))
    services = build_house(database, urls, load(data_directory=tmp_path), clock, tmp_path)
    return Desk(services, clock, await make_tenant(database))


async def begin(desk: Desk, name: str, bars: int) -> Replay:
    async def enqueue(tx: Transaction, replay: Replay) -> None:
        await enqueue_replay(desk.services.queue, tx, desk.tenant_id, replay.id)

    await desk.fund(name, running=False)
    return await desk.services.replays.start(desk.tenant_id, name, bars=bars, enqueue=enqueue)


def arguments_of(desk: Desk, replay: Replay) -> dict[str, str]:
    return {"tenant_id": str(desk.tenant_id), "replay_id": str(replay.id)}


async def found(desk: Desk, name: str, replay: Replay) -> Replay:
    return await desk.services.replays.get(desk.tenant_id, name, replay.id)


async def test_a_replay_job_does_some_bars_and_asks_for_another_turn(desk: Desk) -> None:
    replay = await begin(desk, "past", 3)
    job = ReplayJob(replays=desk.services.replays, turn=ONE_BAR)
    turns = [await job.run(arguments_of(desk, replay)) for _ in range(3)]
    assert turns == [Turn.AGAIN, Turn.AGAIN, Turn.OVER]
    assert (await found(desk, "past", replay)).state is ReplayState.FINISHED


async def test_long_replays_in_every_slot_leave_room_for_the_jobs_of_others_and_each_other(desk: Desk) -> None:
    ran = asyncio.Event()

    async def reconcile(_: Mapping[str, str]) -> None:
        ran.set()

    names = ("first", "second", "third")
    replays = [await begin(desk, name, LONG // 4) for name in names]
    turn = timedelta(milliseconds=200)
    async with working(
        desk.services.queue,
        {"replay": ReplayJob(replays=desk.services.replays, turn=turn).run, "reconcile": reconcile},
        resumable=REPLAYS,
    ):

        async def all_moved() -> bool:
            return all([(await found(desk, *each)).bars_done for each in zip(names, replays, strict=True)])

        await eventually(all_moved)
        async with desk.services.database.shared() as tx:
            await desk.services.queue.enqueue(tx, "reconcile", {})
        await asyncio.wait_for(ran.wait(), 5)
    assert {(await found(desk, *each)).state for each in zip(names, replays, strict=True)} == {ReplayState.RUNNING}


async def test_a_replay_survives_a_full_disk_and_goes_on_at_its_cursor(desk: Desk, urls: DatabaseUrls) -> None:
    replay = await begin(desk, "past", 5)
    job = ReplayJob(replays=desk.services.replays, turn=ONE_BAR)
    await job.run(arguments_of(desk, replay))
    with psycopg.connect(urls.admin or "", autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION app.no_room() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$;"
            " CREATE TRIGGER no_room BEFORE INSERT ON app.equity EXECUTE FUNCTION app.no_room()"
        )
        with pytest.raises(StorageFull):
            await job.run(arguments_of(desk, replay))
        stands = await found(desk, "past", replay)
        assert (stands.state, stands.bars_done) == (ReplayState.RUNNING, 1)
        connection.execute("DROP TRIGGER no_room ON app.equity; DROP FUNCTION app.no_room()")
    async with working(desk.services.queue, {"replay": job.run}, resumable=REPLAYS):

        async def over() -> bool:
            return (await found(desk, "past", replay)).state is ReplayState.FINISHED

        await eventually(over)
    assert len(await desk.services.books.history(desk.tenant_id, "past")) == 5


async def test_a_running_replay_is_stopped_by_a_trader_and_its_job_ends(desk: Desk) -> None:
    replay = await begin(desk, "past", LONG // 4)
    function = ReplayJob(replays=desk.services.replays, turn=timedelta(milliseconds=200)).run
    async with working(desk.services.queue, {"replay": function}, resumable=REPLAYS):

        async def moved() -> bool:
            return (await found(desk, "past", replay)).bars_done > 0

        await eventually(moved)
        stopped = await desk.services.replays.stop(desk.tenant_id, "past", replay.id, actor="ann")

        async def ended() -> bool:
            async with desk.services.database.transaction(desk.tenant_id) as tx:
                jobs = await store.list_jobs(tx, tenant_id=None, state=None, name="replay", before=None, limit=9)
            return [job.state for job in jobs] == [JobState.DONE]

        await eventually(ended)
    assert stopped.state is ReplayState.STOPPED
    assert (await found(desk, "past", replay)).bars_done == stopped.bars_done
    assert await desk.services.books.verify(desk.tenant_id, "past") == []


async def test_a_replay_is_stopped_over_http_once_and_for_good(house: House) -> None:
    trader = await house.as_(Role.TRADER)
    body = {"name": "past", "capital": "1000", "config": CONFIG}
    assert (await house.ask("POST", "/funds", body, headers=trader)).status_code == 201
    made = (await house.ask("POST", "/funds/past/replays", {"bars": 50}, headers=trader)).json()
    path = f"/funds/past/replays/{made['id']}"
    assert (await house.ask("DELETE", path, headers=await house.as_(Role.VIEWER))).status_code == 403
    for _ in range(2):
        answer = await house.ask("DELETE", path, headers=trader)
        assert (answer.status_code, answer.json()["state"]) == (200, "stopped")
    assert (await house.ask("GET", path, headers=trader)).json()["state"] == "stopped"
    nobodys = await house.ask("DELETE", f"/funds/past/replays/{UUID(int=7)}", headers=trader)
    assert nobodys.status_code == 404
