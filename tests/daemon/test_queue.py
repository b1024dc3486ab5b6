"""Jobs on Procrastinate: enqueued by a commit, repeated after a failure, recovered from dead workers."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.adapters.queue import store as store_of_queue
from alphapulse.adapters.queue.procrastinate import ProcrastinateQueue
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.daemon.jobs import store
from alphapulse.domain.jobs import JobRecord, JobState
from alphapulse.errors import Conflict, NotFound, Refused, Unavailable
from alphapulse.ports.queue import Turn
from tests.conftest import MakeTenant
from tests.daemon.replica import QUICK, marks
from tests.daemon.waiting import eventually, working

Spawn = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def queue(urls: DatabaseUrls, database: PostgresDatabase) -> ProcrastinateQueue:
    return ProcrastinateQueue(urls.app, database=database, telemetry=NoTelemetry(), rules=QUICK)


@pytest.fixture
def spawn(urls: DatabaseUrls) -> Iterator[Spawn]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-m", "tests.daemon.replica", urls.app, *arguments]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


async def enqueue(database: PostgresDatabase, queue: ProcrastinateQueue, name: str, **arguments: str) -> UUID:
    async with database.shared() as tx:
        return await queue.enqueue(tx, name, arguments)


async def job_of(database: PostgresDatabase, job_id: UUID, tenant_id: UUID | None = None) -> JobRecord:
    async with database.shared() if tenant_id is None else database.transaction(tenant_id) as tx:
        found = await store.get_job(tx, job_id)
    assert found is not None
    return found


def is_in(
    database: PostgresDatabase, job_id: UUID, state: JobState, tenant_id: UUID | None = None
) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return (await job_of(database, job_id, tenant_id)).state is state

    return look


async def nothing(_: Mapping[str, str]) -> None:
    return None


async def test_a_job_runs_once_with_its_arguments(database: PostgresDatabase, queue: ProcrastinateQueue) -> None:
    seen: list[Mapping[str, str]] = []

    async def note(arguments: Mapping[str, str]) -> None:
        seen.append(arguments)

    job = await enqueue(database, queue, "note", slot="2026-01-01T00:00:00Z")
    assert (await job_of(database, job)).state is JobState.QUEUED
    async with working(queue, {"note": note}):
        await eventually(is_in(database, job, JobState.DONE))
    assert seen == [{"slot": "2026-01-01T00:00:00Z"}]
    assert (await job_of(database, job)).attempts == 1


async def test_a_rolled_back_transaction_leaves_no_job(database: PostgresDatabase, queue: ProcrastinateQueue) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.shared() as tx:
            await queue.enqueue(tx, "note", {})
            raise ZeroDivisionError
    async with database.shared() as tx:
        assert await tx.all("SELECT id FROM jobs") == []
        assert await tx.all("SELECT id FROM procrastinate_jobs") == []


async def test_a_tenants_job_is_seen_by_that_tenant_alone(
    database: PostgresDatabase, queue: ProcrastinateQueue, make_tenant: MakeTenant
) -> None:
    acme, other = await make_tenant(database, "acme"), await make_tenant(database, "other")
    async with database.transaction(acme) as tx:
        job = await queue.enqueue(tx, "note", {}, tenant_id=acme)
    async with working(queue, {"note": nothing}):
        await eventually(is_in(database, job, JobState.DONE, acme))
    async with database.transaction(other) as tx:
        assert await store.get_job(tx, job) is None


async def test_a_failing_job_is_repeated_and_then_given_up(
    database: PostgresDatabase, queue: ProcrastinateQueue
) -> None:
    async def fail(_: Mapping[str, str]) -> None:
        raise Unavailable("the venue is down")

    job = await enqueue(database, queue, "fail")
    async with working(queue, {"fail": fail}):
        await eventually(is_in(database, job, JobState.FAILED))
    record = await job_of(database, job)
    assert (record.attempts, record.error) == (QUICK.attempts, "unavailable: the venue is down")


async def test_a_job_that_fails_once_is_done_at_the_second_attempt(
    database: PostgresDatabase, queue: ProcrastinateQueue
) -> None:
    attempts: list[None] = []

    async def fail_once(_: Mapping[str, str]) -> None:
        attempts.append(None)
        if len(attempts) == 1:
            raise ValueError("unlucky")

    job = await enqueue(database, queue, "fail_once")
    async with working(queue, {"fail_once": fail_once}):
        await eventually(is_in(database, job, JobState.DONE))
    assert (await job_of(database, job)).attempts == 2


async def test_a_refused_job_is_given_up_at_once(database: PostgresDatabase, queue: ProcrastinateQueue) -> None:
    async def refuse(_: Mapping[str, str]) -> None:
        raise Refused("never")

    job = await enqueue(database, queue, "refuse")
    async with working(queue, {"refuse": refuse}):
        await eventually(is_in(database, job, JobState.FAILED))
    assert (await job_of(database, job)).attempts == 1


async def test_a_given_up_job_can_be_retried_and_a_done_one_cannot(
    database: PostgresDatabase, queue: ProcrastinateQueue
) -> None:
    job = await enqueue(database, queue, "unknown-name")
    async with working(queue, {}):
        await eventually(is_in(database, job, JobState.FAILED))
    async with database.shared() as tx:
        await queue.requeue(tx, job)
    async with working(queue, {"unknown-name": nothing}):
        await eventually(is_in(database, job, JobState.DONE))
    record = await job_of(database, job)
    assert (record.attempts, record.error) == (1, "")
    with pytest.raises(Conflict):
        async with database.shared() as tx:
            await queue.requeue(tx, job)
    with pytest.raises(NotFound):
        async with database.shared() as tx:
            await queue.requeue(tx, UUID(int=7))


async def test_an_urgent_job_overtakes_those_that_wait(database: PostgresDatabase, queue: ProcrastinateQueue) -> None:
    order: list[str] = []

    async def note(arguments: Mapping[str, str]) -> None:
        order.append(arguments["key"])

    for key in ("first", "second", "third"):
        await enqueue(database, queue, "note", key=key)
    async with database.shared() as tx:
        last = await queue.enqueue(tx, "note", {"key": "urgent"}, urgent=True)
    async with working(queue, {"note": note}):
        await eventually(is_in(database, last, JobState.DONE))
    assert order[0] == "urgent"


async def test_a_job_that_asks_for_another_turn_goes_behind_those_that_wait_and_those_that_come(
    database: PostgresDatabase, queue: ProcrastinateQueue
) -> None:
    order: list[str] = []

    async def note(arguments: Mapping[str, str]) -> None:
        order.append(arguments["key"])

    async def long(arguments: Mapping[str, str]) -> Turn:
        order.append(arguments["key"])
        await enqueue(database, queue, "note", key=f"came in turn {len(order)}")
        return Turn.AGAIN if len(order) < 6 else Turn.OVER

    jobs: list[UUID] = []
    for key in ("one", "other"):
        async with database.shared() as tx:
            jobs.append(await queue.enqueue(tx, "long", {"key": key}, patient=True))
    await enqueue(database, queue, "note", key="waits")
    async with working(queue, {"long": long, "note": note}, concurrency=1):
        for job in jobs:
            await eventually(is_in(database, job, JobState.DONE))
    assert order[:6] == ["waits", "one", "came in turn 2", "other", "came in turn 4", "one"]
    record = await job_of(database, jobs[0])
    assert (record.attempts, record.error) == (1, "")


async def test_the_delivery_of_a_turn_that_is_over_is_dropped(
    database: PostgresDatabase, queue: ProcrastinateQueue
) -> None:
    """As when the worker dies after it stored that there is more to do, and its delivery is found orphaned."""
    job = await enqueue(database, queue, "long")
    async with database.shared() as tx:
        row = await tx.one("SELECT queue_id FROM jobs WHERE id = %(id)s", {"id": job})
        assert row is not None
        await store_of_queue.claim(tx, job, row["queue_id"])
        await store_of_queue.line_up(tx, job, row["queue_id"] + 1)
        assert await store_of_queue.claim(tx, job, row["queue_id"]) is None
        claimed = await store_of_queue.claim(tx, job, row["queue_id"] + 1)
    assert claimed is not None
    assert claimed["attempts"] == 1


async def test_a_job_of_a_killed_worker_runs_again(
    database: PostgresDatabase, queue: ProcrastinateQueue, spawn: Spawn
) -> None:
    worker = spawn()
    job = await enqueue(database, queue, "hang", key="x")
    await eventually(lambda: marks(database, "hang x"))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    spawn()
    await eventually(is_in(database, job, JobState.DONE))
    assert (await job_of(database, job)).attempts == 2


async def test_a_job_of_a_living_worker_is_left_alone(
    database: PostgresDatabase, queue: ProcrastinateQueue, spawn: Spawn
) -> None:
    spawn()
    await enqueue(database, queue, "hang", key="x")
    await eventually(lambda: marks(database, "hang x"))
    assert await queue.reap() == 0


async def test_a_job_that_kills_every_worker_is_given_up(
    database: PostgresDatabase, urls: DatabaseUrls, queue: ProcrastinateQueue, spawn: Spawn
) -> None:
    job = await enqueue(database, queue, "hang", key="x")
    with psycopg.connect(urls.admin or "", autocommit=True) as connection:
        connection.execute("UPDATE app.jobs SET attempts = %s", [QUICK.attempts])
    spawn()
    await eventually(is_in(database, job, JobState.FAILED))
    assert "ended with its worker" in (await job_of(database, job)).error
    assert await marks(database, "hang x") == 0


async def test_a_stopping_worker_gives_back_what_outlasts_the_drain(
    database: PostgresDatabase, urls: DatabaseUrls, spawn: Spawn
) -> None:
    rules = replace(QUICK, drain=QUICK.poll)
    queue = ProcrastinateQueue(urls.app, database=database, telemetry=NoTelemetry(), rules=rules)
    began = asyncio.Event()

    async def never_end(_: Mapping[str, str]) -> None:
        began.set()
        await asyncio.Event().wait()

    job = await enqueue(database, queue, "mark")
    async with working(queue, {"mark": never_end}):
        await asyncio.wait_for(began.wait(), 10)
    record = await job_of(database, job)
    assert (record.state, record.attempts) == (JobState.QUEUED, 0)
    spawn()
    await eventually(is_in(database, job, JobState.DONE))


async def test_a_stopping_worker_lets_a_short_job_end(database: PostgresDatabase, queue: ProcrastinateQueue) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def short(_: Mapping[str, str]) -> None:
        began.set()
        await may_end.wait()

    job = await enqueue(database, queue, "short")
    async with working(queue, {"short": short}):
        await asyncio.wait_for(began.wait(), 10)
        asyncio.get_running_loop().call_later(0.2, may_end.set)
    assert (await job_of(database, job)).state is JobState.DONE


async def test_a_worker_survives_losing_every_connection(
    database: PostgresDatabase, urls: DatabaseUrls, queue: ProcrastinateQueue
) -> None:
    async with working(queue, {"note": nothing}):
        first = await enqueue(database, queue, "note")
        await eventually(is_in(database, first, JobState.DONE))
        with psycopg.connect(urls.admin or "", autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND datname = current_database()"
            )
        second = await enqueue(database, queue, "note")
        await eventually(is_in(database, second, JobState.DONE))


async def test_enqueueing_over_a_connection_that_died_can_be_tried_again(
    urls: DatabaseUrls, database: PostgresDatabase, queue: ProcrastinateQueue
) -> None:
    with pytest.raises(Unavailable, match="terminating connection"):
        async with database.shared() as tx:
            row = await tx.one("SELECT pg_backend_pid() AS pid")
            assert row is not None
            async with await psycopg.AsyncConnection.connect(urls.admin or "", autocommit=True) as admin:
                await admin.execute("SELECT pg_terminate_backend(%s, 5000)", [row["pid"]])
            await queue.enqueue(tx, "mark", {})
