"""Invitations: offered by mail, accepted once, with a password that nobody else has known."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.audit import store as audit
from alphapulse.clock import ManualClock
from alphapulse.domain.tenancy import PLATFORM_USER, Role
from alphapulse.errors import (
    AlreadyExists,
    Conflict,
    InputNeeded,
    InvalidInput,
    NotFound,
    PolicyNotAccepted,
    Unauthenticated,
)
from alphapulse.sealing import Seal
from alphapulse.tenancy import people_store, session_store
from tests.conftest import MakeTenant
from tests.daemon.waiting import eventually
from tests.fakes.people import ADMIN, NOW, PASSWORD, Town

BOB = "bob@else.example"


@pytest.fixture
async def town(database: PostgresDatabase, make_tenant: MakeTenant, tmp_path: Path) -> Town:
    tenant_id = await make_tenant(database)
    opened = Town(database, tenant_id, ManualClock(NOW), Seal.from_file(tmp_path / "master.key"))
    await opened.joined(ADMIN, Role.TENANT_ADMIN)
    return opened


async def session_of(town: Town, user_id: UUID, tenant_id: UUID | None) -> None:
    async with town.database.user(user_id) as tx:
        await tx.run(
            "INSERT INTO sessions (id, tenant_id, user_id, created_at, expires_at, generation, seen_at, address,"
            " program) VALUES (gen_random_uuid(), %(tenant_id)s, %(user_id)s, %(at)s, %(until)s, 0, %(at)s, '', '')",
            {"tenant_id": tenant_id, "user_id": user_id, "at": NOW, "until": NOW + timedelta(days=1)},
        )


async def sessions_of(town: Town, user_id: UUID) -> int:
    async with town.database.user(user_id) as tx:
        return len(await session_store.list_sessions(tx, NOW, lifetime=timedelta(days=1)))


async def test_an_invitation_makes_a_member_with_a_password_of_their_own(town: Town) -> None:
    offered = await town.invited(BOB, Role.TRADER)
    assert offered.link is None
    mail = (await town.mailed(BOB))[-1]
    assert (mail["template"], mail["role"], mail["inviter"]) == ("invitation", "trader", ADMIN)
    shown = await town.people.look(mail["token"])
    assert (shown.email, shown.tenant, shown.role, shown.has_account) == (BOB, "acme", Role.TRADER, False)
    member = await town.accept(mail["token"])
    assert (member.email, member.role, member.tenant_id) == (BOB, Role.TRADER, town.tenant_id)
    user = await town.user(BOB)
    assert user is not None
    assert user["confirmed_at"] == NOW
    assert await town.opens(BOB, PASSWORD)


async def test_an_invitation_is_good_once(town: Town) -> None:
    await town.invited(BOB)
    token = await town.token(BOB)
    await town.accept(token)
    with pytest.raises(Conflict, match="was accepted before"):
        await town.accept(token)


async def test_two_who_accept_at_the_same_time_are_one_member(town: Town) -> None:
    await town.invited(BOB)
    token = await town.token(BOB)
    outcomes = await asyncio.gather(*(town.accept(token) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 3
    assert list(await town.roles()) == [ADMIN, BOB]


async def test_an_invitation_ends_after_seven_days(town: Town) -> None:
    await town.invited(BOB)
    token = await town.token(BOB)
    town.clock.advance(timedelta(days=7))
    for attempt in (town.accept(token), town.people.look(token)):
        with pytest.raises(Conflict, match="expired"):
            await attempt
    assert BOB not in await town.roles()


async def test_inviting_again_ends_the_first_link(town: Town) -> None:
    await town.invited(BOB, Role.TENANT_ADMIN)
    first = await town.token(BOB)
    town.clock.advance(timedelta(minutes=1))
    await town.invited(BOB, Role.VIEWER)
    with pytest.raises(Conflict, match="withdrawn"):
        await town.accept(first)
    assert (await town.accept(await town.token(BOB))).role is Role.VIEWER


async def test_a_withdrawn_invitation_is_dead(town: Town) -> None:
    await town.invited(BOB)
    token = await town.token(BOB)
    ended = await town.people.withdraw(town.tenant_id, BOB, actor=ADMIN)
    assert ended.withdrawn_at == NOW
    with pytest.raises(Conflict, match="withdrawn"):
        await town.accept(token)
    with pytest.raises(NotFound):
        await town.people.withdraw(town.tenant_id, BOB, actor=ADMIN)


async def test_a_withdrawal_that_is_under_way_is_waited_for(town: Town) -> None:
    await town.invited(BOB)
    token = await town.token(BOB)

    async def somebody_waits() -> bool:
        async with town.database.shared() as other:
            return bool(await other.all("SELECT 1 FROM pg_locks WHERE NOT granted"))

    async with town.database.transaction(town.tenant_id) as tx:
        await people_store.withdraw_open(tx, town.tenant_id, BOB, NOW)
        joining = asyncio.create_task(town.accept(token))
        await eventually(somebody_waits)
    with pytest.raises(Conflict, match="withdrawn"):
        await joining
    assert BOB not in await town.roles()


async def test_only_the_hash_of_a_token_is_stored_and_no_list_shows_it(town: Town) -> None:
    await town.invited(BOB)
    token = await town.token(BOB)
    async with town.database.transaction(town.tenant_id) as tx:
        stored = await tx.all("SELECT i::text AS whole FROM invitations i UNION ALL SELECT m::text FROM mails m")
        recorded = [str(chained) for chained in await audit.list_events(tx, limit=100)]
    assert stored
    assert recorded
    assert not any(token[4:] in text for text in (*(row["whole"] for row in stored), *recorded))
    assert all(one.link is None for one in await town.people.list_invitations(town.tenant_id))


@pytest.mark.parametrize("token", ["", "inv_", "inv_" + "A" * 43, "x" * 10_000, "inv_'; DROP TABLE users; --"])
async def test_what_is_no_token_finds_nothing(town: Town, token: str) -> None:
    for attempt in (town.accept(token), town.people.look(token)):
        with pytest.raises(NotFound):
            await attempt


async def test_a_token_of_another_kind_is_told_apart(town: Town) -> None:
    with pytest.raises(InvalidInput, match="for reset"):
        await town.accept("rst_" + "A" * 43)


async def test_without_the_policy_nobody_joins(town: Town) -> None:
    await town.invited(BOB)
    token = await town.token(BOB)
    for version in (None, "2020-01-01", ""):
        with pytest.raises(PolicyNotAccepted, match="not accepted"):
            await town.people.accept(token, password=PASSWORD, policy_version=version)
    assert await town.user(BOB) is None


async def test_a_new_member_needs_a_password_that_is_long_enough(town: Town) -> None:
    await town.invited(BOB)
    token = await town.token(BOB)
    with pytest.raises(InputNeeded, match="at least 12"):
        await town.accept(token, None)
    with pytest.raises(InvalidInput, match="12 to 1024"):
        await town.accept(token, "short")
    assert await town.user(BOB) is None


async def test_who_has_an_account_proves_its_password_and_keeps_it(town: Town, make_tenant: MakeTenant) -> None:
    await town.joined(BOB)
    rival = await make_tenant(town.database, "rival")
    await town.invited(BOB, Role.TRADER, rival)
    async with town.database.transaction(rival) as tx:
        mail = await tx.one("SELECT id, sealed_values FROM mails")
    assert mail is not None
    other = Town(town.database, rival, town.clock, town.seal)
    token = await other.token(BOB)
    assert (await other.people.look(token)).has_account
    with pytest.raises(Unauthenticated, match="not the password"):
        await other.accept(token, "chosen by somebody else")
    with pytest.raises(InputNeeded, match="password of its account"):
        await other.accept(token, None)
    assert BOB not in await other.roles()
    await other.accept(token)
    assert (await other.roles())[BOB] == "trader"
    assert await town.opens(BOB, PASSWORD)


async def test_a_link_that_was_shown_confirms_nothing_and_takes_over_nothing(
    town: Town, make_tenant: MakeTenant
) -> None:
    shown = Town(town.database, town.tenant_id, town.clock, town.seal, mails=False)
    link = (await shown.invited(BOB)).link
    assert link is not None
    address, _, token = link.partition("#")
    assert address == "http://127.0.0.1:8470/accept"
    await shown.accept(token, "whoever invited him")
    user = await town.user(BOB)
    assert user is not None
    assert user["confirmed_at"] is None
    rival = Town(town.database, await make_tenant(town.database, "rival"), town.clock, town.seal, mails=False)
    with pytest.raises(Unauthenticated):
        await rival.accept(((await rival.invited(BOB)).link or "").partition("#")[2], "whoever comes second")


async def test_the_first_mail_that_is_read_decides_whose_account_it_is(town: Town, make_tenant: MakeTenant) -> None:
    shown = Town(town.database, town.tenant_id, town.clock, town.seal, mails=False)
    squatted = await shown.accept(((await shown.invited(BOB)).link or "").partition("#")[2], "whoever invited him")
    await session_of(town, squatted.user_id, town.tenant_id)
    rival = Town(town.database, await make_tenant(town.database, "rival"), town.clock, town.seal)
    await rival.invited(BOB)
    await rival.accept(await rival.token(BOB), "what Bob himself chose")
    assert await town.opens(BOB, "what Bob himself chose")
    assert not await town.opens(BOB, "whoever invited him")
    assert await sessions_of(town, squatted.user_id) == 0


async def test_members_and_look_alikes_are_not_invited(town: Town) -> None:
    with pytest.raises(AlreadyExists, match="is a member"):
        await town.invited(ADMIN.upper())
    await town.invited("rob@else.example")
    for address in ("r0b@else.example", "rob@e1se.example", "R0B@else.example"):
        with pytest.raises(InvalidInput, match="looks like rob@else.example"):
            await town.invited(address)
    for address in ("аnn@acme.example", "ann@acme.exаmple"):
        with pytest.raises(InvalidInput, match="cyrillic small letter a, which looks like a"):
            await town.invited(address)


@pytest.mark.parametrize(
    "address", [PLATFORM_USER, "no address", "a@b@c", "a b@c.d", "a\x00@b.c", "a@b.c\r\nBcc: x@y.z"]
)
async def test_what_is_no_address_of_a_person_is_not_invited(town: Town, address: str) -> None:
    with pytest.raises(InvalidInput):
        await town.invited(address)


async def test_nobody_is_invited_as_platform_admin(town: Town) -> None:
    with pytest.raises(InvalidInput, match="not a member's role"):
        await town.people.invite(town.tenant_id, BOB, "platform_admin", actor=ADMIN)


async def test_a_tenant_has_at_most_a_hundred_open_invitations(town: Town) -> None:
    for number in range(100):
        await town.invited(f"person{number + 200}@else.example")
    with pytest.raises(Conflict, match="100 invitations are open"):
        await town.invited(BOB)
    town.clock.advance(timedelta(days=7))
    await town.invited(BOB)


async def test_the_first_admin_is_invited_again_until_there_is_one(town: Town, make_tenant: MakeTenant) -> None:
    fresh = Town(town.database, await make_tenant(town.database, "fresh"), town.clock, town.seal)
    with pytest.raises(NotFound):
        await fresh.people.invite_admin(fresh.tenant_id, actor="platform")
    await fresh.people.invite_admin(fresh.tenant_id, BOB, actor="platform")
    town.clock.advance(timedelta(days=8))
    await fresh.people.invite_admin(fresh.tenant_id, actor="platform")
    await fresh.accept(await fresh.token(BOB))
    assert await fresh.roles() == {BOB: "tenant_admin"}
    with pytest.raises(Conflict, match="has an admin"):
        await fresh.people.invite_admin(fresh.tenant_id, "eve@else.example", actor="platform")


@pytest.mark.parametrize("state", ["cancelled", "deleted"])
async def test_nobody_joins_a_tenant_that_is_closed(town: Town, state: str) -> None:
    await town.invited(BOB)
    token = await town.token(BOB)
    async with town.database.transaction(town.tenant_id) as tx:
        await tx.run("UPDATE tenants SET state = %(state)s", {"state": state})
    with pytest.raises(NotFound):
        await town.accept(token)


async def test_what_is_done_about_members_is_in_the_audit_log(town: Town) -> None:
    await town.joined(BOB)
    await town.members.change_role(town.tenant_id, BOB, "trader", actor=ADMIN)
    await town.members.remove(town.tenant_id, BOB, actor=ADMIN)
    async with town.database.transaction(town.tenant_id) as tx:
        events = [chained.event for chained in reversed(await audit.list_events(tx, limit=100))]
    done = [(event.action, event.actor) for event in events if event.subject == BOB]
    assert done == [
        ("invitation.create", ADMIN),
        ("member.join", BOB),
        ("member.role", ADMIN),
        ("member.remove", ADMIN),
    ]
