"""Who may call what: every route, every role."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from fastapi.routing import APIRoute

from alphapulse.daemon.access import PUBLIC, guard_of
from alphapulse.domain.funds import AgentChoice
from alphapulse.domain.market import Series, Timeframe
from alphapulse.domain.permissions import PERMISSIONS, WITHOUT_SUPPORT, Permission, Role
from tests.daemon.house import House, audit_of

R = Role
P = Permission

#: The table of the product, written down a second time on purpose: a changed permission has to be changed here too.
EXPECTED: dict[tuple[str, str], Permission | None] = {
    ("POST", "/auth/logout"): None,
    ("POST", "/auth/password"): None,
    ("GET", "/auth/whoami"): None,
    ("GET", "/auth/totp"): None,
    ("POST", "/auth/totp"): None,
    ("POST", "/auth/totp/confirm"): None,
    ("POST", "/auth/totp/codes"): None,
    ("POST", "/auth/totp/disable"): None,
    ("GET", "/sessions"): None,
    ("DELETE", "/sessions"): None,
    ("DELETE", "/sessions/{session_id}"): None,
    ("GET", "/members/sessions"): P.MEMBERS_READ,
    ("GET", "/signing-keys"): P.PLATFORM_READ,
    ("POST", "/signing-keys"): P.PLATFORM_WRITE,
    ("POST", "/tenants"): P.TENANTS_WRITE,
    ("GET", "/tenants"): P.PLATFORM_READ,
    ("GET", "/tenants/{slug}"): P.TENANTS_READ,
    ("GET", "/account"): P.ACCOUNT_EXPORT,
    ("DELETE", "/account"): P.ACCOUNT_DELETE,
    ("POST", "/account/restore"): P.ACCOUNT_DELETE,
    ("GET", "/export"): P.ACCOUNT_EXPORT,
    ("POST", "/exports"): P.ACCOUNT_EXPORT,
    ("GET", "/exports"): P.ACCOUNT_EXPORT,
    ("GET", "/exports/{export_id}"): P.ACCOUNT_EXPORT,
    ("GET", "/exports/{export_id}/file"): P.ACCOUNT_EXPORT,
    ("GET", "/members"): P.MEMBERS_READ,
    ("PATCH", "/members/{email}"): P.MEMBERS_WRITE,
    ("DELETE", "/members/{email}"): P.MEMBERS_WRITE,
    ("POST", "/members/transfer"): P.MEMBERS_WRITE,
    ("GET", "/members/invitations"): P.MEMBERS_READ,
    ("POST", "/members/invitations"): P.MEMBERS_WRITE,
    ("DELETE", "/members/invitations/{email}"): P.MEMBERS_WRITE,
    ("POST", "/tenants/{slug}/invitation"): P.TENANTS_WRITE,
    ("POST", "/policy/acceptance"): None,
    ("POST", "/account/confirmation"): None,
    ("GET", "/keys"): P.MEMBERS_READ,
    ("POST", "/keys"): P.MEMBERS_WRITE,
    ("POST", "/keys/{key_id}/rotate"): P.MEMBERS_WRITE,
    ("DELETE", "/keys/{key_id}"): P.MEMBERS_WRITE,
    ("POST", "/market/candles"): P.MARKET_WRITE,
    ("GET", "/market/series"): P.MARKET_READ,
    ("GET", "/market/candles"): P.MARKET_READ,
    ("GET", "/market/gaps"): P.MARKET_READ,
    ("GET", "/market/instruments"): P.MARKET_READ,
    ("GET", "/agents"): P.AGENTS_READ,
    ("GET", "/agents/signals"): P.AGENTS_READ,
    ("GET", "/agents/{name}"): P.AGENTS_READ,
    ("POST", "/agents/config"): P.AGENTS_WRITE,
    ("GET", "/funds"): P.FUNDS_READ,
    ("POST", "/funds"): P.FUNDS_WRITE,
    ("GET", "/funds/{fund}"): P.FUNDS_READ,
    ("POST", "/funds/{fund}/start"): P.FUNDS_WRITE,
    ("POST", "/funds/{fund}/stop"): P.FUNDS_STOP,
    ("GET", "/funds/{fund}/configs"): P.FUNDS_READ,
    ("GET", "/funds/{fund}/configs/{version}"): P.FUNDS_READ,
    ("PUT", "/funds/{fund}/config"): P.FUNDS_WRITE,
    ("POST", "/funds/{fund}/rollback"): P.FUNDS_WRITE,
    ("POST", "/funds/{fund}/replays"): P.FUNDS_WRITE,
    ("GET", "/funds/{fund}/replays/{replay_id}"): P.FUNDS_READ,
    ("DELETE", "/funds/{fund}/replays/{replay_id}"): P.FUNDS_STOP,
    ("GET", "/portfolio"): P.FUNDS_READ,
    ("GET", "/portfolio/history"): P.FUNDS_READ,
    ("GET", "/portfolio/plan"): P.FUNDS_READ,
    ("GET", "/portfolio/performance"): P.FUNDS_READ,
    ("GET", "/portfolio/verify"): P.FUNDS_READ,
    ("GET", "/positions"): P.FUNDS_READ,
    ("POST", "/positions/close"): P.ORDERS_WRITE,
    ("GET", "/fills"): P.ORDERS_READ,
    ("GET", "/decisions"): P.FUNDS_READ,
    ("POST", "/trades"): P.ORDERS_WRITE,
    ("GET", "/orders"): P.ORDERS_READ,
    ("GET", "/orders/{order_id}"): P.ORDERS_READ,
    ("POST", "/orders/{order_id}/cancel"): P.ORDERS_WRITE,
    ("GET", "/orders/{order_id}/explain"): P.ORDERS_READ,
    ("GET", "/risk/halts"): P.RISK_READ,
    ("POST", "/risk/halt"): P.RISK_HALT,
    ("POST", "/risk/resume"): P.RISK_RESUME,
    ("GET", "/audit"): P.AUDIT_READ,
    ("GET", "/audit/verify"): P.AUDIT_READ,
    ("GET", "/events"): P.EVENTS_READ,
    ("GET", "/jobs"): P.JOBS_READ,
    ("GET", "/jobs/schedule"): P.JOBS_READ,
    ("POST", "/jobs/{name}/run"): P.PLATFORM_WRITE,
    ("POST", "/jobs/{name}/pause"): P.PLATFORM_WRITE,
    ("POST", "/jobs/{name}/resume"): P.PLATFORM_WRITE,
    ("POST", "/jobs/{job_id}/retry"): P.PLATFORM_WRITE,
    ("GET", "/tenants/{slug}/provisioning"): P.TENANTS_READ,
    ("POST", "/tenants/{slug}/provisioning"): P.TENANTS_WRITE,
    ("GET", "/tenants/{slug}/plan"): P.TENANTS_READ,
    ("POST", "/tenants/{slug}/suspend"): P.TENANTS_WRITE,
    ("POST", "/tenants/{slug}/resume"): P.TENANTS_WRITE,
    ("POST", "/tenants/{slug}/cancel"): P.TENANTS_WRITE,
    ("POST", "/tenants/{slug}/delete"): P.TENANTS_WRITE,
    ("POST", "/tenants/{slug}/restore"): P.TENANTS_WRITE,
    ("PUT", "/tenants/{slug}/tier"): P.TENANTS_WRITE,
    ("PUT", "/tenants/{slug}/overrides/{limit}"): P.TENANTS_WRITE,
    ("DELETE", "/tenants/{slug}/overrides/{limit}"): P.TENANTS_WRITE,
    ("GET", "/plan"): P.FUNDS_READ,
    ("PUT", "/plan/overage"): P.PLAN_WRITE,
    ("GET", "/audit/export"): P.AUDIT_READ,
    ("POST", "/support"): P.PLATFORM_WRITE,
    ("DELETE", "/support"): P.PLATFORM_WRITE,
    ("GET", "/support"): P.AUDIT_READ,
    ("GET", "/config"): P.PLATFORM_READ,
    ("GET", "/cache"): P.CACHE_READ,
    ("DELETE", "/cache"): P.CACHE_FLUSH,
}


def declared(house: House) -> dict[tuple[str, str], Permission | str | None]:
    found: dict[tuple[str, str], Permission | str | None] = {}
    for route in house.app.routes:
        for method in getattr(route, "methods", None) or {"WS"}:
            if method == "HEAD":
                continue
            guard = guard_of(route.dependant) if isinstance(route, APIRoute) else None
            found[method, getattr(route, "path", "")] = "unguarded" if guard is None else guard.permission
    return found


def filled(path: str) -> str:
    for name in ("order_id", "key_id", "replay_id", "job_id"):
        path = path.replace(f"{{{name}}}", str(uuid4()))
    values = {"slug": "acme", "email": "nobody@acme.example", "fund": "none", "name": "none", "version": "1"}
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    return path


async def test_every_route_declares_a_permission_or_is_public(house: House) -> None:
    found = declared(house)
    assert found.pop(("WS", "/ws")) == "unguarded"  # authenticates by itself, see test_stream
    unguarded = {key for key, guard in found.items() if guard == "unguarded"}
    assert unguarded == PUBLIC


async def test_every_route_has_the_permission_of_the_table(house: House) -> None:
    found = {key: guard for key, guard in declared(house).items() if guard != "unguarded"}
    assert found == EXPECTED


async def test_every_guarded_route_refuses_a_stranger_before_it_looks_at_anything(house: House) -> None:
    for method, path in EXPECTED:
        answer = await house.ask(method, filled(path), {"nonsense": 1} if method in {"POST", "PUT"} else None)
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize("role", list(Role))
async def test_every_route_admits_exactly_the_roles_that_hold_its_permission(house: House, role: Role) -> None:
    for (method, path), permission in EXPECTED.items():
        if path == "/auth/logout":
            continue
        headers = await house.as_(role)
        # A body that no route accepts: who is admitted is told so, and changes nothing.
        body = {"nonsense": 1} if method in {"POST", "PUT"} else None
        answer = await house.ask(method, filled(path), body, headers=headers)
        granted = WITHOUT_SUPPORT if role is Role.PLATFORM_ADMIN else PERMISSIONS[role]
        allowed = permission is None or permission in granted
        assert (answer.status_code == 403) is not allowed, (role, method, path, answer.text)
        assert answer.status_code not in {401, 500}, (role, method, path, answer.text)


async def test_another_tenants_things_are_not_found(house: House) -> None:
    rival = await house.as_(R.TRADER, "rival")
    acme = await house.as_(R.TRADER, "acme")
    fund = await house.fund(acme)
    name, fund_id = fund["name"], fund["id"]
    for reference in (name, fund_id):
        for method, path in (
            ("GET", f"/funds/{reference}"),
            ("POST", f"/funds/{reference}/start"),
            ("GET", f"/funds/{reference}/configs"),
            ("GET", f"/funds/{reference}/configs/1"),
            ("GET", f"/portfolio?fund={reference}"),
            ("GET", f"/portfolio/plan?fund={reference}"),
            ("GET", f"/decisions?fund={reference}"),
            ("GET", f"/orders?fund={reference}"),
        ):
            answer = await house.ask(method, path, headers=rival)
            assert answer.status_code == 404, (path, answer.text)
        trade = {"fund": reference, "symbol": "BTC/USDT", "side": "buy", "quantity": "0.1"}
        answer = await house.ask("POST", "/trades", trade, headers={**rival, "Idempotency-Key": "k1"})
        assert answer.status_code == 404


async def test_another_tenants_order_is_not_found(house: House) -> None:
    acme, rival = await house.as_(R.TRADER, "acme"), await house.as_(R.TRADER, "rival")
    await house.fund(acme)
    trade = {"fund": "momentum", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.1"}
    placed = await house.ask("POST", "/trades", trade, headers={**acme, "Idempotency-Key": "k1"})
    assert placed.status_code == 201, placed.text
    order_id = placed.json()["id"]
    assert (await house.ask("GET", f"/orders/{order_id}", headers=acme)).status_code == 200
    for method, path in (("GET", ""), ("GET", "/explain"), ("POST", "/cancel")):
        answer = await house.ask(method, f"/orders/{order_id}{path}", headers=rival)
        assert answer.status_code == 404, answer.text


async def test_a_member_cannot_act_in_another_tenant_by_naming_it(house: House) -> None:
    headers = {**await house.as_(R.TENANT_ADMIN, "rival"), "X-Tenant": "acme"}
    answer = await house.ask("GET", "/members", headers=headers)
    assert answer.status_code == 404
    own = {**await house.as_(R.TENANT_ADMIN, "rival"), "X-Tenant": "rival"}
    assert (await house.ask("GET", "/members", headers=own)).status_code == 200


async def test_a_tenant_admin_sees_their_own_tenant_only(house: House) -> None:
    headers = await house.as_(R.TENANT_ADMIN)
    assert (await house.ask("GET", "/tenants/acme", headers=headers)).json()["slug"] == "acme"
    assert (await house.ask("GET", "/tenants/rival", headers=headers)).status_code == 404
    assert (await house.ask("GET", "/tenants", headers=headers)).status_code == 403


async def test_a_platform_admin_acts_in_the_tenant_they_name_and_the_tenants_log_says_so(house: House) -> None:
    tenant = await house.services.tenancy.get_tenant("acme")
    answer = await house.ask("GET", "/funds", headers=house.platform)
    assert answer.status_code == 422
    assert answer.json()["field"] == "tenant"
    answer = await house.ask("GET", "/funds", headers={**house.platform, "X-Tenant": "acme"})
    assert answer.status_code == 200
    last = (await audit_of(house, tenant.id))[-1]
    assert last.actor.startswith("key:")
    assert last.action == "funds.listed"


async def test_only_a_platform_admin_may_halt_the_platform(house: House) -> None:
    body = {"scope": "platform", "reason": "drill"}
    refused = await house.ask("POST", "/risk/halt", body, headers=await house.as_(R.TENANT_ADMIN))
    assert refused.status_code == 403
    done = await house.ask("POST", "/risk/halt", body, headers=house.platform)
    assert done.status_code == 201, done.text
    seen = await house.ask("GET", "/risk/halts", headers=await house.as_(R.VIEWER))
    assert [halt["reason"] for halt in seen.json()["items"]] == ["drill"]


async def test_signals_of_another_tenants_parameters_are_not_shown(house: House) -> None:
    """Equal computations are shared; that another tenant's private parameters were computed is not told."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    private, shared = {"sensitivity": 0.7}, {"sensitivity": 1.3}
    wanted = {"acme": private, "rival": shared}
    for slug, parameters in wanted.items():
        headers = await house.as_(R.TRADER, slug)
        await house.fund(headers, agents=[{"name": "trend", "parameters": parameters}])
        plan = await house.ask("GET", "/portfolio/plan?fund=momentum", headers=headers)
        assert plan.status_code == 200, plan.text
    series = Series("synthetic", "BTC/USDT", Timeframe.H4)
    nobodys = house.services.agents.complete(AgentChoice("trend", {"sensitivity": 2.0})).parameters
    await house.services.agents.signals([("trend", nobodys, series)], at)

    async def keys(headers: dict[str, str], more: str = "") -> set[float]:
        answer = await house.ask("GET", f"/agents/signals?limit=1000{more}", headers=headers)
        assert answer.status_code == 200, answer.text
        return {json.loads(item["parameters_key"])["sensitivity"] for item in answer.json()["items"]}

    assert await keys(await house.as_(R.VIEWER, "acme")) == {0.7}
    assert await keys(await house.as_(R.VIEWER, "rival")) == {1.3}
    assert await keys(await house.as_(R.PLATFORM_ADMIN, "rival")) == {1.3}
    assert await keys(house.platform) == {0.7, 1.3, 2.0}
    assert await keys(await house.as_(R.VIEWER, "acme"), "&symbol=ETH/USDT") == {0.7}
    assert await keys(await house.as_(R.VIEWER, "acme"), "&symbol=SOL/USDT") == set()
    changed = {"fund": "momentum", "agent": "trend", "parameters": shared}
    answer = await house.ask("POST", "/agents/config", changed, headers=await house.as_(R.TRADER, "acme"))
    assert answer.status_code == 200, answer.text
    assert await keys(await house.as_(R.VIEWER, "acme")) == {0.7, 1.3}


async def test_a_credential_or_a_tenant_named_twice_is_refused(house: House) -> None:
    own = [*(await house.as_(R.VIEWER)).items()]
    answer = await house.http.get("/funds", headers=[*own, ("Authorization", "Bearer other")])
    assert answer.status_code == 401
    platform = [*house.platform.items(), ("X-Tenant", "acme")]
    assert (await house.http.get("/funds", headers=platform)).status_code == 200
    answer = await house.http.get("/funds", headers=[*platform, ("X-Tenant", "rival")])
    assert (answer.status_code, answer.json()["field"]) == (422, "X-Tenant")


async def test_headers_above_64_kilobytes_are_refused(house: House) -> None:
    many = {f"X-Filler-{number}": "x" * 8_000 for number in range(9)}
    answer = await house.http.get("/version", headers=many)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
