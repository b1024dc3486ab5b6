"""Snapshots of a tenant's rows by COPY: the server writes the JSON, so a row costs next to nothing here."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.abc import Buffer

from alphapulse.adapters.database.failures import translate
from alphapulse.errors import Defect

_BLOCK = 262_144
#: An export may take long, but a connection that nobody reads from does not live for ever.
_OPTIONS = (
    "-c search_path=app -c timezone=UTC -c statement_timeout=0 -c lock_timeout=20s"
    " -c idle_in_transaction_session_timeout=10min -c client_min_messages=warning"
)
# row_to_json escapes control characters, so neither the quote nor the delimiter occurs, and every row stands as it is.
# The text format would double the backslashes in it.
_COPY = sql.SQL(
    "COPY (SELECT row_to_json(r) FROM (SELECT {columns} FROM {table}{where}) AS r)"
    " TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
)


class PostgresSnapshot:
    """See ports/snapshot.py."""

    def __init__(self, connection: psycopg.Connection[Any], schema_version: str) -> None:
        self.schema_version = schema_version
        self._connection = connection

    def rows(
        self, table: str, columns: Sequence[str], *, where: tuple[str, UUID] | None = None
    ) -> Generator[tuple[int, bytes]]:
        condition = sql.SQL("")
        if where is not None:
            condition = sql.SQL(" WHERE {} = {}::uuid").format(sql.Identifier(where[0]), sql.Literal(str(where[1])))
        statement = _COPY.format(
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            table=sql.Identifier("app", table),
            where=condition,
        )
        try:
            with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
                yield from _blocks(copy)
        except psycopg.Error as error:
            raise translate(error) from error


@contextmanager
def snapshot(url: str, tenant_id: UUID, user_id: UUID | None) -> Generator[PostgresSnapshot]:
    """url: login of the application's role."""
    try:
        with psycopg.connect(
            url,
            autocommit=True,
            options=_OPTIONS,
            application_name="alphapulse export",
            connect_timeout=5,
            tcp_user_timeout=20_000,
        ) as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            _bind(connection, "app.tenant_id", tenant_id)
            if user_id is not None:
                _bind(connection, "app.user_id", user_id)
            version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            if version is None:
                raise Defect("the database has no version")
            yield PostgresSnapshot(connection, str(version[0]))
    except psycopg.Error as error:
        raise translate(error) from error


def _bind(connection: psycopg.Connection[Any], name: str, value: UUID) -> None:
    connection.execute("SELECT set_config(%s, %s, true)", [name, str(value)])


def _blocks(copy: psycopg.Copy) -> Iterator[tuple[int, bytes]]:
    block: list[Buffer] = []
    size = 0
    for row in copy:
        block.append(row)
        size += len(memoryview(row))
        if size >= _BLOCK:
            yield len(block), b"".join(block)
            block, size = [], 0
    if block:
        yield len(block), b"".join(block)
