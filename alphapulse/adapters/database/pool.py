"""Connections kept open for one login.

A pool of our own rather than psycopg_pool's: a request meets a stopped server at once instead of waiting for a
time-out, and the first request after its return gets through (docs/decisions/0102).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import LiteralString

import orjson
import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads

from alphapulse.adapters.database.failures import translate, unavailable
from alphapulse.adapters.database.glance import Glances
from alphapulse.ports.database import Parameters, Row

Connection = psycopg.AsyncConnection[DictRow]

#: How long a request waits for a free connection before it is told to come again.
_PATIENCE_S = 10.0

#: Server-side bounds, so that a lost client or a stuck statement cannot hold rows for ever.
_OPTIONS = (
    "-c search_path=app,queue -c timezone=UTC -c statement_timeout=60s -c lock_timeout=20s"
    " -c idle_in_transaction_session_timeout=60s -c client_min_messages=warning"
)


class Pool:
    """At most ``size`` connections to ``url``, opened when first needed, the most recently used first."""

    def __init__(self, url: str, size: int) -> None:
        self._url = url
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._closed = False
        self._glances = Glances()

    async def begin(self, begin: bytes) -> Connection:
        """A connection on which ``begin``, a BEGIN, was run. Raises Unavailable when there is none."""
        await self._wait_for_turn()
        try:
            return await self._begin(begin)
        except BaseException as error:
            self._free.release()
            if isinstance(error, psycopg.Error):
                raise translate(error) from error
            raise

    async def _wait_for_turn(self) -> None:
        if not self._free.locked():  # the usual case, without the price of a time-out
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._free.acquire()
        except TimeoutError:
            raise unavailable("every connection is busy") from None

    async def _begin(self, begin: bytes) -> Connection:
        if self._closed:
            raise unavailable("it was closed")
        if self._idle:
            connection = self._idle.pop()
            try:
                await command(connection, begin)
            except psycopg.OperationalError:
                # The server went away while this one lay idle, and most likely all others with it. Nothing of the
                # transaction has run, so one more attempt on a new connection is safe.
                await self._drop_idle()
                await connection.close()
            except BaseException:
                await connection.close()
                raise
            else:
                return connection
        connection = await connect(self._url)
        try:
            await command(connection, begin)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def read(self, begin: Sequence[bytes], statement: LiteralString, parameters: Parameters) -> list[Row]:
        """One statement in a transaction of its own, in one round trip. Raises our errors."""
        await self._wait_for_turn()
        try:
            return await self._read(begin, statement, parameters)
        except psycopg.Error as error:
            raise translate(error) from error
        finally:
            self._free.release()

    async def _read(self, begin: Sequence[bytes], statement: LiteralString, parameters: Parameters) -> list[Row]:
        if self._closed:
            raise unavailable("it was closed")
        for connection in (self._idle.pop() if self._idle else None, None):
            fresh = connection is None
            used = await connect(self._url) if connection is None else connection
            try:
                rows = await self._glances.read(used, begin, statement, parameters)
            except psycopg.OperationalError:
                broken = used.closed
                await used.close()
                if fresh or not broken:
                    raise
                # As in _begin: the server went away while this one lay idle. A read may be repeated.
                await self._drop_idle()
            except BaseException:
                await used.close()
                raise
            else:
                self._idle.append(used)
                return rows
        raise AssertionError("unreachable")

    async def give_back(self, connection: Connection) -> None:
        """Take a connection back; one that is broken or still inside a transaction is closed instead."""
        try:
            if self._closed or connection.closed or connection.info.transaction_status != TransactionStatus.IDLE:
                await connection.close()
            else:
                self._idle.append(connection)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Close what is idle now and what is in use when it comes back."""
        self._closed = True
        await self._drop_idle()

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()


async def connect(url: str) -> Connection:
    """A connection as every part of the daemon has it. Raises psycopg's own errors."""
    connection = await psycopg.AsyncConnection[DictRow].connect(
        url,
        autocommit=True,
        row_factory=dict_row,
        options=_OPTIONS,
        application_name="alphapulse",
        connect_timeout=5,
        keepalives_idle=30,
        tcp_user_timeout=20_000,
    )
    set_json_loads(orjson.loads, connection)
    return connection


async def command(connection: Connection, text: bytes) -> None:
    """One or several statements without results, in one round trip, by the simple protocol.

    Half the cost of a cursor, twice per transaction. Uses psycopg's generators, which are not its public face:
    the version is pinned below 3.4 and tests/contract/test_database.py holds this in place.
    """
    async with connection.lock:
        await connection.wait(_exchange(connection.pgconn, text))


def _exchange(pgconn: PGconn, text: bytes) -> PQGen[None]:
    pgconn.send_query(text)
    for result in (yield from generators.execute(pgconn)):
        if result.status != ExecStatus.COMMAND_OK:
            raise error_from_result(result)
