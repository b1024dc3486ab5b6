"""The database port on psycopg 3, with the tenant bound in the same round trip as BEGIN."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import LiteralString, Self
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from alphapulse.adapters.database.failures import translate, unavailable
from alphapulse.adapters.database.pool import Connection, Pool, command, connect
from alphapulse.adapters.database.snapshot import PostgresSnapshot, snapshot
from alphapulse.errors import Defect
from alphapulse.ports.database import WATCHING, Parameters, Row
from alphapulse.sealing import Seal

_PLATFORM_POOL_SIZE = 3
#: Between attempts to listen again while the server is away.
_LISTEN_PAUSE_S = 0.5
_PING_TIMEOUT_S = 2.0


class PostgresTransaction:
    """See ports/database.py. One cursor serves the whole transaction: statements follow one another."""

    def __init__(self, connection: Connection, tenant_id: UUID | None, seal: Seal | None) -> None:
        self.tenant_id = tenant_id
        self.seal = seal
        self._connection = connection
        self._cursor = connection.cursor()

    @property
    def connection(self) -> Connection:
        return self._connection

    async def all(self, sql: LiteralString, parameters: Parameters | None = None) -> list[Row]:
        await self._execute(sql, parameters)
        try:
            return await self._cursor.fetchall()
        except psycopg.Error as error:
            raise translate(error) from error

    async def one(self, sql: LiteralString, parameters: Parameters | None = None) -> Row | None:
        await self._execute(sql, parameters)
        try:
            return await self._cursor.fetchone()
        except psycopg.Error as error:
            raise translate(error) from error

    async def run(self, sql: LiteralString, parameters: Parameters | None = None) -> int:
        await self._execute(sql, parameters)
        return self._cursor.rowcount

    async def run_many(self, sql: LiteralString, rows: Sequence[Parameters]) -> None:
        if not rows:
            return
        try:
            await self._cursor.executemany(sql, rows)
        except psycopg.Error as error:
            raise translate(error) from error

    async def _execute(self, statement: LiteralString, parameters: Parameters | None) -> None:
        try:
            # {} rather than None, so that %% means the same with and without parameters.
            await self._cursor.execute(statement, parameters or {})
        except psycopg.Error as error:
            raise translate(error) from error


class _Scope:
    """``async with`` around one transaction. A class, not a generator: this is on the path of every request."""

    __slots__ = ("_begin", "_connection", "_pool", "_seal", "_tenant_id")

    def __init__(self, pool: Pool, begin: bytes, tenant_id: UUID | None, seal: Seal | None) -> None:
        self._pool = pool
        self._begin = begin
        self._tenant_id = tenant_id
        self._seal = seal
        self._connection: Connection | None = None

    async def __aenter__(self) -> PostgresTransaction:
        self._connection = await self._pool.begin(self._begin)
        return PostgresTransaction(self._connection, self._tenant_id, self._seal)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection = self._connection
        assert connection is not None
        try:
            if kind is None:
                await _commit(connection)
            else:
                await _roll_back(connection)
        finally:
            await self._pool.give_back(connection)


async def _commit(connection: Connection) -> None:
    failed = connection.info.transaction_status == TransactionStatus.INERROR
    try:
        await command(connection, b"ROLLBACK" if failed else b"COMMIT")
    except psycopg.Error as error:
        raise translate(error) from error
    if failed:
        # PostgreSQL would answer COMMIT with a silent rollback, and the caller would believe it had stored.
        raise Defect("a statement of this transaction failed and its error was swallowed: nothing was stored")


async def _roll_back(connection: Connection) -> None:
    if connection.closed or connection.info.transaction_status == TransactionStatus.IDLE:
        return
    try:
        await command(connection, b"ROLLBACK")
    except psycopg.Error:
        await connection.close()  # the server rolls back what it loses sight of; the first error is the one to see


class GlanceTransaction:
    """A transaction that begins and ends with its one statement. See ``Database.glance`` in ports/database.py."""

    def __init__(self, pool: Pool, tenant_id: UUID, seal: Seal | None) -> None:
        self.tenant_id: UUID | None = tenant_id
        self.seal = seal
        self._pool = pool
        self._begin = (b"BEGIN READ ONLY", f"SET LOCAL app.tenant_id = '{_text(tenant_id)}'".encode())
        self._done = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done = True

    async def all(self, sql: LiteralString, parameters: Parameters | None = None) -> list[Row]:
        if self._done:
            raise Defect("a glance is one statement: use transaction for more")
        self._done = True
        return await self._pool.read(self._begin, sql, parameters or {})

    async def one(self, sql: LiteralString, parameters: Parameters | None = None) -> Row | None:
        rows = await self.all(sql, parameters)
        return rows[0] if rows else None

    async def run(self, sql: LiteralString, parameters: Parameters | None = None) -> int:  # noqa: ARG002 the port's
        raise Defect(f"a glance only reads, it cannot run {sql[:60]}")

    async def run_many(self, sql: LiteralString, rows: Sequence[Parameters]) -> None:  # noqa: ARG002 the port's
        raise Defect(f"a glance only reads, it cannot run {sql[:60]}")

    @property
    def connection(self) -> Connection:
        raise Defect("a glance has no connection of its own")


class PostgresDatabase:
    """See ports/database.py. Connections open on demand, so a server that is away is met by the first request,
    with Unavailable, and found again by the first request after its return.
    """

    def __init__(self, app: Pool, platform: Pool, url: str, seal: Seal | None) -> None:
        """Use ``open``."""
        self._app = app
        self._platform = platform
        self._url = url
        self._seal = seal

    @classmethod
    async def open(
        cls, url: str, *, platform_url: str | None = None, pool_size: int = 10, seal: Seal | None = None
    ) -> Self:
        """url: login of the application's role. platform_url: login of ``ap_platform``; without one, platform()
        raises Unavailable. seal: the master key; without it personal fields of the audit log are withheld.
        Raises Unavailable when the server does not answer.
        """
        database = cls(Pool(url, pool_size), Pool(platform_url or "", _PLATFORM_POOL_SIZE), url, seal)
        if platform_url is None:
            await database._platform.close()
        try:
            await database.ping()
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        await self._app.close()
        await self._platform.close()

    def transaction(self, tenant_id: UUID, *, user_id: UUID | None = None) -> _Scope:
        watching = WATCHING.get()
        begin = f"BEGIN{' READ ONLY' if watching else ''}; SET LOCAL app.tenant_id = '{_text(tenant_id)}'"
        if user_id is not None:
            begin += f"; SET LOCAL app.user_id = '{_text(user_id)}'"
        return _Scope(self._platform if watching else self._app, begin.encode(), tenant_id, self._seal)

    def moment(self, tenant_id: UUID) -> _Scope:
        begin = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL app.tenant_id = '{_text(tenant_id)}'"
        return _Scope(self._platform if WATCHING.get() else self._app, begin.encode(), tenant_id, self._seal)

    def glance(self, tenant_id: UUID) -> GlanceTransaction:
        return GlanceTransaction(self._platform if WATCHING.get() else self._app, tenant_id, self._seal)

    def user(self, user_id: UUID) -> _Scope:
        return _Scope(self._app, f"BEGIN; SET LOCAL app.user_id = '{_text(user_id)}'".encode(), None, self._seal)

    def shared(self) -> _Scope:
        return _Scope(self._app, b"BEGIN", None, self._seal)

    def platform(self) -> _Scope:
        return _Scope(self._platform, b"BEGIN READ ONLY", None, self._seal)

    def snapshot(self, tenant_id: UUID, *, user_id: UUID | None = None) -> AbstractContextManager[PostgresSnapshot]:
        """See ports/snapshot.py."""
        return snapshot(self._url, tenant_id, user_id)

    async def listen(self, channel: str) -> AsyncGenerator[str]:
        """See ports/database.py; the first payload is an empty one too, once the channel is listened to."""
        statement = sql.SQL("LISTEN {}").format(sql.Identifier(channel))
        while True:
            try:
                connection = await connect(self._url)
            except psycopg.Error:
                await asyncio.sleep(_LISTEN_PAUSE_S)
                continue
            try:
                await connection.execute(statement)
                yield ""
                async for notification in connection.notifies():
                    yield notification.payload
            except psycopg.OperationalError:
                await asyncio.sleep(_LISTEN_PAUSE_S)
            finally:
                await connection.close()

    async def ping(self) -> None:
        try:
            async with asyncio.timeout(_PING_TIMEOUT_S), self.shared() as tx:
                await tx.one("SELECT 1")
        except TimeoutError:
            raise unavailable(f"no answer within {_PING_TIMEOUT_S:.0f} s") from None


def _text(value: UUID) -> str:
    """The id as it stands in SQL; only a real UUID is ever put there."""
    if not isinstance(value, UUID):  # pyright: ignore[reportUnnecessaryIsInstance] the last guard before SQL text
        raise Defect(f"an id must be a UUID, not {type(value).__name__}")
    return str(value)
