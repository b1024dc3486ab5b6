"""The schema's versions and how to get to the newest. Everything here blocks: call it in a thread from async code."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from alphapulse.adapters.database.failures import rejected, translate
from alphapulse.adapters.database.migrations.versions import HEAD
from alphapulse.adapters.database.urls import APP_ROLE, PLATFORM_ROLE, DatabaseUrls, login_of
from alphapulse.errors import Misconfigured

__all__ = ["HEAD", "current", "upgrade"]

#: Any number that nothing else in this database locks. Two daemons that start at once migrate one after the other.
_LOCK = 4_815_162_342
_OLDEST_SERVER = 160_000


def current(url: str) -> str | None:
    """The version the database is at; None before the first upgrade. Raises Unavailable when it does not answer."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute("SELECT version_num FROM app.alembic_version").fetchone()
            return None if row is None else str(row[0])
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege):
        return None
    except psycopg.Error as error:
        if rejected(error):  # the first upgrade makes the logins
            return None
        raise translate(error) from error


def upgrade(urls: DatabaseUrls) -> bool:
    """Bring roles and schema to the newest version; repeatable. True when something was done.

    The passwords in the urls of the application and the platform are given to their roles. Raises Misconfigured
    when no login may migrate, the server is too old or the database is newer than this program.
    """
    if urls.admin is None:
        return _insist_on_head(urls.app)
    try:
        with psycopg.connect(urls.admin, autocommit=True, connect_timeout=5) as connection:
            _insist_on_version(connection)
            connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
            # Roles belong to the server and may be missing although the schema is there, as after a restore.
            connection.execute((Path(__file__).parent / "sql" / "roles.sql").read_bytes())
            _set_passwords(connection, urls)
            version = current(urls.admin)
            if version == HEAD:
                return False
            _migrate(urls.admin, version)
            return True
    except psycopg.errors.InsufficientPrivilege as error:
        raise Misconfigured(
            f"the login of database_admin_url may not migrate: {error.diag.message_primary}",
            fix="Use a login that may create roles and schemas: the database's owner with CREATEROLE.",
        ) from error
    except psycopg.Error as error:
        raise translate(error) from error


def _insist_on_head(url: str) -> bool:
    version = current(url)
    if version != HEAD:
        raise Misconfigured(
            f"the database is at version {version or 'none'}, this program needs {HEAD}",
            fix="Set ALPHAPULSE_DATABASE_ADMIN_URL and run: alphapulse db upgrade",
        )
    return False


def _insist_on_version(connection: psycopg.Connection) -> None:
    if connection.info.server_version < _OLDEST_SERVER:
        raise Misconfigured(
            f"PostgreSQL {connection.info.server_version // 10_000} is too old", fix="Use PostgreSQL 16 or newer."
        )


def _set_passwords(connection: psycopg.Connection, urls: DatabaseUrls) -> None:
    for role, url in ((APP_ROLE, urls.app), (PLATFORM_ROLE, urls.platform)):
        user, password = login_of(url)
        if password is not None and user == role:
            # Hashed here, so that the server's log never sees the password itself.
            hashed = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(hashed.decode()))
            )


def _migrate(url: str, version: str | None) -> None:
    # Alembic and SQLAlchemy cost a third of a second, which a start without anything to migrate need not pay.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET ROLE ap_owner")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise Misconfigured(
                f"the database is at version {version}, which this program does not know",
                fix="Run a newer alphapulse, or restore an older database.",
            ) from error
        connection.exec_driver_sql("GRANT SELECT ON app.alembic_version TO ap_app, ap_platform")
