"""A real PostgreSQL for the tests: one server per test process, one fresh database per test.

database       a PostgresDatabase on a fresh, migrated database (PostgreSQL 18)
any_database   the same on PostgreSQL 16 and on 18: the test runs twice
urls           the three logins of that fresh database, for tests that open it themselves or start a daemon on it
server         the server itself; ``empty_urls`` a database without our schema
make_tenant    ``await make_tenant(database, "acme")`` stores a tenant and gives its id
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from alphapulse.adapters.database import migrations
from alphapulse.adapters.database.embedded import DATABASE, EmbeddedPostgres
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.clock import SystemClock
from alphapulse.sealing import KEY_LENGTH, Seal

#: The master key of every test's database.
SEAL = Seal(bytes(KEY_LENGTH))

MakeTenant = Callable[..., Awaitable[UUID]]


def pytest_configure() -> None:
    """A run started in the background ignores Ctrl-C, and so would every process that its tests start and interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Server:
    """A throw-away PostgreSQL whose first database is the migrated template of all others."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.directory = Path(tempfile.mkdtemp(prefix="alphapulse-test-"))
        self._postgres = EmbeddedPostgres(
            self.directory, version=version, durable=False, settings={"max_connections": "200"}
        )
        self._names = count(1)
        try:
            self.template = self._postgres.start()
            migrations.upgrade(self.template)
        except BaseException:
            self.stop()
            raise

    def create(self, *, template: str = DATABASE) -> DatabaseUrls:
        """A new database; template="template0" for an empty one."""
        name = f"t{next(self._names)}"
        self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", name, template)

        def renamed(url: str) -> str:
            return url.replace(f"/{DATABASE}?", f"/{name}?")

        assert self.template.admin is not None
        return DatabaseUrls(renamed(self.template.admin), renamed(self.template.app), renamed(self.template.platform))

    def drop(self, urls: DatabaseUrls) -> None:
        name = urls.app.rsplit("/", 1)[1].split("?")[0]
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def stop(self) -> None:
        self._postgres.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, statement: LiteralString, *names: str) -> None:
        assert self.template.admin is not None
        admin = self.template.admin.replace(f"/{DATABASE}?", "/postgres?")
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    running = Server(18)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def server_16() -> Iterator[Server]:
    running = Server(16)
    yield running
    running.stop()


@pytest.fixture(params=["server_16", "server"], ids=["postgresql-16", "postgresql-18"])
def any_server(request: pytest.FixtureRequest) -> Server:
    running: Server = request.getfixturevalue(request.param)
    return running


@pytest.fixture
def urls(server: Server) -> Iterator[DatabaseUrls]:
    created = server.create()
    yield created
    server.drop(created)


@pytest.fixture
def any_urls(any_server: Server) -> Iterator[DatabaseUrls]:
    created = any_server.create()
    yield created
    any_server.drop(created)


@pytest.fixture
def empty_urls(any_server: Server) -> Iterator[DatabaseUrls]:
    created = any_server.create(template="template0")
    yield created
    any_server.drop(created)


@pytest.fixture
async def database(urls: DatabaseUrls) -> AsyncIterator[PostgresDatabase]:
    opened = await PostgresDatabase.open(urls.app, platform_url=urls.platform, seal=SEAL)
    yield opened
    await opened.close()


@pytest.fixture
async def any_database(any_urls: DatabaseUrls) -> AsyncIterator[PostgresDatabase]:
    opened = await PostgresDatabase.open(any_urls.app, platform_url=any_urls.platform, seal=SEAL)
    yield opened
    await opened.close()


@pytest.fixture
def make_tenant() -> MakeTenant:
    async def make(database: PostgresDatabase, slug: str = "acme", *, state: str = "active") -> UUID:
        tenant_id = uuid4()
        async with database.transaction(tenant_id) as tx:
            await tx.run(
                "INSERT INTO tenants (id, slug, name, tier, state, created_at)"
                " VALUES (%(id)s, %(slug)s, %(slug)s, 'enterprise', %(state)s, %(at)s)",
                {"id": tenant_id, "slug": slug, "state": state, "at": SystemClock().now()},
            )
        return tenant_id

    return make
