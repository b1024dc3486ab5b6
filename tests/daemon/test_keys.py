"""API keys: scopes, expiry, last use, rotation, revocation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.clock import ManualClock
from alphapulse.domain.tenancy import Role
from alphapulse.tenancy.doors import LogIn
from tests.daemon.house import PASSWORD, House, audit_of, open_house
from tests.daemon.test_logins import bearer

NOW = datetime(2026, 3, 1, tzinfo=UTC)


async def make(house: House, headers: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = await house.ask("POST", "/keys", {"name": "nightly", "role": "viewer", **body}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_an_api_key_is_shown_once_stored_hashed_and_revoked(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    made = await make(house, admin)
    key = bearer(made["key"])
    who = (await house.ask("GET", "/auth/whoami", headers=key)).json()
    assert (who["actor"], who["role"], who["tenant"]) == (f"key:{made['prefix']}", "viewer", "acme")
    listed = (await house.ask("GET", "/keys", headers=admin)).json()["items"]
    assert [(item["id"], item["key"]) for item in listed] == [(made["id"], None)]
    secret = made["key"].rpartition(made["prefix"] + "_")[2]
    async with house.services.database.transaction(UUID(made["tenant_id"])) as tx:
        row = await tx.one("SELECT api_keys::text AS whole FROM api_keys")
    assert row is not None
    assert secret not in row["whole"]
    wrong = made["key"][:-1] + ("A" if made["key"][-1] != "A" else "B")
    assert (await house.ask("GET", "/auth/whoami", headers=bearer(wrong))).status_code == 401
    assert (await house.ask("DELETE", f"/keys/{made['id']}", headers=admin)).status_code == 200
    assert (await house.ask("GET", "/auth/whoami", headers=key)).status_code == 401


async def test_a_key_of_another_tenant_is_not_found(house: House) -> None:
    made = await make(house, await house.as_(Role.TENANT_ADMIN))
    rival = await house.as_(Role.TENANT_ADMIN, "rival")
    assert (await house.ask("DELETE", f"/keys/{made['id']}", headers=rival)).status_code == 404
    assert (await house.ask("POST", f"/keys/{made['id']}/rotate", {}, headers=rival)).status_code == 404
    assert (await house.ask("GET", "/auth/whoami", headers=bearer(made["key"]))).status_code == 200


async def test_a_key_with_an_end_stops_there(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    async with open_house(database, urls, tmp_path, clock) as house:
        made = await make(house, house.platform, role="platform_admin", expires_at="2026-03-02T00:00:00Z")
        assert (await house.ask("GET", "/tenants", headers=bearer(made["key"]))).status_code == 200
        clock.advance(timedelta(days=1))
        assert (await house.ask("GET", "/tenants", headers=bearer(made["key"]))).status_code == 401


async def test_no_member_can_make_a_key_of_the_platform(house: House) -> None:
    body = {"name": "x", "role": "platform_admin"}
    answer = await house.ask("POST", "/keys", body, headers=await house.as_(Role.TENANT_ADMIN))
    assert answer.status_code == 422


async def test_a_key_does_what_its_scopes_say_and_nothing_else(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    made = await make(house, admin, role="trader", scopes=["orders.read", "funds.read", "orders.read"])
    assert made["scopes"] == ["funds.read", "orders.read"]
    key = bearer(made["key"])
    assert (await house.ask("GET", "/orders", headers=key)).status_code == 200
    assert (await house.ask("GET", "/funds", headers=key)).status_code == 200
    for method, path in (("GET", "/events"), ("POST", "/trades"), ("GET", "/members"), ("POST", "/risk/halt")):
        answer = await house.ask(method, path, {} if method == "POST" else None, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    refused = await house.ask("GET", "/events", headers=key)
    assert "its scopes are funds.read, orders.read" in refused.json()["detail"]
    assert "--scope events.read" in refused.json()["fix"]


@pytest.mark.parametrize("scopes", [["orders.write"], ["no.such"], [], ["orders.read'; DROP TABLE api_keys; --"]])
async def test_scopes_that_the_role_does_not_grant_are_refused(house: House, scopes: list[str]) -> None:
    body = {"name": "x", "role": "viewer", "scopes": scopes}
    answer = await house.ask("POST", "/keys", body, headers=await house.as_(Role.TENANT_ADMIN))
    assert (answer.status_code, answer.json()["field"]) == (422, "scopes"), answer.text
    assert "orders.read" in answer.json()["fix"]


async def test_a_confined_key_cannot_make_or_follow_a_wider_one(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    wide = await make(house, admin, role="trader")
    narrow = await make(house, admin, role="tenant_admin", scopes=["members.write", "orders.read"])
    key = bearer(narrow["key"])
    for body in (
        {"name": "x", "role": "viewer"},
        {"name": "x", "role": "tenant_admin"},
        {"name": "x", "role": "tenant_admin", "scopes": ["members.write", "funds.read"]},
    ):
        answer = await house.ask("POST", "/keys", body, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), body
    assert (await house.ask("POST", f"/keys/{wide['id']}/rotate", {}, headers=key)).status_code == 403
    await make(house, key, role="tenant_admin", scopes=["orders.read"])


async def test_a_key_may_never_more_than_the_member_who_made_it(house: House) -> None:
    """A role that was lowered lowers the keys too."""
    tenant = await house.services.tenancy.get_tenant("acme")
    await house.member(tenant.id, "eve@acme.example", Role.TENANT_ADMIN)
    eve = await house.services.logins.login(LogIn("eve@acme.example", PASSWORD))
    made = await make(house, bearer(eve.token), role="tenant_admin")
    key = bearer(made["key"])
    assert (await house.ask("GET", "/members", headers=key)).status_code == 200
    async with house.services.database.transaction(tenant.id) as tx:
        await tx.run("UPDATE memberships SET role = 'viewer' WHERE user_id = %(id)s", {"id": eve_id(eve.token)})
    house.services.logins.forget(UUID(made["id"]))
    assert (await house.ask("GET", "/members", headers=key)).status_code == 403
    assert (await house.ask("GET", "/funds", headers=key)).status_code == 200


def eve_id(token: str) -> UUID:
    import jwt

    return UUID(jwt.decode(token, options={"verify_signature": False})["sub"])


async def test_the_last_use_of_a_key_is_noted_to_the_minute(
    database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path
) -> None:
    clock = ManualClock(NOW)
    async with open_house(database, urls, tmp_path, clock) as house:
        await house.tenant("acme")
        admin = await house.as_(Role.TENANT_ADMIN)
        made = await make(house, admin)

        async def last_used() -> str | None:
            (item,) = (await house.ask("GET", "/keys", headers=admin)).json()["items"]
            return item["last_used_at"]

        async def use() -> None:
            house.services.logins.forget(UUID(made["id"]))
            assert (await house.ask("GET", "/funds", headers=bearer(made["key"]))).status_code == 200

        assert await last_used() is None
        await use()
        assert await last_used() == "2026-03-01T00:00:00Z"
        clock.advance(timedelta(seconds=59))
        await use()
        assert await last_used() == "2026-03-01T00:00:00Z"
        clock.advance(timedelta(seconds=1))
        await use()
        assert await last_used() == "2026-03-01T00:01:00Z"


async def test_a_rotated_key_stays_good_for_the_overlap_beside_its_successor(
    database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path
) -> None:
    clock = ManualClock(NOW)
    async with open_house(database, urls, tmp_path, clock) as house:
        tenant = await house.tenant("acme")
        admin = await house.as_(Role.TENANT_ADMIN)
        old = await make(house, admin, role="trader", scopes=["orders.read"])
        answer = await house.ask("POST", f"/keys/{old['id']}/rotate", {"overlap_s": 600}, headers=admin)
        assert answer.status_code == 201, answer.text
        new = answer.json()
        assert (new["role"], new["scopes"], new["name"]) == ("trader", ["orders.read"], "nightly")
        assert (new["replaces"], new["expires_at"]) == (old["id"], None)
        assert new["key"] != old["key"]

        async def statuses() -> list[int]:
            keys = (old["key"], new["key"])
            return [(await house.ask("GET", "/orders", headers=bearer(key))).status_code for key in keys]

        assert await statuses() == [200, 200]
        clock.advance(timedelta(seconds=599))
        assert await statuses() == [200, 200]
        clock.advance(timedelta(seconds=1))
        assert await statuses() == [401, 200]
        again = await house.ask("POST", f"/keys/{old['id']}/rotate", {}, headers=admin)
        assert (again.status_code, again.json()["code"]) == (409, "conflict")
        actions = [event.action for event in await audit_of(house, tenant.id)]
        assert ("key.created" in actions, "key.rotated" in actions) == (True, True)


async def test_an_overlap_beyond_a_month_is_refused(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    made = await make(house, admin)
    for overlap in (-1, 31 * 86_400, "600"):
        answer = await house.ask("POST", f"/keys/{made['id']}/rotate", {"overlap_s": overlap}, headers=admin)
        assert (answer.status_code, answer.json()["field"]) == (422, "overlap_s"), answer.text


async def test_the_audit_log_knows_a_keys_making_and_end_and_not_its_secret(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    made = await make(house, admin)
    await house.ask("DELETE", f"/keys/{made['id']}", headers=admin)
    tenant = await house.services.tenancy.get_tenant("acme")
    events = [event for event in await audit_of(house, tenant.id) if event.action.startswith("key.")]
    assert [(event.action, event.subject) for event in events] == [
        ("key.created", made["id"]),
        ("key.revoked", made["id"]),
    ]
    assert all(made["key"].rpartition("_")[2] not in repr(event) for event in events)


async def test_a_key_of_somebody_who_left_the_tenant_opens_nothing(house: House) -> None:
    tenant = await house.services.tenancy.get_tenant("acme")
    await house.member(tenant.id, "mole@acme.example", Role.TENANT_ADMIN)
    mole = await house.services.logins.login(LogIn("mole@acme.example", PASSWORD))
    known = await house.services.logins.authenticate(mole.token)
    gone = await house.ask("DELETE", "/members/mole@acme.example", headers=await house.as_(Role.TENANT_ADMIN))
    assert gone.status_code == 200
    # Another replica takes them for a member for up to three seconds more: the key that it makes is worth nothing.
    late = await house.services.keys.create(known, name="late", role="tenant_admin")
    answer = await house.ask("GET", "/funds", headers=bearer(late.key or ""))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_a_key_with_an_end_makes_none_that_outlives_it(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    end = (house.services.clock.now() + timedelta(hours=1)).isoformat()
    first = await house.ask(
        "POST", "/keys", {"name": "short", "role": "tenant_admin", "expires_at": end}, headers=admin
    )
    headers = bearer(first.json()["key"])
    endless = await house.ask("POST", "/keys", {"name": "endless", "role": "viewer"}, headers=headers)
    assert (endless.status_code, endless.json()["code"]) == (403, "forbidden")
    as_long = await house.ask(
        "POST", "/keys", {"name": "as long", "role": "viewer", "expires_at": end}, headers=headers
    )
    assert as_long.status_code == 201, as_long.text
