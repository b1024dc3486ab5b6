"""The newest events of each tenant that somebody follows: read from the table once, however many follow."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from uuid import UUID

from alphapulse.daemon.answers import to_json
from alphapulse.domain.events import REQUIRED_PERMISSION, Event
from alphapulse.domain.tenancy import Permission
from alphapulse.domain.wire import encode
from alphapulse.events import store
from alphapulse.ports.database import Database

#: Events that a reader is given at a time; also what one waiting reader holds in memory at most.
BATCH = 200
_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class Frame:
    """An event as it is sent. permission: what a reader must be allowed in order to be sent it."""

    sequence: int
    permission: Permission
    text: str


def frame(event: Event) -> Frame:
    text = to_json({"type": "event", **encode(event)}).decode()
    return Frame(event.sequence, REQUIRED_PERMISSION[event.kind], text)


class Tail:
    """One tenant's. Readers wait for ``news`` and then take what is after the sequence number they have."""

    def __init__(self, database: Database, tenant_id: UUID) -> None:
        self.readers = 0
        self._database = database
        self._tenant_id = tenant_id
        self._frames: deque[Frame] = deque(maxlen=_REMEMBERED)
        self._stale = True
        self._reading = asyncio.Lock()
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There may be new events."""
        self._stale = True
        self._news.set()
        self._news = asyncio.Event()

    @property
    def news(self) -> asyncio.Event:
        """Set at the next wake. Take it before reading, so that what comes meanwhile is not slept through."""
        return self._news

    async def latest(self) -> int:
        async with self._database.transaction(self._tenant_id) as tx:
            return await store.latest(tx)

    async def after(self, sequence: int) -> list[Frame]:
        """At most BATCH events after ``sequence``, the oldest first; empty when there are none."""
        if self._reaches(sequence):
            await self._catch_up()
            if self._reaches(sequence):
                return [known for known in self._frames if known.sequence > sequence][:BATCH]
        found = await self._read(sequence)
        if not self._frames and len(found) < BATCH:
            self._frames.extend(found)  # whoever is up to date fills the tail for those who follow
        return found

    def _reaches(self, sequence: int) -> bool:
        """Whether everything after ``sequence`` that the tail has read is still in it."""
        return bool(self._frames) and self._frames[0].sequence <= sequence + 1

    async def _catch_up(self) -> None:
        """Read what is new; who comes meanwhile waits for the same reading."""
        async with self._reading:
            while self._stale:
                self._stale = False
                found = await self._read(self._frames[-1].sequence)
                self._frames.extend(found)
                self._stale = self._stale or len(found) == BATCH

    async def _read(self, sequence: int) -> list[Frame]:
        async with self._database.glance(self._tenant_id) as tx:
            return [frame(event) for event in await store.read(tx, sequence, BATCH)]


class Tails:
    """The tails of the tenants that are followed now; a tail without readers is dropped."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tails: dict[UUID, Tail] = {}

    def follow(self, tenant_id: UUID) -> Tail:
        tail = self._tails.setdefault(tenant_id, Tail(self._database, tenant_id))
        tail.readers += 1
        return tail

    def leave(self, tenant_id: UUID) -> None:
        tail = self._tails[tenant_id]
        tail.readers -= 1
        if not tail.readers:
            del self._tails[tenant_id]

    def wake(self, tenant: str) -> None:
        """tenant: id as notified; empty when any tenant may have news."""
        for tenant_id, tail in self._tails.items():
            if tenant in {"", str(tenant_id)}:
                tail.wake()
