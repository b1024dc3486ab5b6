"""Publishing heads, and dropping the months of the log that are older than it is kept."""

from __future__ import annotations

import asyncio
import logging
from datetime import date, datetime, timedelta
from uuid import UUID

from alphapulse.audit import chain, store
from alphapulse.audit.heads import HeadFiles
from alphapulse.clock import Clock
from alphapulse.domain.audit import AuditEvent, AuditKind, PublishedHead
from alphapulse.errors import Refused
from alphapulse.ports.database import Database

#: Who an audit event of a job names.
ACTOR = "job:audit"
_log = logging.getLogger(__name__)


class LogKeeper:
    """keep: how long a row is kept after its month began to be over."""

    def __init__(self, *, database: Database, files: HeadFiles, clock: Clock, keep: timedelta) -> None:
        self._database = database
        self._files = files
        self._clock = clock
        self._keep = keep

    async def publish(self) -> int:
        """Write the heads that moved to the file, and make room for the next months; how many moved."""
        at = self._clock.now()
        async with self._database.shared() as tx:
            for ahead in (0, 31):
                await store.add_month(tx, (at + timedelta(days=ahead)).date())
        async with self._database.platform() as tx:
            heads = await store.all_heads(tx, at)
        return await asyncio.to_thread(self._files.publish, heads)

    async def drop(self) -> list[date]:
        """Drop the months that lie wholly before what is kept; the months dropped.

        Before that every chain with rows in them is verified and publishes a checkpoint, in the database, in itself
        and in the file of heads; verifying starts there from then on. Raises Refused when a chain is broken: what
        proves the break is not dropped.
        """
        at = self._clock.now()
        before = (at - self._keep).date().replace(day=1)
        async with self._database.platform() as tx:
            chains = await store.chains_before(tx, before)
        published = await asyncio.to_thread(self._files.by_chain) if chains else {}
        found = [await self._checkpoint(owner, before, at, published.get(owner, [])) for owner in chains]
        broken = [text for text in found if text]
        if broken:
            raise Refused(
                f"no month of the audit log is dropped: {'; '.join(broken)}",
                fix="Run `alphapulse audit verify --against heads`, and keep a copy of the database.",
            )
        async with self._database.shared() as tx:
            dropped = await store.drop_months(tx, before)
        if dropped:
            _log.info("months of the audit log were dropped", extra={"months": [str(month) for month in dropped]})
        return dropped

    async def _checkpoint(self, owner: UUID, before: date, at: datetime, published: list[PublishedHead]) -> str:
        """Publish where the chain stands before the month; what is wrong with the chain, empty when nothing is."""
        async with self._database.transaction(owner) as tx:
            verdict = await chain.verify(tx, published)
            if verdict.broken_at is not None:
                return f"chain {owner} is broken at {verdict.broken_at} ({verdict.problem})"
            found = await store.checkpoint(tx, before)
            if found is None:
                return ""
            sequence, digest, fresh = found
            if fresh:
                await store.append(tx, [_event(owner, sequence, digest, at)])
        await asyncio.to_thread(self._files.publish, [PublishedHead(owner, sequence, digest, at)])
        return ""


def _event(owner: UUID, sequence: int, digest: bytes, at: datetime) -> AuditEvent:
    return AuditEvent(
        tenant_id=owner,
        actor=ACTOR,
        action="audit.checkpoint",
        path="",
        status=0,
        outcome="ok",
        request_id="",
        at=at,
        kind=AuditKind.CHECKPOINT,
        subject=str(sequence),
        reason=f"rows up to {sequence} were kept for as long as they are kept; the last one's hash is {digest.hex()}",
    )
