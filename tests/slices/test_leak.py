"""Two tenants in one database: neither reads, changes, adds to or points at a row of the other, in any table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

import psycopg
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import Column, Table
from sqlalchemy import types as kinds
from sqlalchemy.dialects import postgresql

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.errors import AlphaPulseError, Defect
from alphapulse.ports.database import Transaction
from alphapulse.tables import METADATA, TENANT_TABLES, USER_TABLES
from alphapulse.tables.columns import SCHEMA

A, B = UUID(int=0xA), UUID(int=0xB)
USERS = {A: uuid5(A, "users"), B: uuid5(B, "users")}
#: Guarded by their own id instead of a tenant_id.
OTHER_GUARDED = ("tenants", "users")
NULLABLE = tuple(name for name in TENANT_TABLES if METADATA.tables[f"{SCHEMA}.{name}"].columns["tenant_id"].nullable)
GUARDED = (*TENANT_TABLES, *USER_TABLES, *OTHER_GUARDED)
#: What row-level security answers to a row of somebody else, and what a missing grant answers before it.
REFUSED = "row-level security|permission denied"


def owner_column(name: str) -> str:
    return "tenant_id" if name in TENANT_TABLES else "user_id" if name in USER_TABLES else "id"


def owner_of(name: str, tenant_id: UUID) -> UUID:
    return USERS[tenant_id] if name == "users" or name in USER_TABLES else tenant_id


def a_value(table: Table, column: Column[Any], tenant_id: UUID, salt: str) -> Any:
    """Any valid value; ids are such that foreign keys lead to the same tenant's rows."""
    match column.type:
        case postgresql.UUID() if column.name == "tenant_id":
            return tenant_id
        case postgresql.UUID() if column.name == "id":
            return (
                owner_of(table.name, tenant_id) if table.name in OTHER_GUARDED else uuid5(tenant_id, table.name + salt)
            )
        case postgresql.UUID():
            return uuid5(tenant_id, f"{column.name.removesuffix('_id')}s")
        case postgresql.JSONB():
            return Jsonb({})
        case kinds.LargeBinary():
            return uuid5(tenant_id, column.name + salt).bytes
        case kinds.ARRAY():
            return []
        case kinds.Date():
            return "2026-01-01"
        case kinds.Boolean():
            return False
        case kinds.Integer():
            return len(salt) + 1
        case kinds.Numeric() | kinds.Float():
            return 1
        case kinds.TIMESTAMP():
            return f"2026-01-01T00:00:{len(salt):02}+00:00"
        case _:
            return f"{column.name}-{uuid5(tenant_id, table.name + salt)}"


def a_row(name: str, tenant_id: UUID, salt: str = "") -> dict[str, Any]:
    table = METADATA.tables[f"{SCHEMA}.{name}"]
    return {column.name: a_value(table, column, tenant_id, salt) for column in table.columns}


def insert(name: str, row: Mapping[str, Any]) -> str:
    columns = ", ".join(f'"{column}"' for column in row)
    return f'INSERT INTO app."{name}" ({columns}) VALUES ({", ".join(f"%({column})s" for column in row)})'


@pytest.fixture
async def tenants(any_urls: DatabaseUrls, any_database: PostgresDatabase) -> PostgresDatabase:
    """A database with one row of A and one of B in every table, written round the policies."""
    assert any_urls.admin is not None
    with psycopg.connect(any_urls.admin) as admin:
        admin.execute("SELECT audit.add_month('2026-01-01')")
        for table in METADATA.sorted_tables:
            if table.name in GUARDED:
                for tenant_id in (A, B):
                    row = a_row(table.name, tenant_id)
                    admin.execute(insert(table.name, row).encode(), row)
        for name in NULLABLE:
            row = {**a_row(name, B, "of nobody"), "tenant_id": None}
            admin.execute(insert(name, row).encode(), row)
    return any_database


