"""What the stores need of the database. One implementation speaks psycopg; see adapters/database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any, LiteralString, Protocol
from uuid import UUID

from alphapulse.sealing import Seal

#: Whether what runs now looks at tenants as the platform does: transactions bound to a tenant are then read-only and
#: run as ``ap_platform``, so that PostgreSQL itself refuses a change. Set for one request, and taken back after it.
WATCHING: ContextVar[bool] = ContextVar("WATCHING", default=False)

Row = dict[str, Any]
Parameters = Mapping[str, Any]


class Transaction(Protocol):
    """One open transaction, bound to a tenant (or to none). Stores take it and never commit.

    SQL is written with named parameters, ``%(name)s``; a literal per cent sign is ``%%``. Values come back
    as Python types: numeric as Decimal, uuid as UUID, timestamptz as aware UTC datetime, jsonb decoded.
    Raises Unavailable when the connection is lost, AlreadyExists on a unique violation, StorageFull when the
    database has no room; every other database error is a Defect.
    """

    tenant_id: UUID | None
    #: The master key that belongs to this database; None where it was opened without, as a reader of plain rows may.
    seal: Seal | None

    async def all(self, sql: LiteralString, parameters: Parameters | None = None) -> list[Row]: ...

    async def one(self, sql: LiteralString, parameters: Parameters | None = None) -> Row | None:
        """The first row, or None."""
        ...

    async def run(self, sql: LiteralString, parameters: Parameters | None = None) -> int:
        """How many rows were touched."""
        ...

    async def run_many(self, sql: LiteralString, rows: Sequence[Parameters]) -> None:
        """The same statement for each of ``rows``, in one round trip."""
        ...

    @property
    def connection(self) -> Any:
        """The driver's own connection; only the queue adapter uses it, to enqueue in this transaction."""
        ...


class Database(Protocol):
    """Opens transactions. Leaving the block commits, an exception rolls back. Never await the network inside one."""

    def transaction(self, tenant_id: UUID, *, user_id: UUID | None = None) -> AbstractAsyncContextManager[Transaction]:
        """Row-level security shows and takes rows of ``tenant_id`` only.

        user_id: also binds the user, which opens that user's own row, keys and sessions.
        """
        ...

    def moment(self, tenant_id: UUID) -> AbstractAsyncContextManager[Transaction]:
        """As ``transaction``, to read only: every statement sees the database as it stood at the first one.

        For answers that put several tables together. It locks nothing, so nobody waits for it.
        """
        ...

    def glance(self, tenant_id: UUID) -> AbstractAsyncContextManager[Transaction]:
        """As ``transaction``, for exactly one ``all`` or ``one`` that only reads: it all goes in one round trip.

        For reads that are asked for all the time. A second statement, or one that writes, is a Defect.
        """
        ...

    def user(self, user_id: UUID) -> AbstractAsyncContextManager[Transaction]:
        """Bound to a user and to no tenant: the user's own row, memberships, keys and sessions."""
        ...

    def shared(self) -> AbstractAsyncContextManager[Transaction]:
        """Bound to nobody: shared tables (signals, firings, jobs of the platform) and the look-up functions."""
        ...

    def platform(self) -> AbstractAsyncContextManager[Transaction]:
        """As ``ap_platform``: reads every tenant's rows, writes nothing. Every use is audited by its caller."""
        ...

    def listen(self, channel: str) -> AsyncIterator[str]:
        """Payloads notified on ``channel`` from now on; an empty one after a reconnect, as a hint to look again."""
        ...

    async def ping(self) -> None:
        """Raises Unavailable unless the database answers."""
        ...
