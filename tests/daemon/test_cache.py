"""The cache through the routes: a costly answer is made once, anew when something happened, and dropped at will."""

from __future__ import annotations

from typing import Any

from alphapulse.domain.cache import CacheUsage
from alphapulse.domain.tenancy import Role
from alphapulse.domain.wire import decode
from tests.daemon.house import House
from tests.daemon.test_routes import SYMBOL, Desk, traded


async def usage(desk: Desk) -> CacheUsage:
    return await desk.one(CacheUsage, "GET", "/cache")


async def test_a_performance_is_made_once_and_anew_after_the_next_fill(house: House) -> None:
    desk = await traded(house)
    admin = Desk(house, await house.as_(Role.TENANT_ADMIN))

    async def performance() -> dict[str, Any]:
        answer = await house.ask("GET", "/portfolio/performance?fund=momentum", headers=desk.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    first = await performance()
    assert await performance() == first
    found = await usage(admin)
    assert (found.hits, found.misses, found.entries) == (1, 1, 1)
    order = {"fund": "momentum", "symbol": SYMBOL, "side": "buy", "quantity": "2"}
    await house.ask("POST", "/trades", order, headers={**desk.headers, "Idempotency-Key": "k"})
    assert (await performance())["fills"] == first["fills"] + 1
    metrics = (await house.ask("GET", "/metrics")).text
    assert 'alphapulse_cache_requests_total{outcome="hit",scope="tenant"} 1.0' in metrics


async def test_a_tenants_admin_drops_its_entries_and_nobody_elses(house: House) -> None:
    desk = await traded(house)
    await house.ask("GET", "/portfolio/performance?fund=momentum", headers=desk.headers)
    admin, rival = [Desk(house, await house.as_(Role.TENANT_ADMIN, slug)) for slug in ("acme", "rival")]
    assert (await house.ask("DELETE", "/cache", headers=rival.headers)).json() == {"entries": 0}
    assert (await usage(admin)).entries == 1
    assert (await usage(rival)).entries == 0
    assert (await house.ask("DELETE", "/cache", headers=desk.headers)).status_code == 403
    assert (await house.ask("DELETE", "/cache", headers=admin.headers)).json() == {"entries": 1}
    assert (await usage(admin)).entries == 0


async def test_the_quota_is_the_plans_and_the_platform_sees_what_all_share(house: House) -> None:
    admin = Desk(house, await house.as_(Role.TENANT_ADMIN))
    tenant = (await house.ask("GET", "/tenants/acme", headers=house.platform)).json()
    limits = house.services.plans.of_tier[tenant["tier"]].limits
    assert (await usage(admin)).quota == limits.cache_bytes
    shared = await house.ask("GET", "/cache", headers=house.platform)
    assert decode(CacheUsage, shared.json()).entries == 0
    assert (await house.ask("DELETE", "/cache", headers=house.platform)).status_code == 422
