"""A database as a stream, by PostgreSQL's own pg_dump and pg_restore; both come with the embedded server.

Passwords reach the programs in their environment, never among their arguments, which every user of the machine sees.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from alphapulse.adapters.database import binaries
from alphapulse.adapters.database.failures import translate
from alphapulse.errors import AlphaPulseError, DriftFound, Misconfigured, StorageFull, Unavailable
from alphapulse.ports.backup import Content, DumpSnapshot

#: Everything of ours. Whatever else lives in the database is somebody else's.
_SCHEMAS = ("app", "audit", "queue")
_CHUNK = 1_048_576
#: The wheel's programs know gzip; its lightest level costs little and halves what is written.
_COMPRESSION = "gzip:1"
_LONGEST_REASON = 500


class PostgresDump:
    """See ports/backup.py. url: a login that reads every row: a superuser, or one with BYPASSRLS.

    programs: folder of pg_dump, for a server that is newer than those that came along.
    """

    def __init__(self, url: str, *, programs: Path | None = None) -> None:
        self._url = url
        self._programs = programs

    @contextmanager
    def snapshot(self) -> Generator[DumpSnapshot]:
        try:
            with psycopg.connect(self._url, connect_timeout=5, application_name="alphapulse backup") as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
                # The transaction stays open, and idle, for as long as the dump takes.
                connection.execute("SET idle_in_transaction_session_timeout = 0")
                _insist_on_every_row(connection)
                _insist_on_schema(connection)
                row = connection.execute("SELECT pg_export_snapshot()").fetchone()
                assert row is not None
                content = read_content(connection)
                yield DumpSnapshot(content, self._dumped(str(row[0]), content.server))
        except psycopg.Error as error:
            raise translate(error) from error

    def _dumped(self, snapshot: str, server: int) -> Iterator[bytes]:
        program = (self._programs or binaries.clients(server)) / "pg_dump"
        options = ["--format=custom", f"--compress={_COMPRESSION}", f"--snapshot={snapshot}", "--lock-wait-timeout=60s"]
        options += [f"--schema={name}" for name in _SCHEMAS]
        with tempfile.TemporaryFile() as said, _started(program, options, self._url, said) as process:
            assert process.stdout is not None
            while chunk := process.stdout.read(_CHUNK):
                yield chunk
            if process.wait() != 0:
                raise _failed("pg_dump", said)


class PostgresLoad:
    """See ports/backup.py. url: a superuser's login to an empty database."""

    def __init__(self, url: str, *, programs: Path | None = None) -> None:
        self._url = url
        self._programs = programs

    def load(self, chunks: Iterable[bytes]) -> None:
        program = (self._programs or binaries.clients(_server_version(self._url))) / "pg_restore"
        options = ["--single-transaction", "--exit-on-error"]
        with tempfile.TemporaryFile() as said, _started(program, options, self._url, said) as process:
            assert process.stdin is not None
            try:
                for chunk in chunks:
                    process.stdin.write(chunk)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it gave up, and says why
            if process.wait() != 0:
                raise _failed("pg_restore", said)

    def end_sessions(self) -> None:
        """Those that were ended since the dump was made would be open again."""
        try:
            with psycopg.connect(self._url, connect_timeout=5) as connection:
                connection.execute("UPDATE app.sessions SET revoked_at = now() WHERE revoked_at IS NULL")
        except psycopg.Error as error:
            raise translate(error) from error

    def content(self) -> Content:
        try:
            with psycopg.connect(self._url, connect_timeout=5) as connection:
                return read_content(connection)
        except psycopg.Error as error:
            raise translate(error) from error


def read_content(connection: psycopg.Connection) -> Content:
    """Counts every row of ours, as this login's transaction sees them."""
    tables = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1, 2",
        [list(_SCHEMAS)],
    ).fetchall()
    rows: dict[str, int] = {}
    for schema, name in tables:
        counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, name))).fetchone()
        assert counted is not None
        rows[f"{schema}.{name}"] = int(counted[0])
    heads = connection.execute("SELECT tenant_id, sequence, hash FROM app.audit_heads").fetchall()
    version = connection.execute("SELECT version_num FROM app.alembic_version").fetchone()
    assert version is not None
    return Content(
        connection.info.server_version // 10_000,
        str(version[0]),
        rows,
        {str(tenant): (int(sequence), bytes(last).hex()) for tenant, sequence, last in heads},
    )


def _insist_on_every_row(connection: psycopg.Connection) -> None:
    row = connection.execute(
        "SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    if row is None or not row[1]:
        raise Misconfigured(
            f"the login {row[0] if row else ''} does not see every row, so it cannot make a backup",
            fix="As a superuser: CREATE ROLE ap_backup LOGIN BYPASSRLS IN ROLE pg_read_all_data, with a password;"
            " then set ALPHAPULSE_BACKUP__DATABASE_URL.",
        )


def _insist_on_schema(connection: psycopg.Connection) -> None:
    row = connection.execute("SELECT to_regclass('app.alembic_version') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        raise Misconfigured(
            "the database holds nothing of ours yet, so there is nothing to keep",
            fix="Run: alphapulse db upgrade, or start the daemon once.",
        )


def _server_version(url: str) -> int:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            return connection.info.server_version // 10_000
    except psycopg.Error as error:
        raise translate(error) from error


@contextmanager
def _started(program: Path, options: list[str], url: str, said: IO[bytes]) -> Generator[subprocess.Popen[bytes]]:
    """The program, reading from us and writing to us; whatever happens, it has ended when the block ends."""
    known: dict[str, Any] = dict(conninfo_to_dict(url))
    password = known.pop("password", None)
    environment = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    environment |= {"LC_ALL": "C", "TZ": "UTC", "PGAPPNAME": "alphapulse backup"}
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    command = [program, *options, "--no-password", f"--dbname={make_conninfo(**known)}"]
    try:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        )
    except OSError as error:
        raise Misconfigured(
            f"cannot run {program}: {error.strerror}", fix="Correct ALPHAPULSE_BACKUP__PROGRAMS."
        ) from error
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _failed(program: str, said: IO[bytes]) -> AlphaPulseError:
    """What the program said, as one of ours. It names tables and statements, and never a row's values."""
    said.seek(0)
    text = said.read(100_000).decode(errors="replace")
    lines = [line.removeprefix(f"{program}: ") for line in text.splitlines() if "error" in line] or text.splitlines()
    reason = (lines[0] if lines else "it said nothing")[:_LONGEST_REASON]
    if "No space left" in text or "could not extend file" in text:
        return StorageFull(f"{program}: {reason}", fix="Free space on the database's disk, then repeat.")
    if "could not connect" in text or "connection to server" in text or "terminating connection" in text:
        return Unavailable(f"{program}: {reason}", fix="Try again when the database answers.")
    if "permission denied" in text or "must be" in text or "row-level security" in text:
        return Misconfigured(f"{program}: {reason}", fix="Use a superuser's login for this.")
    return DriftFound(f"{program}: {reason}", fix="See what it names; the database is as it was before.")
