"""Roles, removal, handing a tenant over; a tenant never loses its last admin."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.clock import ManualClock
from alphapulse.domain.tenancy import Role
from alphapulse.errors import Conflict, Forbidden, InvalidInput, NotFound
from alphapulse.sealing import Seal
from tests.conftest import MakeTenant
from tests.fakes.people import ADMIN, NOW, Town

BOB = "bob@else.example"


@pytest.fixture
async def town(database: PostgresDatabase, make_tenant: MakeTenant, tmp_path: Path) -> Town:
    opened = Town(database, await make_tenant(database), ManualClock(NOW), Seal.from_file(tmp_path / "master.key"))
    await opened.joined(ADMIN, Role.TENANT_ADMIN)
    return opened


async def admin_id(town: Town) -> UUID:
    return (await town.members.list_members(town.tenant_id))[0].user_id


async def a_key(town: Town, user_id: UUID, role: Role) -> UUID:
    key_id = uuid4()
    async with town.database.transaction(town.tenant_id) as tx:
        await tx.run(
            "INSERT INTO api_keys (id, tenant_id, user_id, name, prefix, secret_hash, role, created_at)"
            " VALUES (%(id)s, %(tenant_id)s, %(user_id)s, 'k', %(id)s::text, '\\x00', %(role)s, %(at)s)",
            {"id": key_id, "tenant_id": town.tenant_id, "user_id": user_id, "role": role.value, "at": NOW},
        )
    return key_id


async def keys_left(town: Town) -> set[UUID]:
    async with town.database.transaction(town.tenant_id) as tx:
        return {row["id"] for row in await tx.all("SELECT id FROM api_keys WHERE revoked_at IS NULL")}


async def test_a_role_is_changed_and_keys_that_may_more_are_revoked(town: Town) -> None:
    bob = await town.joined(BOB, Role.TENANT_ADMIN)
    strong, weak = await a_key(town, bob.user_id, Role.TENANT_ADMIN), await a_key(town, bob.user_id, Role.VIEWER)
    of_ann = await a_key(town, await admin_id(town), Role.TENANT_ADMIN)
    changed = await town.members.change_role(town.tenant_id, BOB.upper(), "trader", actor=ADMIN)
    assert changed.role is Role.TRADER
    assert await keys_left(town) == {weak, of_ann}
    assert strong not in await keys_left(town)


@pytest.mark.parametrize("role", ["platform_admin", "emperor", "", "TENANT_ADMIN", "viewer'; --"])
async def test_nobody_is_made_what_a_member_cannot_be(town: Town, role: str) -> None:
    with pytest.raises(InvalidInput, match="not a member's role"):
        await town.members.change_role(town.tenant_id, ADMIN, role, actor=ADMIN)


async def test_the_last_admin_is_neither_demoted_nor_removed(town: Town) -> None:
    await town.joined(BOB, Role.TRADER)
    for attempt in (
        town.members.change_role(town.tenant_id, ADMIN, "viewer", actor=ADMIN),
        town.members.remove(town.tenant_id, ADMIN, actor=ADMIN),
    ):
        with pytest.raises(Conflict, match="last admin"):
            await attempt
    assert await town.roles() == {ADMIN: "tenant_admin", BOB: "trader"}


async def test_two_admins_who_remove_each_other_leave_one(town: Town) -> None:
    await town.joined(BOB, Role.TENANT_ADMIN)
    outcomes = await asyncio.gather(
        town.members.remove(town.tenant_id, ADMIN, actor=BOB),
        town.members.remove(town.tenant_id, BOB, actor=ADMIN),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1
    assert list((await town.roles()).values()) == ["tenant_admin"]


async def test_a_tenant_is_handed_over_in_one_step(town: Town) -> None:
    await town.joined(BOB, Role.VIEWER)
    heir = await town.members.transfer(town.tenant_id, BOB, "trader", owner=await admin_id(town), actor=ADMIN)
    assert (heir.email, heir.role) == (BOB, Role.TENANT_ADMIN)
    assert await town.roles() == {ADMIN: "trader", BOB: "tenant_admin"}


async def test_a_tenant_is_handed_over_by_an_admin_to_another_member_only(town: Town) -> None:
    bob = await town.joined(BOB, Role.TRADER)
    ann = await admin_id(town)
    with pytest.raises(Forbidden, match="only an admin"):
        await town.members.transfer(town.tenant_id, ADMIN, "viewer", owner=bob.user_id, actor=BOB)
    with pytest.raises(Forbidden, match="only an admin"):
        await town.members.transfer(town.tenant_id, BOB, "viewer", owner=uuid4(), actor="platform")
    with pytest.raises(InvalidInput, match="yours already"):
        await town.members.transfer(town.tenant_id, ADMIN, "viewer", owner=ann, actor=ADMIN)
    with pytest.raises(NotFound):
        await town.members.transfer(town.tenant_id, "eve@else.example", "viewer", owner=ann, actor=ADMIN)
    with pytest.raises(InvalidInput, match="no admin afterwards"):
        await town.members.transfer(town.tenant_id, BOB, "tenant_admin", owner=ann, actor=ADMIN)
    assert await town.roles() == {ADMIN: "tenant_admin", BOB: "trader"}


async def test_a_removed_member_can_be_invited_again(town: Town) -> None:
    await town.joined(BOB)
    await town.members.remove(town.tenant_id, BOB, actor=ADMIN)
    assert BOB not in await town.roles()
    await town.joined(BOB, Role.TRADER)
    assert (await town.roles())[BOB] == "trader"
