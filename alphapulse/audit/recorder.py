"""Group commit for the audit log: what many requests did at once is stored by one transaction.

One commit per request would bound the whole daemon by the disk's flushes and by the lock of a busy tenant's chain.
"""

from __future__ import annotations

import asyncio
from typing import Final

from alphapulse.audit import store
from alphapulse.domain.audit import AuditEvent
from alphapulse.errors import AlphaPulseError, Unavailable
from alphapulse.ports.database import Database

#: Most events of one transaction; more wait for the next.
_BATCH: Final = 500


class Recorder:
    """Start ``run`` as a task; ``record`` then returns when the event is committed, and not before."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[AuditEvent, asyncio.Future[None]]] = []
        self._work = asyncio.Event()
        self._closed = False

    async def record(self, event: AuditEvent) -> None:
        """Raises Unavailable when the database does not answer: what cannot be audited must not be answered."""
        if self._closed:
            raise Unavailable("the daemon is stopping", fix="Try again in a few seconds.")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((event, done))
        self._work.set()
        await done

    async def run(self) -> None:
        """Store what is waiting, batch after batch, until closed and drained, or cancelled."""
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                while self._waiting:
                    batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                    await self._store(batch)
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

    async def _store(self, batch: list[tuple[AuditEvent, asyncio.Future[None]]]) -> None:
        try:
            async with self._database.shared() as tx:
                await store.append(tx, [event for event, _ in batch])
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
