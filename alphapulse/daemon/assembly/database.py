"""Which database the settings mean, and what can be done with it while no daemon serves from it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from alphapulse.adapters.database import gate, migrations
from alphapulse.adapters.database.embedded import EmbeddedPostgres
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls, external_urls
from alphapulse.daemon.schedule_store import server_time
from alphapulse.errors import Unavailable

if TYPE_CHECKING:
    from alphapulse.settings import Settings


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """database: embedded or configured. current: version of its schema, None before the first upgrade; needed: ours."""

    database: str
    current: str | None
    needed: str


def configured_urls(settings: Settings) -> DatabaseUrls | None:
    """The logins of the configured database; None when the embedded one is used."""
    if settings.database_url is None:
        return None
    admin = settings.database_admin_url
    urls = external_urls(settings.database_url.get_secret_value(), None if admin is None else admin.get_secret_value())
    platform = settings.database_platform_url
    return urls if platform is None else DatabaseUrls(urls.admin, urls.app, platform.get_secret_value())


def embedded_server(settings: Settings) -> EmbeddedPostgres:
    """The private server of the data directory, not started."""
    return EmbeddedPostgres(settings.data_directory / "postgres")


def running_urls(server: EmbeddedPostgres) -> DatabaseUrls:
    """The logins of an embedded server that somebody runs. Raises Unavailable when nobody does. Blocks."""
    urls = server.running()
    if urls is None:
        raise Unavailable(
            f"the embedded database in {server.directory} does not run",
            fix="Start the daemon, which runs it, or set ALPHAPULSE_DATABASE_URL.",
        )
    return urls


@contextlib.contextmanager
def reached(settings: Settings) -> Generator[DatabaseUrls]:
    """The configured database, the embedded one that runs, or the embedded one started for the duration. Blocks."""
    configured = configured_urls(settings)
    if configured is not None:
        yield configured
        return
    server = embedded_server(settings)
    running = server.running()
    if running is not None:
        yield running
        return
    urls = server.start()
    try:
        yield urls
    finally:
        server.stop()


def upgrade(urls: DatabaseUrls) -> bool:
    """Migrate to our version; True when something was done. Raises Misconfigured and Unavailable. Blocks."""
    return migrations.upgrade(urls)


def version(settings: Settings, urls: DatabaseUrls) -> SchemaVersion:
    """Raises Unavailable. Blocks."""
    kind = "embedded" if settings.database_url is None else "configured"
    return SchemaVersion(kind, migrations.current(urls.admin or urls.app), migrations.HEAD)


@dataclass(frozen=True, slots=True)
class Look:
    """server: its version. now: its clock. took_s: connecting, asking and closing."""

    server: str
    now: datetime
    took_s: float


def look(urls: DatabaseUrls) -> Look:
    """Ask the server for its time, as the application. Raises Unavailable. Blocks."""
    return asyncio.run(_look(urls))


async def _look(urls: DatabaseUrls) -> Look:
    began = time.monotonic()
    database = await PostgresDatabase.open(urls.app)
    try:
        async with database.shared() as tx:
            server, now = await server_time(tx)
    finally:
        await database.close()
    return Look(server, now, time.monotonic() - began)


def findings(urls: DatabaseUrls) -> list[str]:
    """What stands against serving from this database: see the gate. Raises Unavailable. Blocks."""
    return asyncio.run(gate.findings(urls.app))
