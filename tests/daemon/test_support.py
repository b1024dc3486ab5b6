"""Support: the platform looks at a tenant, and changes it only in a session that the tenant sees."""

from __future__ import annotations

from typing import Any

import pytest

from alphapulse.domain.tenancy import PLATFORM, Role
from alphapulse.errors import Forbidden
from alphapulse.ports.database import WATCHING
from tests.daemon.house import House, audit_of

OPEN = {"reason": "stuck order", "ticket": "SUP-1042", "minutes": 30}


@pytest.fixture
async def acme(house: House) -> Any:
    return await house.services.tenancy.get_tenant("acme")


async def test_the_platform_reads_a_tenant_and_changes_nothing(house: House, acme: Any) -> None:
    as_admin, as_platform = await house.as_(Role.TENANT_ADMIN), await house.as_(Role.PLATFORM_ADMIN)
    fund = await house.fund(as_admin)
    seen = await house.ask("GET", "/funds", headers=as_platform)
    assert [one["name"] for one in seen.json()["items"]] == [fund["name"]]
    refused = await house.ask("POST", f"/funds/{fund['id']}/start", {}, headers=as_platform)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "support open" in refused.json()["fix"]
    assert (await house.ask("GET", f"/funds/{fund['id']}", headers=as_admin)).json()["state"] == "stopped"


async def test_postgresql_itself_refuses_a_change_by_who_only_looks(house: House, acme: Any) -> None:
    token = WATCHING.set(True)
    try:
        with pytest.raises(Forbidden, match="changes nothing"):
            async with house.services.database.transaction(acme.id) as tx:
                await tx.run("UPDATE tenants SET name = 'x' WHERE id = %(id)s", {"id": acme.id})
    finally:
        WATCHING.reset(token)


async def test_who_looks_at_one_tenant_sees_no_other_though_the_statement_forgot_to_say_so(
    house: House, acme: Any
) -> None:
    other = await house.tenant("beta")
    token = WATCHING.set(True)
    try:
        async with house.services.database.transaction(acme.id) as tx:
            tenants = await tx.all("SELECT id FROM tenants")
            members = await tx.all("SELECT DISTINCT tenant_id FROM memberships")
            users = await tx.all("SELECT email FROM users")
    finally:
        WATCHING.reset(token)
    assert [row["id"] for row in tenants] == [acme.id] != [other.id]
    assert [row["tenant_id"] for row in members] == [acme.id]
    assert all(row["email"].endswith("@acme.example") for row in users)


async def test_an_open_session_lets_the_platform_change_until_it_is_closed(house: House, acme: Any) -> None:
    as_platform = await house.as_(Role.PLATFORM_ADMIN)
    opened = await house.ask("POST", "/support", OPEN, headers=as_platform)
    assert opened.status_code == 201, opened.text
    made = await house.ask("POST", "/funds", _FUND, headers=as_platform)
    assert made.status_code == 201, made.text
    again = await house.ask("POST", "/support", OPEN, headers=as_platform)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert (await house.ask("DELETE", "/support", headers=as_platform)).status_code == 200
    refused = await house.ask("POST", "/funds", {**_FUND, "name": "too-late"}, headers=as_platform)
    assert refused.status_code == 403
    assert (await house.ask("DELETE", "/support", headers=as_platform)).status_code == 404


async def test_the_tenant_sees_who_was_let_in_and_why(house: House, acme: Any) -> None:
    as_admin, as_platform = await house.as_(Role.TENANT_ADMIN), await house.as_(Role.PLATFORM_ADMIN)
    opened = (await house.ask("POST", "/support", OPEN, headers=as_platform)).json()
    await house.ask("POST", "/funds", _FUND, headers=as_platform)
    listed = (await house.ask("GET", "/support", headers=as_admin)).json()["items"]
    assert [(one["id"], one["ticket"], one["reason"]) for one in listed] == [
        (opened["id"], OPEN["ticket"], OPEN["reason"])
    ]
    trail = (await house.ask("GET", "/audit?support=yes", headers=as_admin)).json()["items"]
    assert {one["event"]["action"] for one in trail} >= {"funds.create"}
    assert {one["event"]["support"] for one in trail} == {opened["id"]}
    events = (await house.ask("GET", "/events?since=0&limit=500", headers=as_admin)).json()["items"]
    assert "support.opened" in {event["kind"] for event in events}
    for chain in (acme.id, PLATFORM):
        actions = [event.action for event in await audit_of(house, chain)]
        assert "support.open" in actions, chain
    async with house.services.database.transaction(acme.id) as tx:
        mails = await tx.all("SELECT recipient, template FROM mails WHERE template = 'support_opened'")
    assert [row["recipient"] for row in mails] == ["tenant_admin@acme.example"]


async def test_nobody_in_the_tenant_opens_support(house: House, acme: Any) -> None:
    for role in (Role.TENANT_ADMIN, Role.TRADER, Role.VIEWER):
        assert (await house.ask("POST", "/support", OPEN, headers=await house.as_(role))).status_code == 403


async def test_an_emergency_halt_waits_for_nothing(house: House, acme: Any) -> None:
    as_platform = await house.as_(Role.PLATFORM_ADMIN)
    halted = await house.ask("POST", "/risk/halt", {"scope": "tenant", "reason": "now"}, headers=as_platform)
    assert halted.status_code in {200, 201}, halted.text
    resumed = await house.ask("POST", "/risk/resume", {"scope": "tenant", "reason": "later"}, headers=as_platform)
    assert resumed.status_code == 403


@pytest.mark.parametrize(
    ("field", "value"), [("minutes", 0), ("minutes", 481), ("minutes", 10**30), ("ticket", ""), ("reason", " ")]
)
async def test_a_session_needs_a_reason_a_ticket_and_an_end(house: House, acme: Any, field: str, value: Any) -> None:
    answer = await house.ask("POST", "/support", {**OPEN, field: value}, headers=await house.as_(Role.PLATFORM_ADMIN))
    assert answer.status_code == 422, answer.text
    assert field in answer.text


_FUND = {
    "name": "by-support",
    "mode": "paper",
    "capital": "1000",
    "config": {
        "venue": "synthetic",
        "timeframe": "4h",
        "base_currency": "USDT",
        "universe": ["BTC/USDT"],
        "agents": [],
        "limits": {},
    },
}
