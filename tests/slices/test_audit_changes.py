"""Changes in the audit log: what differs, who did it, and nothing secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.audit import chain, store
from alphapulse.audit.changes import differences, record_change
from alphapulse.audit.key_store import forget_chain, forget_subject
from alphapulse.audit.origin import ORIGIN
from alphapulse.domain.audit import AuditEvent, AuditKind
from alphapulse.domain.permissions import Role
from alphapulse.domain.tenancy import PLATFORM, Caller
from alphapulse.errors import Defect
from tests.conftest import MakeTenant

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ADA, BOB = "ada@acme.example", "bob@acme.example"


@dataclass
class Request:
    request_id: str
    caller: Caller | None


async def change(database: PostgresDatabase, tenant_id: UUID, *, subject: str = "s", reason: str = "") -> None:
    async with database.transaction(tenant_id) as tx:
        await record_change(
            tx,
            actor=ADA,
            action="member.invite",
            subject=subject,
            before=None,
            after={"email": BOB, "role": Role.TRADER},
            at=AT,
            reason=reason,
        )


async def stored(database: PostgresDatabase, tenant_id: UUID) -> list[AuditEvent]:
    async with database.transaction(tenant_id) as tx:
        return [row.event for row in await store.list_events(tx)]


async def as_stored(database: PostgresDatabase, tenant_id: UUID) -> list[AuditEvent]:
    async with database.transaction(tenant_id) as tx:
        return [row.event for row in await store.rows_after(tx, 0, 1000, 1000)]


def test_only_what_differs_is_kept_with_both_sides() -> None:
    before = {"state": "stopped", "config": {"timeframe": "1h", "limits": {"max": Decimal("1.50")}}, "gone": 1}
    after = {"state": "running", "config": {"timeframe": "1h", "limits": {"max": Decimal(2)}}, "new": AT}
    assert differences(before, after) == {
        "state": {"before": "stopped", "after": "running"},
        "config.limits.max": {"before": "1.5", "after": "2"},
        "gone": {"before": 1},
        "new": {"after": "2026-03-01T12:00:00Z"},
    }


@pytest.mark.parametrize(
    "name", ["password", "password_hash", "api_token", "client_secret", "totp", "recovery_codes", "key", "private_pem"]
)
def test_a_secret_is_never_recorded_only_that_it_changed(name: str) -> None:
    assert differences({name: "old"}, {name: "new"}) == {name: {"before": "[not recorded]", "after": "[not recorded]"}}
    nested = {"outer": {name: "hunter2"}, "listed": [{"inner": {name: "hunter2"}}]}
    assert "hunter2" not in str(differences(None, nested))


def test_a_value_too_long_to_keep_is_kept_as_its_digest() -> None:
    (sides,) = differences(None, {"universe": ["X/USDT"] * 1000}).values()
    assert set(sides["after"]) == {"length", "sha256"}


async def test_a_change_names_its_request_its_actor_and_its_support_session(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenant_id, support = await make_tenant(database), uuid4()
    caller = Caller(ADA, uuid4(), uuid4(), Role.PLATFORM_ADMIN, tenant_id, AT, support=support)
    token = ORIGIN.set(Request("r-7", caller))
    try:
        await change(database, tenant_id, reason="asked for by phone")
    finally:
        ORIGIN.reset(token)
    (event,) = await stored(database, tenant_id)
    assert (event.kind, event.actor, event.action) == (AuditKind.CHANGE, ADA, "member.invite")
    assert (event.request_id, event.reason, event.support) == ("r-7", "asked for by phone", str(support))
    assert event.changes == {"email": {"after": BOB}, "role": {"after": "trader"}}
    async with database.transaction(tenant_id) as tx:
        assert len(await store.list_events(tx, support=True)) == 1


async def test_a_change_that_is_rolled_back_leaves_no_event(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenant_id = await make_tenant(database)
    with pytest.raises(RuntimeError):
        async with database.transaction(tenant_id) as tx:
            await record_change(tx, actor=ADA, action="a.b", subject="", before=None, after={"x": 1}, at=AT)
            raise RuntimeError
    assert await stored(database, tenant_id) == []


async def test_a_change_without_a_chain_is_refused(database: PostgresDatabase) -> None:
    async with database.shared() as tx:
        with pytest.raises(Defect, match="whose audit chain"):
            await record_change(tx, actor=ADA, action="a.b", subject="", before=None, after=None, at=AT)
        await record_change(tx, actor=ADA, action="a.b", subject="", before=None, after=None, at=AT, tenant_id=PLATFORM)
    assert len(await stored(database, PLATFORM)) == 1


async def test_no_address_of_a_person_is_stored_in_plain(database: PostgresDatabase, make_tenant: MakeTenant) -> None:
    tenant_id = await make_tenant(database)
    await change(database, tenant_id, subject=BOB, reason=f"because {ADA}, and Carl@Acme.example.")
    (event,) = await as_stored(database, tenant_id)
    assert "@" not in f"{event.actor}{event.subject}{event.reason}{event.changes}"
    (readable,) = await stored(database, tenant_id)
    assert (readable.subject, readable.reason) == (BOB, f"because {ADA}, and Carl@Acme.example.")


async def test_erasing_a_tenant_leaves_a_chain_that_verifies_and_names_nobody(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenant_id, other = await make_tenant(database, "acme"), await make_tenant(database, "other")
    for owner in (tenant_id, other):
        await change(database, owner, subject=BOB)
    async with database.transaction(tenant_id) as tx:
        assert await forget_chain(tx) == 2
    (event,) = await stored(database, tenant_id)
    assert (event.actor, event.subject) == ("[erased]", "[erased]")
    assert event.changes == {"email": {"after": "[erased]"}, "role": {"after": "trader"}}
    async with database.transaction(tenant_id) as tx:
        assert (await chain.verify(tx)).broken_at is None
    (event,) = await stored(database, other)
    assert (event.actor, event.subject) == (ADA, BOB)


async def test_erasing_a_person_erases_them_in_every_chain_and_nobody_else(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenant_id, user_id = await make_tenant(database), uuid4()
    await change(database, tenant_id, subject=BOB)  # before Bob had a user
    async with database.user(user_id) as tx:
        await tx.run(
            "INSERT INTO users (id, email, is_platform_admin, created_at) VALUES (%(id)s, %(email)s, false, %(at)s)",
            {"id": user_id, "email": BOB, "at": AT},
        )
    for owner in (tenant_id, PLATFORM):
        await change(database, owner, subject=BOB)
    async with database.shared() as tx:
        assert await forget_subject(tx, user_id, BOB) == 3
    for owner in (tenant_id, PLATFORM):
        for event in await stored(database, owner):
            assert (event.actor, event.subject) == (ADA, "[erased]")
        async with database.transaction(owner) as tx:
            assert (await chain.verify(tx)).broken_at is None


async def test_without_the_master_key_nothing_personal_is_written_or_read(
    database: PostgresDatabase, urls: DatabaseUrls, make_tenant: MakeTenant
) -> None:
    tenant_id = await make_tenant(database)
    await change(database, tenant_id)
    blind = await PostgresDatabase.open(urls.app)
    try:
        await change(blind, tenant_id)
        assert [event.actor for event in await stored(blind, tenant_id)] == ["[withheld]", "[withheld]"]
    finally:
        await blind.close()
    assert [event.actor for event in await stored(database, tenant_id)] == ["[withheld]", ADA]


async def test_a_text_that_looks_sealed_is_not_opened(database: PostgresDatabase, make_tenant: MakeTenant) -> None:
    tenant_id = await make_tenant(database)
    await change(database, tenant_id)
    (event,) = await as_stored(database, tenant_id)
    await change(database, tenant_id, reason=f"see {event.actor}")
    (copied, _) = await stored(database, tenant_id)
    assert ADA not in copied.reason
    assert "{sealed " in copied.reason


async def test_the_list_finds_what_a_person_did_with_and_without_a_user(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenant_id = await make_tenant(database)
    await change(database, tenant_id)
    async with database.transaction(tenant_id) as tx:
        assert len(await store.list_events(tx, actor="Ada@Acme.example")) == 1
        assert await store.list_events(tx, actor=BOB) == []
