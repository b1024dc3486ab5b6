"""A process of its own for the tests: scheduler and worker on a given database, as a replica of the daemon runs them.

python -m tests.daemon.replica APP_URL [schedule]

Job functions leave marks in ``firings``: ``mark`` one per run; ``hang`` one, then it never ends on its first run.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import timedelta

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.queue.procrastinate import ProcrastinateQueue, WorkRules
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.clock import SystemClock
from alphapulse.daemon.schedule import Recurrence, Schedule
from alphapulse.ports.database import Database

QUICK = WorkRules(
    attempts=3,
    first_pause=timedelta(milliseconds=10),
    growth=1,
    sweep=timedelta(milliseconds=100),
    poll=timedelta(milliseconds=50),
    drain=timedelta(seconds=5),
)
EVERY_SECOND = Recurrence("tick", "* * * * *", timedelta(seconds=1), "mark", "Leaves a mark")


async def leave_mark(database: Database, name: str) -> int:
    """How many marks of this name there are now."""
    async with database.shared() as tx:
        await tx.run(
            "INSERT INTO firings (job, slot, fired_at) VALUES (%(job)s, clock_timestamp(), now())", {"job": name}
        )
    return await marks(database, name)


async def marks(database: Database, name: str) -> int:
    async with database.shared() as tx:
        row = await tx.one("SELECT count(*) AS n FROM firings WHERE job = %(job)s", {"job": name})
    return 0 if row is None else row["n"]


async def run(url: str, *, schedule: bool) -> None:
    database = await PostgresDatabase.open(url)
    queue = ProcrastinateQueue(url, database=database, telemetry=NoTelemetry(), rules=QUICK)

    async def mark(arguments: Mapping[str, str]) -> None:
        await leave_mark(database, f"ran {arguments.get('slot', '')} by {os.getpid()}")

    async def hang(arguments: Mapping[str, str]) -> None:
        if await leave_mark(database, f"hang {arguments['key']}") == 1:
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(queue.work({"mark": mark, "hang": hang}, concurrency=2))
        if schedule:
            clockwork = Schedule(
                database=database, queue=queue, clock=SystemClock(), settle=timedelta(0), entries=(EVERY_SECOND,)
            )
            group.create_task(_tick(clockwork))


async def _tick(clockwork: Schedule) -> None:
    """Fires far more often than a slot begins, as two replicas with different clocks would."""
    while True:
        await clockwork.fire(EVERY_SECOND)
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], schedule="schedule" in sys.argv[2:]))
