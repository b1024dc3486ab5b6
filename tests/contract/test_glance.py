"""A read in one round trip keeps everything that a transaction keeps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.domain.events import EventKind
from alphapulse.errors import Defect, Unavailable
from alphapulse.events import store
from tests.conftest import MakeTenant

AT = datetime(2026, 3, 1, tzinfo=UTC)
KINDS = (
    "SELECT %(text)s::text AS text, %(number)s::bigint AS number, %(money)s::numeric AS money, %(id)s::uuid AS id,"
    " %(at)s::timestamptz AS at, %(many)s::text[] AS many, '{\"a\": [1]}'::jsonb AS document, NULL::int AS nothing"
)


async def test_values_come_back_as_they_do_from_a_transaction(
    any_database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(any_database)
    values = {"text": "x%y", "money": Decimal("1.50"), "id": uuid4(), "at": AT, "many": ["a", "b"]}
    # One statement with parameters of many types: each set of types is prepared by itself.
    for number in (1, 70_000, 2**40, None):
        given = {**values, "number": number}
        async with any_database.glance(tenant) as tx:
            glanced = await tx.all(KINDS, given)
        async with any_database.transaction(tenant) as tx:
            assert glanced == await tx.all(KINDS, given)


async def test_only_the_tenants_rows_are_seen(any_database: PostgresDatabase, make_tenant: MakeTenant) -> None:
    mine, theirs = await make_tenant(any_database, "mine"), await make_tenant(any_database, "theirs")
    for tenant in (mine, theirs):
        async with any_database.transaction(tenant) as tx:
            await store.append(tx, EventKind.FUND_CREATED, str(tenant), AT, AT, {})

    async def glanced(number: int) -> None:
        tenant = (mine, theirs)[number % 2]
        async with any_database.glance(tenant) as tx:
            rows = await tx.all("SELECT subject FROM events")
        assert [row["subject"] for row in rows] == [str(tenant)]

    await asyncio.gather(*(glanced(number) for number in range(100)))
    async with any_database.shared() as tx:  # nothing of it stays on the connection
        assert await tx.all("SELECT subject FROM events") == []


async def test_a_second_statement_and_a_write_are_refused(database: PostgresDatabase, make_tenant: MakeTenant) -> None:
    tenant = await make_tenant(database)
    async with database.glance(tenant) as tx:
        await tx.one("SELECT 1 AS one")
        with pytest.raises(Defect, match="one statement"):
            await tx.one("SELECT 2 AS two")
    async with database.glance(tenant) as tx:
        with pytest.raises(Defect):
            await tx.run("SELECT 1")
    with pytest.raises(Defect):
        async with database.glance(tenant) as tx:
            await tx.all("DELETE FROM positions RETURNING symbol")


async def test_a_statement_that_fails_leaves_the_pool_whole(urls: DatabaseUrls, make_tenant: MakeTenant) -> None:
    database = await PostgresDatabase.open(urls.app, pool_size=1)
    try:
        tenant = await make_tenant(database)
        for _ in range(3):
            with pytest.raises(Defect):
                async with database.glance(tenant) as tx:
                    await tx.all("SELECT 1 / (%(zero)s::int) AS x", {"zero": 0})
            async with database.glance(tenant) as tx:
                assert await tx.one("SELECT 1 AS one") == {"one": 1}
            async with database.transaction(tenant) as tx:
                assert await tx.one("SELECT 1 AS one") == {"one": 1}
    finally:
        await database.close()


async def test_a_read_that_is_given_up_leaves_the_pool_whole(urls: DatabaseUrls, make_tenant: MakeTenant) -> None:
    database = await PostgresDatabase.open(urls.app, pool_size=1)
    try:
        tenant = await make_tenant(database)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), database.glance(tenant) as tx:
                await tx.all("SELECT pg_sleep(30) AS slept")
        async with asyncio.timeout(5), database.glance(tenant) as tx:
            assert await tx.one("SELECT 1 AS one") == {"one": 1}
    finally:
        await database.close()


async def test_a_connection_that_died_while_idle_is_replaced(
    database: PostgresDatabase, urls: DatabaseUrls, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(database)
    async with database.glance(tenant) as tx:
        mine = await tx.one("SELECT pg_backend_pid() AS pid")
    assert urls.admin is not None
    async with await psycopg.AsyncConnection.connect(urls.admin, autocommit=True) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    async with database.glance(tenant) as tx:
        again = await tx.one("SELECT pg_backend_pid() AS pid")
    assert mine != again


async def test_a_closed_database_is_unavailable(urls: DatabaseUrls) -> None:
    database = await PostgresDatabase.open(urls.app)
    await database.close()
    with pytest.raises(Unavailable):
        async with database.glance(uuid4()) as tx:
            await tx.all("SELECT 1")
