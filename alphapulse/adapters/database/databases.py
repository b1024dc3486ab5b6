"""Databases of one server: made for a restore, put in the place of another, dropped. Everything here blocks."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from alphapulse.adapters.database import migrations
from alphapulse.adapters.database.failures import translate
from alphapulse.adapters.database.urls import DatabaseUrls, of_database
from alphapulse.errors import Conflict, Misconfigured

_ROLES = Path(migrations.__file__).parent / "sql" / "roles.sql"
_MAINTENANCE = "postgres"


class Databases:
    """urls: of the database that is served from; its admin must be a superuser."""

    def __init__(self, urls: DatabaseUrls) -> None:
        """Raises Misconfigured without an admin's login."""
        if urls.admin is None:
            raise Misconfigured(
                "a restore needs a superuser's login to the database's server",
                fix="Set ALPHAPULSE_DATABASE_ADMIN_URL for this command.",
            )
        self._urls = urls
        self.name = unquote(urlsplit(urls.admin).path.removeprefix("/")) or _MAINTENANCE

    def holds_anything(self) -> bool:
        """Whether any table is in the database that is served from, of ours or of somebody else."""
        with self._connected(self.name) as connection:
            found = connection.execute(
                "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') LIMIT 1"
            ).fetchone()
        return found is not None

    def make(self, name: str) -> DatabaseUrls:
        """An empty database on a server that has our roles; one that was left there by this name is dropped first."""
        self.drop(name)
        with self._connected(_MAINTENANCE) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        with self._connected(name) as connection:
            connection.execute(_ROLES.read_bytes())
            connection.execute("DROP SCHEMA app, audit, queue")  # the dump brings them
        return of_database(self._urls, name)

    def drop(self, name: str) -> None:
        with self._connected(_MAINTENANCE) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def put_in_place(self, name: str, kept_as: str) -> None:
        """Serve from ``name`` from now on; what was served from is kept under another name. Both or neither.

        Raises Conflict while somebody else is connected to either.
        """
        with self._connected(_MAINTENANCE) as connection, connection.transaction():
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            try:
                connection.execute(rename.format(sql.Identifier(self.name), sql.Identifier(kept_as)))
                connection.execute(rename.format(sql.Identifier(name), sql.Identifier(self.name)))
            except psycopg.errors.ObjectInUse as error:
                raise Conflict(
                    f"the database {self.name} is in use: {error.diag.message_detail or 'somebody is connected'}",
                    fix="Stop every daemon and worker that uses it, then repeat.",
                ) from error

    @contextmanager
    def _connected(self, name: str) -> Generator[psycopg.Connection]:
        admin = of_database(self._urls, name).admin
        assert admin is not None
        try:
            with psycopg.connect(admin, autocommit=True, connect_timeout=5) as connection:
                connection.execute("SET client_min_messages = warning")
                yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            raise Misconfigured(
                f"the login of database_admin_url may not do this: {error.diag.message_primary}",
                fix="Use a superuser's login for a restore.",
            ) from error
        except psycopg.Error as error:
            raise translate(error) from error
