"""Dumps on every supported PostgreSQL: all rows or an error, and back into an empty database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from alphapulse.adapters.database.databases import Databases
from alphapulse.adapters.database.dump import PostgresDump, PostgresLoad
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls, of_database
from alphapulse.errors import Conflict, DriftFound, Misconfigured, Unavailable
from tests.conftest import MakeTenant


def admin_of(urls: DatabaseUrls) -> str:
    assert urls.admin is not None
    return urls.admin


@pytest.fixture
def scratch(any_urls: DatabaseUrls) -> Iterator[DatabaseUrls]:
    databases = Databases(any_urls)
    name = f"scratch_{uuid4().hex[:8]}"
    yield databases.make(name)
    databases.drop(name)


async def test_a_dump_comes_back_row_for_row(
    any_database: PostgresDatabase, any_urls: DatabaseUrls, scratch: DatabaseUrls, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(any_database)
    with PostgresDump(admin_of(any_urls)).snapshot() as snapshot:
        await make_tenant(any_database, "late")  # after the snapshot: not in it
        PostgresLoad(admin_of(scratch)).load(snapshot.chunks)
    assert PostgresLoad(admin_of(scratch)).content() == snapshot.content
    assert snapshot.content.rows["app.tenants"] == 1
    restored = await PostgresDatabase.open(scratch.app, platform_url=scratch.platform)
    async with restored.transaction(tenant) as tx:
        assert [row["slug"] for row in await tx.all("SELECT slug FROM tenants")] == ["acme"]
    async with restored.transaction(uuid4()) as tx:
        assert await tx.all("SELECT slug FROM tenants") == []
    await restored.close()


def test_a_login_that_reads_every_row_and_owns_nothing_makes_a_whole_dump(
    any_urls: DatabaseUrls, scratch: DatabaseUrls
) -> None:
    name = f"keeper_{uuid4().hex[:8]}"
    with psycopg.connect(admin_of(any_urls), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN BYPASSRLS IN ROLE pg_read_all_data".encode())
    keeper = admin_of(any_urls).replace("postgres@", f"{name}@")
    with PostgresDump(keeper).snapshot() as snapshot:
        PostgresLoad(admin_of(scratch)).load(snapshot.chunks)
    assert PostgresLoad(admin_of(scratch)).content() == snapshot.content


def test_a_login_under_row_level_security_makes_no_dump(any_urls: DatabaseUrls) -> None:
    with (
        pytest.raises(Misconfigured, match="ap_app does not see every row") as refused,
        PostgresDump(any_urls.app).snapshot(),
    ):
        pass
    assert "BYPASSRLS" in refused.value.fix


def test_a_dump_that_is_damaged_leaves_the_database_empty(any_urls: DatabaseUrls, scratch: DatabaseUrls) -> None:
    with PostgresDump(admin_of(any_urls)).snapshot() as snapshot:
        whole = b"".join(snapshot.chunks)
    half = len(whole) // 2
    for damaged in (whole[:-20], whole[:half], b"not a dump", whole[:half] + bytes(200) + whole[half + 200 :]):
        with pytest.raises(DriftFound):
            PostgresLoad(admin_of(scratch)).load([damaged])
    assert not Databases(scratch).holds_anything()


def test_an_error_of_the_source_leaves_the_database_empty(any_urls: DatabaseUrls, scratch: DatabaseUrls) -> None:
    def broken(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk[: len(chunk) // 2]
            raise DriftFound("the backup is damaged")

    with (
        PostgresDump(admin_of(any_urls)).snapshot() as snapshot,
        pytest.raises(DriftFound, match="the backup is damaged"),
    ):
        PostgresLoad(admin_of(scratch)).load(broken(snapshot.chunks))
    assert not Databases(scratch).holds_anything()


def test_the_password_reaches_the_program_by_its_environment_and_not_as_an_argument(
    any_urls: DatabaseUrls, tmp_path: Path
) -> None:
    telling = tmp_path / "pg_dump"
    telling.write_text('#!/bin/sh\necho "$@ password=$PGPASSWORD"\n')
    telling.chmod(0o700)
    url = admin_of(any_urls).replace("postgres@", "postgres:canary@")
    with PostgresDump(url, programs=tmp_path).snapshot() as snapshot:
        arguments, _, password = b"".join(snapshot.chunks).decode().partition(" password=")
    assert "--dbname=" in arguments
    assert "canary" not in arguments
    assert password == "canary\n"


def test_an_empty_database_has_nothing_to_keep(empty_urls: DatabaseUrls) -> None:
    with pytest.raises(Misconfigured, match="holds nothing"), PostgresDump(admin_of(empty_urls)).snapshot():
        pass


def test_a_server_that_is_away_is_told() -> None:
    away = "postgresql://postgres@/x?host=/nowhere"
    with pytest.raises(Unavailable), PostgresDump(away).snapshot():
        pass
    with pytest.raises(Unavailable):
        PostgresLoad(away).load([b"x"])


def test_the_restored_database_takes_the_place_of_the_other_and_the_other_is_kept(any_urls: DatabaseUrls) -> None:
    databases = Databases(any_urls)
    new, kept = f"{databases.name}_new", f"{databases.name}_kept"
    made = databases.make(new)
    with PostgresDump(admin_of(any_urls)).snapshot() as snapshot:
        PostgresLoad(admin_of(made)).load(snapshot.chunks)
    with psycopg.connect(admin_of(made)) as connection:
        connection.execute("CREATE TABLE app.mark ()")
    databases.put_in_place(new, kept)
    assert "app.mark" in PostgresLoad(admin_of(any_urls)).content().rows
    assert "app.mark" not in PostgresLoad(admin_of(of_database(any_urls, kept))).content().rows
    databases.drop(kept)


def test_a_database_that_is_in_use_is_not_replaced(any_urls: DatabaseUrls, scratch: DatabaseUrls) -> None:
    databases = Databases(any_urls)
    name = Databases(scratch).name
    with psycopg.connect(any_urls.app), pytest.raises(Conflict, match="in use"):
        databases.put_in_place(name, f"{databases.name}_kept")
    assert databases.holds_anything()
    assert not Databases(scratch).holds_anything()


def test_a_restore_without_a_superusers_login_is_told() -> None:
    with pytest.raises(Misconfigured, match="superuser") as refused:
        Databases(DatabaseUrls(None, "postgresql://ap_app@h/d", "postgresql://ap_platform@h/d"))
    assert "ALPHAPULSE_DATABASE_ADMIN_URL" in refused.value.fix
