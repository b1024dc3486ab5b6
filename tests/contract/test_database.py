"""What every database adapter promises; see alphapulse/ports/database.py."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from alphapulse.adapters.database import migrations
from alphapulse.adapters.database.embedded import EmbeddedPostgres
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.domain.orders import Side
from alphapulse.errors import AlreadyExists, Defect, Misconfigured, Unavailable
from tests.conftest import MakeTenant


async def test_values_come_back_as_the_types_that_went_in(database: PostgresDatabase) -> None:
    at = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
    ident = uuid4()
    async with database.shared() as tx:
        row = await tx.one(
            "SELECT %(money)s::numeric AS money, %(id)s::uuid AS id, %(at)s::timestamptz AS at, %(side)s AS side,"
            " %(doc)s::jsonb AS doc, %(raw)s::bytea AS raw, %(names)s::text[] AS names, 'a%%b' AS literal",
            {
                "money": Decimal("0.000000000000000001"),
                "id": ident,
                "at": at,
                "side": Side.BUY,
                "doc": '{"a": ["1.10"]}',
                "raw": b"\x00\xff",
                "names": ["x", "y"],
            },
        )
    assert row == {
        "money": Decimal("0.000000000000000001"),
        "id": ident,
        "at": at,
        "side": "buy",
        "doc": {"a": ["1.10"]},
        "raw": b"\x00\xff",
        "names": ["x", "y"],
        "literal": "a%b",
    }
    assert row is not None
    assert row["at"].utcoffset().total_seconds() == 0


async def test_leaving_the_block_commits_and_an_exception_rolls_back(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    kept = await make_tenant(database, "kept")
    with pytest.raises(RuntimeError):
        async with database.transaction(kept) as tx:
            await tx.run("UPDATE tenants SET name = 'lost'")
            raise RuntimeError
    async with database.transaction(kept) as tx:
        row = await tx.one("SELECT name FROM tenants")
    assert row == {"name": "kept"}


async def test_the_binding_ends_with_the_transaction(database: PostgresDatabase, make_tenant: MakeTenant) -> None:
    tenant_id = await make_tenant(database)
    async with database.transaction(tenant_id, user_id=uuid4()):
        pass
    async with database.shared() as tx:
        row = await tx.one("SELECT app.tenant() AS tenant, app.bound_user() AS bound, count(*) AS seen FROM tenants")
    assert row == {"tenant": None, "bound": None, "seen": 0}


async def test_two_hundred_tasks_on_one_pool_each_see_their_own_tenant(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenants = [await make_tenant(database, f"tenant-{i}") for i in range(10)]

    async def look(i: int) -> bool:
        async with database.transaction(tenants[i % 10]) as tx:
            await asyncio.sleep(0)
            return await tx.all("SELECT id FROM tenants") == [{"id": tenants[i % 10]}]

    assert all(await asyncio.gather(*(look(i) for i in range(200))))


async def test_a_taken_name_is_reported_as_such(database: PostgresDatabase, make_tenant: MakeTenant) -> None:
    await make_tenant(database, "acme")
    with pytest.raises(AlreadyExists):
        await make_tenant(database, "acme")


async def test_a_swallowed_failure_cannot_pass_for_a_commit(database: PostgresDatabase) -> None:
    with pytest.raises(Defect, match="nothing was stored"):
        async with database.shared() as tx:
            with pytest.raises(Defect):
                await tx.one("SELECT 1 / 0")


async def test_statements_of_many_rows_go_in_one_call(database: PostgresDatabase) -> None:
    rows = [{"name": f"job-{i}", "at": datetime(2026, 1, 1, tzinfo=UTC)} for i in range(50)]
    async with database.shared() as tx:
        await tx.run_many(
            "INSERT INTO job_controls (name, paused, actor, recorded_at) VALUES (%(name)s, false, 'test', %(at)s)", rows
        )
        assert await tx.run("UPDATE job_controls SET paused = true") == 50


async def test_the_platform_reads_every_tenant_and_writes_nothing(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenants = {await make_tenant(database, "acme"), await make_tenant(database, "zenith")}
    async with database.platform() as tx:
        assert {row["id"] for row in await tx.all("SELECT id FROM tenants")} == tenants
    with pytest.raises(Defect):
        async with database.platform() as tx:
            await tx.run("UPDATE tenants SET name = 'x'")


async def test_an_id_that_is_no_uuid_never_reaches_the_sql(database: PostgresDatabase) -> None:
    with pytest.raises(Defect):
        database.transaction("'; DROP TABLE tenants; --")  # type: ignore[arg-type]


async def test_a_login_the_server_does_not_know_is_a_matter_of_settings(urls: DatabaseUrls) -> None:
    with pytest.raises(Misconfigured, match="refuses the login"):
        await PostgresDatabase.open(urls.app.replace("ap_app@", "nobody_here@"))


async def test_a_listener_hears_what_was_committed_after_it_began(database: PostgresDatabase) -> None:
    heard = database.listen("events")
    assert await anext(heard) == ""
    async with database.shared() as tx:
        await tx.one("SELECT pg_notify('events', 'tenant-1')")
    assert await asyncio.wait_for(anext(heard), 10) == "tenant-1"
    await heard.aclose()


async def test_without_a_platform_login_the_platform_view_is_unavailable(urls: DatabaseUrls) -> None:
    opened = await PostgresDatabase.open(urls.app)
    try:
        with pytest.raises(Unavailable):
            async with opened.platform():
                pass
    finally:
        await opened.close()


async def test_a_server_that_goes_away_is_met_at_once_and_found_again_at_its_return(
    tmp_path: Path, make_tenant: MakeTenant
) -> None:
    postgres = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    try:
        urls = postgres.start()
        migrations.upgrade(urls)
        database = await PostgresDatabase.open(urls.app, platform_url=urls.platform, pool_size=4)
        tenant_id = await make_tenant(database)
        heard = database.listen("events")
        assert await anext(heard) == ""
        # Every connection of the pool lies idle and open when the server goes.
        async with database.shared(), database.shared(), database.shared(), database.shared():
            pass
        with pytest.raises(Unavailable):
            async with database.transaction(tenant_id) as tx:
                postgres.stop()
                await tx.one("SELECT 1")
        for _ in range(6):  # more often than there are connections: none is lost to the failures
            with pytest.raises(Unavailable):
                await database.ping()
        postgres.start()
        for _ in range(6):
            async with database.transaction(tenant_id) as tx:
                assert await tx.one("SELECT slug FROM tenants") == {"slug": "acme"}
        assert await asyncio.wait_for(anext(heard), 20) == ""
        async with database.shared() as tx:
            await tx.one("SELECT pg_notify('events', 'again')")
        assert await asyncio.wait_for(anext(heard), 20) == "again"
        await heard.aclose()
        await database.close()
    finally:
        postgres.stop()


async def test_a_server_that_restarts_between_two_requests_is_not_noticed(
    tmp_path: Path,
) -> None:
    postgres = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    try:
        urls = postgres.start()
        migrations.upgrade(urls)
        database = await PostgresDatabase.open(urls.app, pool_size=4)
        async with database.shared(), database.shared(), database.shared(), database.shared():
            pass
        postgres.stop()
        postgres.start()
        await asyncio.gather(*(database.ping() for _ in range(20)))
        await database.close()
    finally:
        postgres.stop()


async def test_a_task_that_is_cancelled_inside_a_transaction_leaves_the_pool_whole(
    urls: DatabaseUrls, make_tenant: MakeTenant
) -> None:
    database = await PostgresDatabase.open(urls.app, pool_size=1)
    tenant_id = await make_tenant(database)
    inside = asyncio.Event()

    async def change_for_ever() -> None:
        async with database.transaction(tenant_id) as tx:
            await tx.run("UPDATE tenants SET name = 'lost'")
            inside.set()
            await tx.one("SELECT pg_sleep(60)")

    task = asyncio.create_task(change_for_ever())
    await inside.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.transaction(tenant_id) as tx:
        assert await tx.one("SELECT name FROM tenants") == {"name": "acme"}
    await database.close()


async def test_more_requests_than_connections_wait_their_turn(urls: DatabaseUrls) -> None:
    database = await PostgresDatabase.open(urls.app, pool_size=2)
    await asyncio.gather(*(database.ping() for _ in range(50)))
    async with database.shared() as tx:
        row = await tx.one(
            "SELECT count(*) AS open FROM pg_stat_activity WHERE datname = current_database() AND usename = 'ap_app'"
        )
    assert row is not None
    assert row["open"] <= 2
    await database.close()


async def test_a_moment_is_one_state_of_the_database_and_writes_nothing(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenant_id = await make_tenant(database)
    rename = "UPDATE tenants SET name = 'later'"
    async with database.moment(tenant_id) as tx:
        before = await tx.one("SELECT name FROM tenants")
        async with database.transaction(tenant_id) as other:
            await other.run(rename)
        assert await tx.one("SELECT name FROM tenants") == before
    async with database.moment(tenant_id) as tx:
        assert await tx.one("SELECT name FROM tenants") == {"name": "later"}
    with pytest.raises(Defect, match="read-only"):
        async with database.moment(tenant_id) as tx:
            await tx.run(rename)
