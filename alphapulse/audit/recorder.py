"""Group commit for the audit log: what many requests did at once is stored by one transaction.

One commit per request would bound the whole daemon by the disk's flushes and by the lock of a busy tenant's chain.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final
from uuid import UUID

from alphapulse.audit import store
from alphapulse.audit.refusals import Refusals
from alphapulse.audit.sealer import Sealer, Unsealed
from alphapulse.domain.audit import AuditEvent
from alphapulse.errors import AlphaPulseError, Unavailable
from alphapulse.ports.database import Database

#: Most requests of one transaction; more wait for the next.
_BATCH: Final = 500
#: How long refused requests are counted before their number is stored, seconds.
_WINDOW_S: Final = 60.0

_Waiting = tuple[list[Unsealed], asyncio.Future[None]]
_log = logging.getLogger(__name__)


class Recorder:
    """Start ``run`` as a task; ``record`` then returns when the event is committed, and not before."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sealer = Sealer(database)
        self._waiting: list[_Waiting] = []
        self._refusals = Refusals()
        self._flush_at: float | None = None
        self._work = asyncio.Event()
        self._closed = False

    async def record(self, *events: AuditEvent, person: UUID | None = None) -> None:
        """person: the user who is the events' actor; personal fields are sealed for them.

        Raises Unavailable when the database does not answer: what cannot be audited must not be answered.
        """
        if self._closed:
            raise Unavailable("the daemon is stopping", fix="Try again in a few seconds.")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(([Unsealed(event, person) for event in events], done))
        self._work.set()
        await done

    def count_refused(self, event: AuditEvent) -> None:
        """A request that nobody admitted: stored with its like within a minute, as one event."""
        self._refusals.add(event)
        if self._flush_at is None:
            self._flush_at = asyncio.get_running_loop().time() + _WINDOW_S
            self._work.set()  # so that run sees the time

    async def flush(self) -> None:
        """Store the refusals counted so far. While the database is away they stay counted."""
        self._flush_at = None
        counted = self._refusals.take()
        try:
            async with self._database.shared() as tx:
                await store.append(tx, counted)
        except AlphaPulseError as error:
            _log.error("refused requests could not be recorded yet", extra={"reason": str(error)})
            for event in counted:
                self.count_refused(event)

    async def run(self) -> None:
        """Store what is waiting, batch after batch, until closed and drained, or cancelled."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._flush_at):
                        await self._work.wait()
                self._work.clear()
                while self._waiting:
                    batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                    await self._store(batch)
                if self._refusals and (self._closed or self._due()):
                    await self.flush()
                if self._closed:
                    return
        finally:
            self._closed = True
            for _, done in self._waiting:
                done.cancel()
            self._waiting = []

    async def close(self) -> None:
        """Take no more events; ``run`` ends when those it has are stored."""
        self._closed = True
        self._work.set()

    def _due(self) -> bool:
        return self._flush_at is not None and asyncio.get_running_loop().time() >= self._flush_at

    async def _store(self, batch: list[_Waiting]) -> None:
        try:
            sealed = await self._sealer.sealed([entry for entries, _ in batch for entry in entries])
            async with self._database.shared() as tx:
                await store.append(tx, sealed)
        except AlphaPulseError as error:
            for _, done in batch:
                if not done.done():  # its request may have been given up meanwhile
                    done.set_exception(error)
        except BaseException:
            for _, done in batch:
                done.cancel()
            raise
        else:
            for _, done in batch:
                if not done.done():
                    done.set_result(None)
