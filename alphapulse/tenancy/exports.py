"""Copies of everything a tenant holds: asked for, written by a job, fetched for a week, deleted."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson

from alphapulse.alerts.outbox import enqueue_mail
from alphapulse.audit import store as audit
from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.mail import MailTemplate
from alphapulse.domain.privacy import EXPORT_KEPT, Export, ExportState
from alphapulse.domain.wire import write_time
from alphapulse.errors import Conflict, Defect, NotFound, StorageFull, Unavailable
from alphapulse.ports.database import Database, Transaction
from alphapulse.ports.queue import Queue
from alphapulse.ports.snapshot import Snapshots
from alphapulse.sealing import Seal
from alphapulse.tenancy import exports_store as store
from alphapulse.tenancy.archive import Blocks, Progress, Written, write_archive
from alphapulse.tenancy.exportable import parts_of

JOB = "export"
#: One that did not end in this time never will: its job was given up.
_LONGEST = timedelta(hours=24)
_LISTED = 50
_AUDIT_FILE = "audit_events.ndjson"
_AUDIT_PAGE = 1_000
_AUDIT_TIMEOUT_S = 60
_TELL_S = 1.0
_JSON = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE

_log = logging.getLogger(__name__)


class Exports:
    """directory: where the zips lie, a folder per tenant; daemons that serve the same database share it."""

    def __init__(
        self,
        *,
        database: Database,
        snapshots: Snapshots,
        queue: Queue,
        clock: Clock,
        seal: Seal,
        directory: Path,
        public_url: str,
    ) -> None:
        self._database = database
        self._snapshots = snapshots
        self._queue = queue
        self._clock = clock
        self._seal = seal
        self._directory = directory
        self._public_url = public_url

    async def request(self, tenant_id: UUID, *, user_id: UUID, actor: str) -> Export:
        """Begin a new one, or the one that is on its way. user_id: of the caller, whose own data goes along."""
        now = self._clock.now()
        async with self._database.transaction(tenant_id) as tx:
            if await store.lock_tenant(tx) is None:
                raise NotFound("no such tenant")
            running = await store.unfinished(tx)
            if running is not None and running.requested_at > now - _LONGEST:
                return running
            if running is not None:
                await store.fail(tx, running.id, "given up", now)
            export = Export(id=uuid4(), state=ExportState.QUEUED, requested_by=actor, requested_at=now)
            await store.insert(tx, export, user_id)
            arguments = {"tenant_id": str(tenant_id), "export_id": str(export.id)}
            await self._queue.enqueue(tx, JOB, arguments, tenant_id=tenant_id)
            await record_change(
                tx,
                actor=actor,
                action="export.request",
                subject=str(export.id),
                before=None,
                after={"state": export.state},
                at=now,
            )
        return export

    async def current(self, tenant_id: UUID, *, user_id: UUID, actor: str) -> Export:
        """The newest that can be fetched or is on its way; begun when there is none."""
        newest = await self.newest(tenant_id)
        if newest is not None and newest.state in {ExportState.QUEUED, ExportState.RUNNING, ExportState.READY}:
            return newest
        return await self.request(tenant_id, user_id=user_id, actor=actor)

    async def newest(self, tenant_id: UUID) -> Export | None:
        return next(iter(await self.list(tenant_id, limit=1)), None)

    async def list(self, tenant_id: UUID, *, limit: int = _LISTED) -> list[Export]:
        """Newest first, those that are over too."""
        async with self._database.glance(tenant_id) as tx:
            return [self._shown(export) for export in await store.newest(tx, limit)]

    async def get(self, tenant_id: UUID, export_id: UUID) -> Export:
        """Raises NotFound."""
        async with self._database.glance(tenant_id) as tx:
            found = await store.get(tx, export_id)
        if found is None:
            raise NotFound(f"no export {export_id}")
        return self._shown(found)

    async def file(self, tenant_id: UUID, export_id: UUID) -> tuple[Export, Path]:
        """The zip. Raises NotFound when there is none (any more), Conflict while it is being written."""
        export = await self.get(tenant_id, export_id)
        if export.state in {ExportState.QUEUED, ExportState.RUNNING}:
            raise Conflict(f"export {export_id} is {export.state}", fix="Wait until it is ready.")
        if export.state is not ExportState.READY:
            raise NotFound(f"export {export_id} is {export.state}", fix="Begin a new one: alphapulse account export")
        path = self._path(tenant_id, export_id)
        if not await asyncio.to_thread(path.is_file):
            raise Unavailable(
                f"the file of export {export_id} is not on this machine",
                fix="Let export_directory name a folder that all daemons share, and begin a new export.",
            )
        return export, path

    async def run(self, tenant_id: UUID, export_id: UUID) -> None:
        """Write the zip, from the beginning whatever an earlier attempt wrote. Nothing to do when it is over.

        Raises Unavailable when the database goes away, StorageFull when the disk is full.
        """
        async with self._database.transaction(tenant_id) as tx:
            tenant = await store.lock_tenant(tx)
            row = await store.start(tx, export_id, 0)
            if row is None or tenant is None:
                return
            user_id: UUID | None = row["requested_by_id"]
            if user_id is not None and not await store.is_member(tx, user_id):
                user_id = None
        about = {"tenant": tenant, "export": {"id": export_id, "at": self._clock.now(), "for": row["requested_by"]}}
        try:
            written = await self._write_told(tenant_id, export_id, user_id, about)
        except (Defect, StorageFull) as error:
            await self._fail(tenant_id, export_id, str(error))
            raise
        replaced = await self._finish(tenant_id, export_id, written, tenant["name"], row["requested_by"])
        for old in replaced:
            await asyncio.to_thread(self._path(tenant_id, old).unlink, missing_ok=True)
        _log.info("export ready", extra={"tenant": str(tenant_id), "rows": written.rows, "bytes": written.size})

    async def expire(self) -> int:
        """Delete what is over, of every tenant; how many files."""
        async with self._database.shared() as tx:
            over = await store.over(tx, self._clock.now())
        for tenant_id, export_id in over:
            async with self._database.transaction(tenant_id) as tx:
                await store.expire(tx, export_id)
            await asyncio.to_thread(self._path(tenant_id, export_id).unlink, missing_ok=True)
        return len(over)

    async def _write_told(
        self, tenant_id: UUID, export_id: UUID, user_id: UUID | None, about: dict[str, Any]
    ) -> Written:
        """Write in a thread, and tell how far it is each second. A cancelled job takes its thread along."""
        progress = Progress()
        path = self._path(tenant_id, export_id)
        parts = parts_of(tenant_id, user_id)
        async with self._database.transaction(tenant_id) as tx:
            await store.start(tx, export_id, len(parts) + 1)
        loop = asyncio.get_running_loop()

        def write() -> Written:
            _make_folder(path.parent)
            with self._snapshots.snapshot(tenant_id, user_id=user_id) as snapshot:
                audit_rows = [(_AUDIT_FILE, lambda: self._audit_blocks(tenant_id, loop))]
                return write_archive(path, snapshot, parts, about=about, progress=progress, further=audit_rows)

        writing = asyncio.create_task(asyncio.to_thread(write))
        try:
            while not (await asyncio.wait({writing}, timeout=_TELL_S))[0]:
                async with self._database.transaction(tenant_id) as tx:
                    await store.progress(tx, export_id, progress.tables, progress.rows)
            return await writing
        finally:
            progress.stop.set()
            await asyncio.wait({writing})

    def _audit_blocks(self, tenant_id: UUID, loop: asyncio.AbstractEventLoop) -> Blocks:
        """The tenant's audit log, readable, oldest first. Runs in the thread that writes; reads in the loop."""
        sequence = 0
        while True:
            page = asyncio.run_coroutine_threadsafe(self._audit_page(tenant_id, sequence), loop).result(
                _AUDIT_TIMEOUT_S
            )
            if not page:
                return
            yield len(page), b"".join(orjson.dumps(event, default=bytes.hex, option=_JSON) for event in page)
            sequence = page[-1].sequence

    async def _audit_page(self, tenant_id: UUID, sequence: int) -> list[Any]:
        async with self._database.transaction(tenant_id) as tx:
            return list(await audit.events_after(tx, sequence, since=None, until=None, limit=_AUDIT_PAGE))

    async def _finish(
        self, tenant_id: UUID, export_id: UUID, written: Written, tenant: str, requested_by: str
    ) -> list[UUID]:
        """The ids of those that this one replaces."""
        now = self._clock.now()
        until = now + EXPORT_KEPT
        async with self._database.transaction(tenant_id) as tx:
            await store.finish(
                tx, export_id, rows=written.rows, size=written.size, sha256=written.sha256, at=now, expires_at=until
            )
            replaced = await store.ready_but(tx, export_id)
            for old in replaced:
                await store.expire(tx, old)
            if "@" in requested_by:
                await enqueue_mail(
                    tx,
                    self._seal,
                    tenant_id=tenant_id,
                    to=requested_by,
                    template=MailTemplate.EXPORT_READY,
                    values={
                        "tenant": tenant,
                        "export_id": str(export_id),
                        "size": f"{written.size / 1e6:.1f} MB",
                        "expires_at": write_time(until),
                    },
                    at=now,
                    key=f"export:{export_id}",
                )
            await self._record(tx, export_id, ExportState.READY, now)
        return replaced

    async def _fail(self, tenant_id: UUID, export_id: UUID, error: str) -> None:
        now = self._clock.now()
        async with self._database.transaction(tenant_id) as tx:
            await store.fail(tx, export_id, error, now)
            await self._record(tx, export_id, ExportState.FAILED, now)

    async def _record(self, tx: Transaction, export_id: UUID, state: ExportState, at: datetime) -> None:
        await record_change(
            tx,
            actor=JOB,
            action="export.finish",
            subject=str(export_id),
            before={"state": ExportState.RUNNING},
            after={"state": state},
            at=at,
        )

    def _path(self, tenant_id: UUID, export_id: UUID) -> Path:
        return self._directory / str(tenant_id) / f"{export_id}.zip"

    def _shown(self, export: Export) -> Export:
        over = export.expires_at is not None and export.expires_at <= self._clock.now()
        if export.state is not ExportState.READY:
            return export
        if over:
            return replace(export, state=ExportState.EXPIRED)
        return replace(export, link=f"{self._public_url}/exports/{export.id}/file")


def _make_folder(folder: Path) -> None:
    """For the daemon's user alone. Raises StorageFull."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFull(f"{folder}: the folder of exports cannot be made: {error.strerror}") from error
