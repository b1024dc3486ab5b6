"""A database under a process that dies: the real one, until a chosen transaction ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.ports.database import Transaction
from tests.fakes.venue import Crash


class FragileDatabase:
    """dies_at: the process dies when this transaction (1, 2, ...) ends.

    committed: just after its commit, else just before. ended: how many transactions have ended so far.
    A dead process touches nothing any more.
    """

    def __init__(self, database: PostgresDatabase, *, dies_at: int = 0, committed: bool = True) -> None:
        self.ended = 0
        self._database = database
        self._dies_at = dies_at
        self._committed = committed

    @asynccontextmanager
    async def transaction(self, tenant_id: UUID, *, user_id: UUID | None = None) -> AsyncGenerator[Transaction]:
        if self._dies_at and self.ended >= self._dies_at:
            raise Crash
        async with self._database.transaction(tenant_id, user_id=user_id) as tx:
            yield tx
            if self.ended + 1 == self._dies_at and not self._committed:
                self.ended += 1
                raise Crash
        self.ended += 1
        if self.ended == self._dies_at:
            raise Crash

    @asynccontextmanager
    async def glance(self, tenant_id: UUID) -> AsyncGenerator[Transaction]:
        if self._dies_at and self.ended >= self._dies_at:
            raise Crash
        async with self._database.glance(tenant_id) as tx:
            yield tx

    @asynccontextmanager
    async def moment(self, tenant_id: UUID) -> AsyncGenerator[Transaction]:
        async with self._database.moment(tenant_id) as tx:
            yield tx

    @asynccontextmanager
    async def user(self, user_id: UUID) -> AsyncGenerator[Transaction]:
        async with self._database.user(user_id) as tx:
            yield tx

    @asynccontextmanager
    async def shared(self) -> AsyncGenerator[Transaction]:
        async with self._database.shared() as tx:
            yield tx

    @asynccontextmanager
    async def platform(self) -> AsyncGenerator[Transaction]:
        async with self._database.platform() as tx:
            yield tx

    def listen(self, channel: str) -> AsyncIterator[str]:
        return self._database.listen(channel)

    async def ping(self) -> None:
        await self._database.ping()
