"""What runs when: one table, and the clockwork that fires it.

Every replica runs the clockwork. A firing becomes one row keyed by (job, slot) and one queued job in the same
transaction, so however many replicas fire, the slot runs once. The slot is floored from the database's time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from alphapulse.clock import Clock
from alphapulse.daemon import schedule_store
from alphapulse.domain.market import EPOCH, Timeframe
from alphapulse.domain.wire import write_time
from alphapulse.errors import NotFound, TryAgain
from alphapulse.ports.database import Database
from alphapulse.ports.queue import Queue

#: Added to every wait, so that clocks which differ by less do not fire before the database's own boundary.
_CLOCK_TOLERANCE = timedelta(seconds=1)
#: A database whose clock is further behind ours than this is not waited for.
_LARGEST_SKEW = timedelta(seconds=30)
_PAUSE_WHILE_AWAY_S = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """One line of the table. cron: five fields, UTC; period: the time between two firings, which start at whole
    multiples of it since 1970. job: name of the job's function; it also gets ``slot``. settles: whether the firing
    waits for the settle delay, so that venues have closed the bar.
    """

    name: str
    cron: str
    period: timedelta
    job: str
    meaning: str
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    settles: bool = False


def _cycle(timeframe: Timeframe, cron: str) -> Recurrence:
    return Recurrence(
        name=f"cycle-{timeframe}",
        cron=cron,
        period=timeframe.length,
        job="cycle",
        meaning=f"Decide for every running fund on {timeframe} bars",
        arguments={"timeframe": timeframe},
        settles=True,
    )


#: What runs when.
SCHEDULE: tuple[Recurrence, ...] = (
    _cycle(Timeframe.M1, "* * * * *"),
    _cycle(Timeframe.M5, "*/5 * * * *"),
    _cycle(Timeframe.M15, "*/15 * * * *"),
    _cycle(Timeframe.M30, "*/30 * * * *"),
    _cycle(Timeframe.H1, "0 * * * *"),
    _cycle(Timeframe.H4, "0 */4 * * *"),
    _cycle(Timeframe.D1, "0 0 * * *"),
    Recurrence(
        name="reconcile",
        cron="*/5 * * * *",
        period=timedelta(minutes=5),
        job="reconcile",
        meaning="Ask the venues about every order that is not final; withdraw purchases under a halt",
    ),
    Recurrence(
        name="lifecycle",
        cron="0 * * * *",
        period=timedelta(hours=1),
        job="lifecycle",
        meaning="Carry on what was left of provisionings, note what tenants use of their plans, purge deleted ones",
    ),
    Recurrence(
        name="mail",
        cron="* * * * *",
        period=timedelta(minutes=1),
        job="mail",
        meaning="Deliver mails whose time has come; most go at once, as soon as they are written",
    ),
    Recurrence(
        name="audit-heads",
        cron="0 * * * *",
        period=timedelta(hours=1),
        job="audit_heads",
        meaning="Publish the heads of the audit chains in a file",
    ),
    Recurrence(
        name="audit-retention",
        cron="0 0 * * *",
        period=timedelta(days=1),
        job="audit_retention",
        meaning="Drop the months of the audit log that are older than it is kept, behind a checkpoint",
    ),
    Recurrence(
        name="backup",
        cron="0 0 * * *",
        period=timedelta(days=1),
        job="backup",
        meaning="Keep the database and the secrets in an encrypted file; delete those that are too old",
    ),
    Recurrence(
        name="drill",
        cron="0 0 * * thu",
        period=timedelta(days=7),
        job="drill",
        meaning="Restore the newest backup into a scratch database, and prove its books and audit chains",
    ),
    Recurrence(
        name="privacy",
        cron="0 * * * *",
        period=timedelta(hours=1),
        job="privacy",
        meaning="Delete exports whose time is over, go on with erasures that were interrupted",
    ),
    Recurrence(
        name="maintenance",
        cron="0 * * * *",
        period=timedelta(hours=1),
        job="maintenance",
        meaning="Delete finished jobs, old firings and old mails",
    ),
)


def next_firing(entry: Recurrence, after: datetime) -> datetime:
    """When the entry fires next after ``after``, without the settle delay."""
    at = CronTrigger.from_crontab(entry.cron, timezone=UTC).get_next_fire_time(None, after + timedelta(microseconds=1))
    assert at is not None
    return at.astimezone(UTC)


class Schedule:
    """The clockwork of one replica. settle: wait after a bar's close before deciding on it."""

    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        clock: Clock,
        settle: timedelta,
        entries: tuple[Recurrence, ...] = SCHEDULE,
    ) -> None:
        self.entries = entries
        self._database = database
        self._queue = queue
        self._clock = clock
        self._settle = settle
        self._scheduler: AsyncIOScheduler | None = None

    def entry(self, name: str) -> Recurrence:
        """Raises NotFound."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.entries)
        raise NotFound(f"no scheduled job {name[:60]!r}", fix=f"The scheduled jobs are {known}.")

    async def run(self) -> None:
        """Catch up with the newest slot of each entry and fire at every further one, until cancelled."""
        scheduler = AsyncIOScheduler(timezone=UTC)
        for entry in self.entries:
            minute, hour, day, month, weekday = entry.cron.split()
            delay = self.settle_of(entry) + _CLOCK_TOLERANCE
            trigger = CronTrigger(
                month=month, day=day, day_of_week=weekday, hour=hour, minute=minute, second=0, timezone=UTC
            )
            scheduler.add_job(
                self._fire_after,
                trigger,
                args=[entry, delay],
                name=entry.name,
                misfire_grace_time=None,  # late is better than never: the slot is floored from the present anyway
                coalesce=True,
                max_instances=2,
            )
        scheduler.start()
        try:
            for entry in self.entries:
                # A start between a bar's close and the end of its settle delay: the trigger has passed, the slot not.
                now = self._clock.now()
                wait = _floor(now, entry.period) + self.settle_of(entry) + _CLOCK_TOLERANCE - now
                if wait > timedelta(0):
                    scheduler.add_job(self._fire_after, args=[entry, wait], name=entry.name, misfire_grace_time=None)
                await self.fire(entry)
            await asyncio.Event().wait()
        finally:
            scheduler.shutdown(wait=False)

    async def fire(self, entry: Recurrence) -> datetime | None:
        """Queue the newest slot unless somebody did, or the entry is paused; the slot when it was queued here.

        While the database is away it tries again, for as long as the slot is the newest. When the database's
        clock is behind ours, it waits for the slot that ours has already reached.
        """
        deadline = self._clock.now() + entry.period
        while self._clock.now() < deadline:
            try:
                slot, wait = await self._fire_once(entry)
            except TryAgain as error:
                _log.warning("cannot fire, the database is away", extra={"entry": entry.name, "reason": str(error)})
                await asyncio.sleep(_PAUSE_WHILE_AWAY_S)
                continue
            if slot is not None or wait is None:
                return slot
            if wait > _LARGEST_SKEW:
                _log.error("the database's clock is behind ours", extra={"entry": entry.name, "by": str(wait)})
                return None
            await asyncio.sleep(wait.total_seconds())
        return None

    async def _fire_once(self, entry: Recurrence) -> tuple[datetime | None, timedelta | None]:
        """The slot when it was taken here; else how long to wait when ours is not yet there by the database's clock."""
        settle = self.settle_of(entry)
        expected = _floor(self._clock.now() - settle, entry.period)
        async with self._database.shared() as tx:
            slot, now = await schedule_store.newest_slot(tx, entry.period, settle)
            if await schedule_store.fire(tx, entry.name, slot):
                await self._queue.enqueue(tx, entry.job, {**entry.arguments, "slot": write_time(slot)})
                _log.debug("fired", extra={"entry": entry.name, "slot": write_time(slot)})
                return slot, None
        return None, (expected + settle - now) + timedelta(milliseconds=1) if slot < expected else None

    async def _fire_after(self, entry: Recurrence, delay: timedelta) -> None:
        await asyncio.sleep(delay.total_seconds())
        await self.fire(entry)

    def settle_of(self, entry: Recurrence) -> timedelta:
        """How long after its slot the entry fires."""
        return self._settle if entry.settles else timedelta(0)


def _floor(at: datetime, period: timedelta) -> datetime:
    return at - (at - EPOCH) % period
