"""What runs when: each slot once, however many replicas fire it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.adapters.queue.procrastinate import ProcrastinateQueue
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.clock import SystemClock
from alphapulse.daemon import schedule_store
from alphapulse.daemon.jobs.service import Jobs
from alphapulse.daemon.schedule import SCHEDULE, Recurrence, Schedule, next_firing
from alphapulse.domain.jobs import JobState
from alphapulse.domain.market import Timeframe
from alphapulse.errors import NotFound
from tests.daemon.replica import EVERY_SECOND, QUICK, marks
from tests.daemon.test_queue import Spawn, spawn
from tests.daemon.waiting import eventually

__all__ = ["spawn"]

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAILY = Recurrence("daily", "0 0 * * *", timedelta(days=1), "note", "Notes")


def schedule_on(database: PostgresDatabase, urls: DatabaseUrls, *entries: Recurrence) -> Schedule:
    queue = ProcrastinateQueue(urls.app, database=database, telemetry=NoTelemetry(), rules=QUICK)
    return Schedule(
        database=database, queue=queue, clock=SystemClock(), settle=timedelta(0), entries=entries or SCHEDULE
    )


def jobs_on(database: PostgresDatabase, urls: DatabaseUrls, schedule: Schedule) -> Jobs:
    queue = ProcrastinateQueue(urls.app, database=database, telemetry=NoTelemetry(), rules=QUICK)
    return Jobs(database=database, queue=queue, schedule=schedule, clock=SystemClock())


async def ticks(database: PostgresDatabase) -> Counter[str]:
    """How often each slot of the ticking entry ran."""
    async with database.shared() as tx:
        rows = await tx.all("SELECT job FROM firings WHERE job LIKE 'ran %%'")
    return Counter(row["job"].split()[1] for row in rows)


async def test_two_replicas_on_one_database_run_each_slot_once(database: PostgresDatabase, spawn: Spawn) -> None:
    processes = [spawn("schedule"), spawn("schedule")]

    async def five_slots_ran() -> bool:
        return len(await ticks(database)) >= 5

    await eventually(five_slots_ran, within_s=30)
    for process in processes:
        process.kill()
        process.wait()
    assert set((await ticks(database)).values()) == {1}
    assert await marks(database, EVERY_SECOND.name) >= 5


async def test_a_start_fires_the_newest_slot_and_a_second_start_does_not(
    database: PostgresDatabase, urls: DatabaseUrls
) -> None:
    slot = await schedule_on(database, urls, DAILY).fire(DAILY)
    assert slot is not None
    assert slot == Timeframe.D1.floor(SystemClock().now())
    assert await schedule_on(database, urls, DAILY).fire(DAILY) is None
    async with database.shared() as tx:
        rows = await tx.all("SELECT arguments FROM jobs")
    assert [row["arguments"] for row in rows] == [{"slot": slot.isoformat().replace("+00:00", "Z")}]


async def test_the_settle_delay_keeps_a_slot_back_until_it_has_passed(database: PostgresDatabase) -> None:
    async with database.shared() as tx:
        slot, now = await schedule_store.newest_slot(tx, timedelta(days=1), timedelta(0))
        settled, _ = await schedule_store.newest_slot(tx, timedelta(days=1), now - slot + timedelta(seconds=1))
    assert settled == slot - timedelta(days=1)


async def test_a_paused_job_does_not_fire_until_it_is_resumed(database: PostgresDatabase, urls: DatabaseUrls) -> None:
    schedule = schedule_on(database, urls, DAILY)
    jobs = jobs_on(database, urls, schedule)
    assert (await jobs.pause("daily", "root")).paused
    assert await schedule.fire(DAILY) is None
    assert not (await jobs.resume("daily", "root")).paused
    assert await schedule.fire(DAILY) is not None


async def test_a_job_run_by_hand_is_queued_even_while_paused(database: PostgresDatabase, urls: DatabaseUrls) -> None:
    schedule = schedule_on(database, urls, DAILY)
    jobs = jobs_on(database, urls, schedule)
    await jobs.pause("daily", "root")
    job = await jobs.run("daily", "root")
    assert (job.name, job.state) == ("note", JobState.QUEUED)
    assert [listed.id for listed in (await jobs.list(None))[0]] == [job.id]
    with pytest.raises(NotFound):
        await jobs.run("nightly", "root")


async def test_jobs_are_listed_newest_first_and_page_by_page(database: PostgresDatabase, urls: DatabaseUrls) -> None:
    jobs = jobs_on(database, urls, schedule_on(database, urls, DAILY))
    made = [await jobs.run("daily", "root") for _ in range(5)]
    first, cursor = await jobs.list(None, limit=3)
    second, end = await jobs.list(None, limit=3, before=cursor)
    assert [job.id for job in first + second] == [job.id for job in reversed(made)]
    assert end is None


async def test_old_firings_are_deleted_but_the_newest_of_each_job_stays(database: PostgresDatabase) -> None:
    async with database.shared() as tx:
        for days in range(1, 4):
            await schedule_store.fire(tx, "daily", NOON - timedelta(days=days))
        await tx.run("UPDATE firings SET fired_at = slot")
        assert await schedule_store.delete_firings(tx, timedelta(days=0)) == 2
        assert not await schedule_store.fire(tx, "daily", NOON - timedelta(days=1))


@pytest.mark.parametrize("entry", SCHEDULE, ids=lambda entry: entry.name)
def test_every_cron_line_fires_exactly_at_the_slots_of_its_period(entry: Recurrence) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    at = NOON + timedelta(minutes=7)
    for _ in range(50):
        following = next_firing(entry, at)
        assert (following - epoch) % entry.period == timedelta(0)
        assert following - at <= entry.period
        at = following


def test_every_timeframe_has_its_cycle() -> None:
    assert {entry.arguments["timeframe"] for entry in SCHEDULE if entry.job == "cycle"} == set(Timeframe)
