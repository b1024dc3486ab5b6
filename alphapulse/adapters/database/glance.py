"""One read in a transaction of its own, all in one round trip: BEGIN, the tenant, the statement and COMMIT together.

A transaction of three round trips costs the daemon's one core more than the reading itself (docs/decisions/0406).
Uses psycopg below its public face, as ``pool.command`` does: the version is pinned below 3.4, and
tests/contract/test_glance.py holds this in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString
from weakref import WeakKeyDictionary

import psycopg
from psycopg._queries import PostgresQuery  # the only way to the driver's own conversion of parameters
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import DictRow
from psycopg.waiting import Ready, Wait

from alphapulse.ports.database import Parameters, Row

_FINE = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK, ExecStatus.PIPELINE_SYNC})
_READING = (Ready.R, Ready.RW)
_WRITING = (Ready.W, Ready.RW)


#: A statement as it was prepared: its text and the types of its parameters, which follow the values.
Key = tuple[bytes, tuple[int, ...]]


class Glances:
    """Prepared once per connection and statement; there are few statements, each of them in a store."""

    def __init__(self) -> None:
        self._prepared: WeakKeyDictionary[psycopg.AsyncConnection[DictRow], dict[Key, bytes]] = WeakKeyDictionary()

    async def read(
        self,
        connection: psycopg.AsyncConnection[DictRow],
        begin: Sequence[bytes],
        statement: LiteralString,
        parameters: Parameters,
    ) -> list[Row]:
        """The rows of ``statement``. Raises psycopg's own errors; the connection is then in no state to be kept."""
        transformer = Transformer(connection)
        query = PostgresQuery(transformer)
        query.convert(statement, parameters)
        known = self._prepared.setdefault(connection, {})
        key = (query.query, query.types)
        name = known.get(key)
        fresh = name is None
        name = name or b"glance_%d" % len(known)
        async with connection.lock:
            result = await connection.wait(_exchange(connection.pgconn, begin, name, query, fresh=fresh))
        known[key] = name
        transformer.set_pgresult(result)
        columns = [(result.fname(index) or b"").decode() for index in range(result.nfields)]
        return transformer.load_rows(0, result.ntuples, lambda values: dict(zip(columns, values, strict=True)))


def _exchange(
    pgconn: PGconn, begin: Sequence[bytes], name: bytes, query: PostgresQuery, *, fresh: bool
) -> PQGen[PGresult]:
    pgconn.enter_pipeline_mode()
    for command in begin:
        pgconn.send_query_params(command, None)
    if fresh:
        pgconn.send_prepare(name, query.query, query.types)
    pgconn.send_query_prepared(name, query.params, query.formats)
    pgconn.send_query_params(b"COMMIT", None)
    pgconn.pipeline_sync()
    results = yield from _answers(pgconn)
    pgconn.exit_pipeline_mode()
    for result in results:
        if result.status not in _FINE:
            raise error_from_result(result)
    return results[-3]  # before COMMIT's and the synchronisation's


def _answers(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """Every result up to the synchronisation."""
    results: list[PGresult] = []
    unsent = True
    while True:
        ready = yield Wait.RW if unsent else Wait.R
        if ready in _READING:
            pgconn.consume_input()
        if unsent and ready in _WRITING:
            unsent = pgconn.flush() != 0
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                continue  # between the results of two statements
            results.append(result)
            if result.status == ExecStatus.PIPELINE_SYNC:
                return results