async def raw(tx: Transaction, statement: str, row: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    return await tx.all(statement, row)  # type: ignore[arg-type]


def test_the_plan_of_the_leak_test_covers_the_whole_schema() -> None:
    shared = {"erasures", "firings", "job_controls", "login_failures", "platform_halts", "signals", "signing_keys"}
    assert {table.name for table in METADATA.sorted_tables} == {*GUARDED, *shared}


class _Undone(Exception):
    """Ends an attempt, so that the next one finds everything as it was."""


async def attempt(database: PostgresDatabase, statement: str, row: Mapping[str, Any] | None = None) -> str:
    """What A gets for a statement: its error, or how many rows it touched. Nothing stays."""
    touched = 0
    try:
        async with database.transaction(A, user_id=USERS[A]) as tx:
            touched = await tx.run(statement, row)  # type: ignore[arg-type]
            raise _Undone
    except _Undone:
        return f"{touched} rows"
    except Defect as refused:
        return refused.message


async def test_a_tenant_reads_its_own_rows_and_nobody_elses(tenants: PostgresDatabase) -> None:
    for name in GUARDED:
        statement = f'SELECT "{owner_column(name)}" AS owner FROM "{name}"'
        own = [{"owner": owner_of(name, A)}]
        async with tenants.transaction(A, user_id=USERS[A]) as tx:
            assert (name, await raw(tx, statement)) == (name, own)
        async with tenants.transaction(A) as tx:
            assert (name, await raw(tx, statement)) == (name, [] if name in USER_TABLES else own)
        async with tenants.platform() as tx:
            assert {row["owner"] for row in await raw(tx, statement)} >= {owner_of(name, A), owner_of(name, B)}


async def test_who_is_bound_to_nobody_reads_nothing_of_anybody(tenants: PostgresDatabase) -> None:
    async with tenants.shared() as tx:
        seen = {name: await raw(tx, f'SELECT "{owner_column(name)}" AS owner FROM "{name}"') for name in GUARDED}
    assert seen == {**{name: [] for name in GUARDED}, "jobs": [{"owner": None}], "mails": [{"owner": None}]}


async def test_a_tenant_can_neither_change_nor_remove_what_is_not_its_own(
    tenants: PostgresDatabase,
) -> None:
    for name in GUARDED:
        column = owner_column(name)
        for statement in (
            f'UPDATE "{name}" SET "{column}" = "{column}"',
            f'DELETE FROM "{name}"',
            f'SELECT 1 FROM "{name}" FOR UPDATE',
        ):
            outcome = await attempt(tenants, statement)
            assert outcome == "1 rows" or "permission denied" in outcome, (statement, outcome)
        assert "permission denied" in await attempt(tenants, f'TRUNCATE "{name}" CASCADE')


async def test_a_tenant_can_neither_add_to_another_nor_move_a_row_there(
    tenants: PostgresDatabase,
) -> None:
    for name in GUARDED:
        foreign = a_row(name, B, "smuggled")
        if name in OTHER_GUARDED:
            foreign["id"] = uuid5(B, "smuggled")
        column = owner_column(name)
        moved = f'UPDATE "{name}" SET "{column}" = %(owner)s'
        for outcome in (
            await attempt(tenants, insert(name, foreign), foreign),
            await attempt(tenants, moved, {"owner": foreign[column]}),
        ):
            assert "row-level security" in outcome or "permission denied" in outcome, (name, outcome)


async def test_a_row_of_no_tenant_is_not_a_row_of_every_tenant(tenants: PostgresDatabase) -> None:
    assert NULLABLE == ("api_keys", "jobs", "mails", "sessions")
    for name in NULLABLE:
        assert await attempt(tenants, f'SELECT 1 FROM "{name}" WHERE tenant_id IS NULL') == "0 rows"
        row = {**a_row(name, A, "freed"), "tenant_id": None}
        if "user_id" in row:
            row["user_id"] = USERS[B]
        assert "row-level security" in await attempt(tenants, insert(name, row), row)


async def test_a_tenants_row_cannot_point_at_another_tenants(tenants: PostgresDatabase) -> None:
    pointing = [
        (table.name, constraint.column_keys[1])
        for table in METADATA.sorted_tables
        for constraint in table.foreign_key_constraints
        if len(constraint.column_keys) == 2
    ]
    assert len(pointing) >= 12
    for name, column in pointing:
        row = a_row(name, A, "pointing")
        row[column] = a_row(name, B)[column]
        assert "violates foreign key constraint" in await attempt(tenants, insert(name, row), row), name


async def test_a_user_reads_where_it_belongs_and_its_own_logins_before_a_tenant_is_chosen(
    tenants: PostgresDatabase,
) -> None:
    async with tenants.user(USERS[A]) as tx:
        assert await raw(tx, "SELECT tenant_id FROM memberships") == [{"tenant_id": A}]
        assert await raw(tx, "SELECT id FROM tenants") == [{"id": A}]
        assert await raw(tx, "SELECT id FROM users") == [{"id": USERS[A]}]
        assert await raw(tx, "SELECT tenant_id FROM sessions") == [{"tenant_id": A}]
        assert await raw(tx, "SELECT tenant_id FROM api_keys") == [{"tenant_id": A}]
        assert await raw(tx, "SELECT 1 FROM orders") == []


@pytest.mark.parametrize("name", ["api_keys", "sessions"])
async def test_a_user_cannot_make_a_login_for_a_tenant_it_does_not_belong_to(
    tenants: PostgresDatabase, name: str
) -> None:
    row = {**a_row(name, B, "stolen"), "user_id": USERS[A]}
    with pytest.raises(Defect, match=REFUSED):
        async with tenants.user(USERS[A]) as tx:
            await raw(tx, insert(name, row) + " RETURNING 1", row)


async def test_the_platform_reads_no_secrets(tenants: PostgresDatabase) -> None:
    for statement in (
        "SELECT password_hash FROM users",
        "SELECT token_hash FROM invitations",
        "SELECT token_hash FROM account_links",
        "SELECT request FROM account_links",
        "SELECT secret_hash FROM api_keys",
        "SELECT sealed_secret FROM second_factors",
        "SELECT recovery_hashes FROM second_factors",
        "SELECT sealed_private_key FROM signing_keys",
        "SELECT * FROM users",
    ):
        with pytest.raises(AlphaPulseError, match="permission denied"):
            async with tenants.platform() as tx:
                await raw(tx, statement)


async def test_the_look_ups_before_a_tenant_is_known_answer_with_ids_alone(tenants: PostgresDatabase) -> None:
    email, slug = a_row("users", A)["email"], a_row("tenants", B)["slug"]
    prefix = a_row("api_keys", B)["prefix"]
    async with tenants.shared() as tx:
        assert await raw(tx, "SELECT user_by_email(%(wanted)s) AS id", {"wanted": email}) == [{"id": USERS[A]}]
        assert await raw(tx, "SELECT tenant_by_slug(%(wanted)s) AS id", {"wanted": slug}) == [{"id": B}]
        assert await raw(tx, "SELECT user_by_email('nobody@example.com') AS id") == [{"id": None}]
        assert await raw(tx, "SELECT * FROM api_key_by_prefix(%(wanted)s)", {"wanted": prefix}) == [
            {"key_id": uuid5(B, "api_keys"), "tenant_id": B, "user_id": USERS[B]}
        ]
        assert await raw(tx, "SELECT * FROM tenants_ids()") == [{"tenant_id": A}, {"tenant_id": B}]


async def test_due_work_of_every_tenant_is_found_by_its_ids(tenants: PostgresDatabase, any_urls: DatabaseUrls) -> None:
    assert any_urls.admin is not None
    with psycopg.connect(any_urls.admin) as admin:
        admin.execute("UPDATE app.tenants SET state = CASE WHEN id = %s THEN 'active' ELSE 'suspended' END", [A])
        admin.execute("UPDATE app.funds SET state = 'running', timeframe = '1h'")
        admin.execute("UPDATE app.replays SET state = 'running' WHERE tenant_id = %s", [B])
        admin.execute("UPDATE app.orders SET status = 'open' WHERE tenant_id = %s", [B])
    async with tenants.shared() as tx:
        assert await raw(tx, "SELECT * FROM due_funds('1h')") == [{"tenant_id": A, "fund_id": uuid5(A, "funds")}]
        assert await raw(tx, "SELECT * FROM due_funds('4h')") == []
        assert await raw(tx, "SELECT * FROM running_replays()") == [{"tenant_id": B, "replay_id": uuid5(B, "replays")}]
        assert await raw(tx, "SELECT * FROM funds_with_live_orders()") == [
            {"tenant_id": B, "fund_id": uuid5(B, "funds")}
        ]
