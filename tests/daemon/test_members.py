"""Members and invitations over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from alphapulse.domain.tenancy import PLATFORM_USER, Role
from tests.daemon.house import PASSWORD, House, token_in

TRADER = "trader@acme.example"


async def invited(house: House, email: str, role: str = "viewer") -> dict[str, Any]:
    headers = await house.as_(Role.TENANT_ADMIN)
    answer = await house.ask("POST", "/members/invitations", {"email": email, "role": role}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def roles(house: House) -> dict[str, str]:
    found = await house.ask("GET", "/members", headers=await house.as_(Role.TENANT_ADMIN))
    return {item["email"].partition("@")[0]: item["role"] for item in found.json()["items"]}


async def test_somebody_is_invited_accepts_and_logs_in(house: House) -> None:
    token = token_in((await invited(house, "Eve@Else.example", "trader"))["link"])
    offer = (await house.ask("POST", "/invitations/look", {"token": token})).json()
    assert (offer["email"], offer["tenant"], offer["role"], offer["has_account"]) == (
        "eve@else.example",
        "acme",
        "trader",
        False,
    )
    body = {"token": token, "password": PASSWORD}
    refused = await house.ask("POST", "/invitations/accept", body)
    assert (refused.status_code, refused.json()["code"]) == (400, "policy_not_accepted")
    body["policy_version"] = offer["policy_version"]
    joined = await house.ask("POST", "/invitations/accept", body)
    assert (joined.status_code, joined.json()["role"]) == (201, "trader")
    entered = await house.ask("POST", "/auth/login", {"email": "eve@else.example", "password": PASSWORD})
    assert (entered.status_code, entered.json()["role"]) == (200, "trader")
    assert (await house.ask("POST", "/invitations/accept", body)).status_code == 409


async def test_a_link_is_shown_once_and_only_to_who_invited(house: House) -> None:
    made = await invited(house, "eve@else.example")
    headers = await house.as_(Role.TENANT_ADMIN)
    (listed,) = [
        item
        for item in (await house.ask("GET", "/members/invitations", headers=headers)).json()["items"]
        if item["email"] == "eve@else.example"
    ]
    assert (listed["id"], listed["link"]) == (made["id"], None)


async def test_an_invitation_says_nothing_about_whether_others_know_the_address(house: House) -> None:
    known, new = await invited(house, "trader@rival.example"), await invited(house, "nobody@else.example")
    assert known.keys() == new.keys()
    assert known["role"] == new["role"]


async def test_a_role_is_changed_at_once_in_a_session_that_goes_on(house: House) -> None:
    headers, admin = await house.as_(Role.TRADER), await house.as_(Role.TENANT_ADMIN)
    assert (await house.ask("GET", "/auth/whoami", headers=headers)).json()["role"] == "trader"
    changed = await house.ask("PATCH", f"/members/{TRADER}", {"role": "viewer"}, headers=admin)
    assert (changed.status_code, changed.json()["role"]) == (200, "viewer")
    assert (await house.ask("GET", "/auth/whoami", headers=headers)).json()["role"] == "viewer"


@pytest.mark.parametrize("role", [Role.TRADER, Role.VIEWER])
async def test_nobody_raises_themselves(house: House, role: Role) -> None:
    headers = await house.as_(role)
    path = f"/members/{role.value}@acme.example"
    answer = await house.ask("PATCH", path, {"role": "tenant_admin"}, headers=headers)
    assert answer.status_code == 403
    answer = await house.ask(
        "POST", "/members/invitations", {"email": "me2@acme.example", "role": "tenant_admin"}, headers=headers
    )
    assert answer.status_code == 403
    assert (await roles(house))[role.value] == role.value


async def test_a_patch_takes_a_role_of_a_member_and_nothing_else(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    for body in (
        {"role": "platform_admin"},
        {"role": "viewer", "user_id": "7d9a533d-0b6a-4f2c-8f0e-1c6a525b7d11"},
        {"role": "viewer", "is_platform_admin": True},
        {"role": ["tenant_admin"]},
        {},
    ):
        answer = await house.ask("PATCH", f"/members/{TRADER}", body, headers=admin)
        assert answer.status_code == 422, (body, answer.text)
    assert (await roles(house))["trader"] == "trader"


async def test_members_of_another_tenant_cannot_be_touched(house: House) -> None:
    stranger = await house.as_(Role.TENANT_ADMIN, "rival")
    await invited(house, "eve@else.example")
    for method, path, body in (
        ("PATCH", f"/members/{TRADER}", {"role": "viewer"}),
        ("DELETE", f"/members/{TRADER}", None),
        ("POST", "/members/transfer", {"to": TRADER}),
        ("DELETE", "/members/invitations/eve@else.example", None),
    ):
        answer = await house.ask(method, path, body, headers=stranger)
        assert answer.status_code == 404, (method, path, answer.text)
    listed = await house.ask("GET", "/members/invitations", headers=stranger)
    assert "eve@else.example" not in listed.text


async def test_the_last_tenant_admin_stays(house: House) -> None:
    admin, path = await house.as_(Role.TENANT_ADMIN), "/members/tenant_admin@acme.example"
    assert (await house.ask("DELETE", path, headers=admin)).status_code == 409
    assert (await house.ask("PATCH", path, {"role": "trader"}, headers=admin)).status_code == 409
    tenant = await house.services.tenancy.get_tenant("acme")
    await house.member(tenant.id, "eve@acme.example", Role.TENANT_ADMIN)
    assert (await house.ask("DELETE", path, headers=admin)).status_code == 200
    assert (await house.ask("GET", "/auth/whoami", headers=admin)).status_code == 401


async def test_a_tenant_is_handed_over_and_its_old_admin_is_none(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    done = await house.ask("POST", "/members/transfer", {"to": TRADER, "role": "viewer"}, headers=admin)
    assert (done.status_code, done.json()["role"]) == (200, "tenant_admin")
    assert (await house.ask("GET", "/members", headers=admin)).status_code == 403
    heir = await house.as_(Role.TRADER)
    found = (await house.ask("GET", "/members", headers=heir)).json()["items"]
    assert {item["email"]: item["role"] for item in found} == {
        "tenant_admin@acme.example": "viewer",
        TRADER: "tenant_admin",
        "viewer@acme.example": "viewer",
    }


async def test_a_removed_member_joins_again_with_nothing_of_before(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    before = await house.as_(Role.TRADER)
    assert (await house.ask("DELETE", f"/members/{TRADER}", headers=admin)).status_code == 200
    assert (await house.ask("GET", "/auth/whoami", headers=before)).status_code == 401
    tenant = await house.services.tenancy.get_tenant("acme")
    await house.member(tenant.id, TRADER, Role.VIEWER)
    assert (await house.ask("GET", "/auth/whoami", headers=before)).status_code == 401
    assert (await roles(house))["trader"] == "viewer"


async def test_the_platforms_own_user_joins_no_tenant(house: House) -> None:
    body = {"email": PLATFORM_USER, "role": "tenant_admin"}
    answer = await house.ask("POST", "/members/invitations", body, headers=await house.as_(Role.TENANT_ADMIN))
    assert (answer.status_code, answer.json()["field"]) == (422, "email")


async def test_a_tenant_that_has_an_admin_gets_no_other_from_the_platform(house: House) -> None:
    answer = await house.ask("POST", "/tenants/acme/invitation", headers=house.platform)
    assert (answer.status_code, "has an admin" in answer.json()["detail"]) == (409, True)
    assert (await house.ask("POST", "/tenants/nowhere/invitation", headers=house.platform)).status_code == 404
