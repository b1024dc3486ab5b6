"""What operators do with jobs: list, run now, pause, resume, retry."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.daemon import schedule_store
from alphapulse.daemon.jobs import store
from alphapulse.daemon.schedule import Recurrence, Schedule, next_firing
from alphapulse.domain.jobs import JobRecord, JobState, ScheduleEntry
from alphapulse.domain.tenancy import PLATFORM
from alphapulse.domain.wire import parse_time, write_time
from alphapulse.errors import InvalidInput, NotFound
from alphapulse.ports.database import Database, Transaction
from alphapulse.ports.queue import Queue

_log = logging.getLogger(__name__)


class Jobs:
    def __init__(self, *, database: Database, queue: Queue, schedule: Schedule, clock: Clock) -> None:
        self._database = database
        self._queue = queue
        self._schedule = schedule
        self._clock = clock

    async def list(
        self,
        tenant_id: UUID | None,
        *,
        state: JobState | None = None,
        name: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> tuple[list[JobRecord], str | None]:
        """Newest first, and the cursor of the next page (pass it as ``before``) or None.

        tenant_id None: of every tenant and of the platform, which the caller must be allowed to see and audits.
        """
        cursor = None if before is None else _parse_cursor(before)
        scope = self._database.platform() if tenant_id is None else self._database.transaction(tenant_id)
        async with scope as tx:
            found = await store.list_jobs(
                tx, tenant_id=tenant_id, state=state, name=name, before=cursor, limit=limit + 1
            )
        page = found[:limit]
        return page, _cursor(page[-1]) if len(found) > limit else None

    async def schedule(self) -> list[ScheduleEntry]:
        async with self._database.shared() as tx:
            paused = await schedule_store.paused_names(tx)
        return [self._shown(entry, paused=entry.name in paused) for entry in self._schedule.entries]

    async def run(self, name: str, actor: str) -> JobRecord:
        """Queue the newest slot of a scheduled job at once, paused or not. Raises NotFound."""
        entry = self._schedule.entry(name)
        async with self._database.shared() as tx:
            slot, _ = await schedule_store.newest_slot(tx, entry.period, self._schedule.settle_of(entry))
            await schedule_store.fire(tx, entry.name, slot)
            arguments = {**entry.arguments, "slot": write_time(slot), "asked": "yes"}
            job_id = await self._queue.enqueue(tx, entry.job, arguments, urgent=True)
            job = await _found(tx, job_id)
            await self._record(tx, "job.run", name, None, {"job_id": job_id, "slot": slot}, actor)
        _log.info("run by hand", extra={"entry": name, "actor": actor, "job_id": str(job_id)})
        return job

    async def pause(self, name: str, actor: str) -> ScheduleEntry:
        """The job fires no more until it is resumed; what is queued already still runs. Raises NotFound."""
        return await self._set_paused(name, actor, paused=True)

    async def resume(self, name: str, actor: str) -> ScheduleEntry:
        """Fires again from the next slot on. Raises NotFound."""
        return await self._set_paused(name, actor, paused=False)

    async def retry(self, job_id: UUID, tenant_id: UUID | None, actor: str) -> JobRecord:
        """Queue a failed job again. tenant_id None: whoever's it is, which the caller must be allowed to do.

        Raises NotFound, also for another tenant's job; Conflict unless the job has failed.
        """
        owner = tenant_id if tenant_id is not None else await self._owner(job_id)
        async with self._of(owner) as tx:
            before = await _found(tx, job_id)
            await self._queue.requeue(tx, job_id)
            job = await _found(tx, job_id)
            old, new = ({"state": one.state, "error": one.error} for one in (before, job))
            await self._record(tx, "job.retry", str(job_id), old, new, actor, owner or PLATFORM)
            return job

    async def _owner(self, job_id: UUID) -> UUID | None:
        async with self._database.platform() as tx:
            return (await _found(tx, job_id)).tenant_id

    def _of(self, tenant_id: UUID | None) -> AbstractAsyncContextManager[Transaction]:
        return self._database.shared() if tenant_id is None else self._database.transaction(tenant_id)

    async def _set_paused(self, name: str, actor: str, *, paused: bool) -> ScheduleEntry:
        entry = self._schedule.entry(name)
        async with self._database.shared() as tx:
            before = name in await schedule_store.paused_names(tx)
            await schedule_store.set_paused(tx, name, actor, paused=paused)
            action = "job.pause" if paused else "job.resume"
            await self._record(tx, action, name, {"paused": before}, {"paused": paused}, actor)
        return self._shown(entry, paused=paused)

    async def _record(
        self,
        tx: Transaction,
        action: str,
        subject: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any],
        actor: str,
        chain: UUID = PLATFORM,
    ) -> None:
        now = self._clock.now()
        await record_change(
            tx, actor=actor, action=action, subject=subject, before=before, after=after, at=now, tenant_id=chain
        )

    def _shown(self, entry: Recurrence, *, paused: bool) -> ScheduleEntry:
        at = next_firing(entry, self._clock.now()) + self._schedule.settle_of(entry)
        return ScheduleEntry(entry.name, entry.cron, entry.meaning, paused, at)


async def _found(tx: Transaction, job_id: UUID) -> JobRecord:
    job = await store.get_job(tx, job_id)
    if job is None:
        raise NotFound(f"no job {job_id}")
    return job


def _cursor(job: JobRecord) -> str:
    return f"{write_time(job.queued_at)}_{job.id}"


def _parse_cursor(text: str) -> tuple[datetime, UUID]:
    at, _, job_id = text.partition("_")
    try:
        return parse_time(at, "before"), UUID(job_id)
    except ValueError:
        raise InvalidInput("before: not a cursor", field="before", fix="Pass the last page's next.") from None
