from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.clock import ManualClock, SystemClock
from alphapulse.daemon.limits import Kind
from alphapulse.daemon.metering import CallMeter, billable
from alphapulse.domain.plans import LimitName, LimitUse
from alphapulse.domain.tenancy import Role, Tenant
from alphapulse.errors import InvalidInput, TierLimitReached
from alphapulse.tenancy.metering import Metering
from tests.daemon.house import House, open_house

ACTOR = "op@example.com"
CALLS = LimitName.API_CALLS_PER_DAY


@pytest.fixture
async def house(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(database, urls, tmp_path) as opened:
        yield opened


@pytest.fixture
async def starter(house: House) -> Tenant:
    """A tenant of the smallest tier: 3 agents, 5 positions, 1 exchange."""
    tenant = await house.tenant("acme")
    return await house.services.lifecycle.change_tier(tenant.id, "starter", reason="small", actor=ACTOR)


async def limit(house: House, tenant: Tenant, name: LimitName, value: int | None) -> None:
    until = SystemClock().now() + timedelta(days=1)
    await house.services.lifecycle.override(tenant.id, name, value, until=until, reason="test", actor=ACTOR)


async def use(house: House, tenant: Tenant, name: LimitName) -> LimitUse:
    plan = await house.services.metering.standing(tenant.id)
    return next(each for each in plan.limits if each.limit is name)


def agents(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


# -- agents and exchanges --------------------------------------------------------------------------------------------


async def test_an_agent_beyond_the_tier_is_refused_with_the_tier_that_lifts_it(house: House, starter: Tenant) -> None:
    await limit(house, starter, LimitName.AGENTS, 1)
    trader = await house.as_(Role.TRADER)
    await house.fund(trader, "one", agents=agents("trend"))
    await house.fund(trader, "two", agents=agents("trend"))  # the same agent again
    refused = await house.ask(
        "POST", "/agents/config", {"fund": "one", "agent": "mean_reversion", "enabled": True}, headers=trader
    )
    assert refused.status_code == 402, refused.text
    problem = refused.json()
    assert problem["code"] == "tier_limit_reached"
    assert problem["detail"] == "agents: 2 are more than the 1 that tier starter allows"
    assert "tier starter lifts it" in problem["fix"]


async def test_an_agent_that_is_switched_off_does_not_count(house: House, starter: Tenant) -> None:
    await limit(house, starter, LimitName.AGENTS, 1)
    trader = await house.as_(Role.TRADER)
    await house.fund(trader, "one", agents=agents("trend"))
    off = await house.ask(
        "POST", "/agents/config", {"fund": "one", "agent": "mean_reversion", "enabled": False}, headers=trader
    )
    assert off.status_code == 200, off.text
    assert (await use(house, starter, LimitName.AGENTS)).used == 1


async def test_what_a_fund_has_it_keeps_when_the_tier_shrinks(house: House, starter: Tenant) -> None:
    trader = await house.as_(Role.TRADER)
    await house.fund(trader, "one", agents=agents("trend", "mean_reversion"))
    await limit(house, starter, LimitName.AGENTS, 1)
    kept = await house.ask("POST", "/agents/config", {"fund": "one", "agent": "trend", "weight": 2}, headers=trader)
    assert kept.status_code == 200, kept.text


async def test_a_second_exchange_is_refused(house: House, starter: Tenant) -> None:
    await limit(house, starter, LimitName.EXCHANGES, 0)
    trader = await house.as_(Role.TRADER)
    with pytest.raises(AssertionError, match="exchanges: 1 are more than the 0"):
        await house.fund(trader)


async def test_an_unlimited_tenant_is_asked_nothing(house: House) -> None:
    tenant = await house.tenant("acme")
    trader = await house.as_(Role.TRADER)
    await house.fund(trader, "one", agents=agents("trend", "mean_reversion"))
    assert (await use(house, tenant, LimitName.AGENTS)).allowed is None


# -- positions -------------------------------------------------------------------------------------------------------


async def test_a_position_beyond_the_tier_is_denied_over_all_funds_and_exits_never(
    house: House, starter: Tenant
) -> None:
    await limit(house, starter, LimitName.POSITIONS, 1)
    trader = await house.as_(Role.TRADER)
    await house.fund(trader, "one")
    await house.fund(trader, "two")
    assert (await trade(house, trader, "one", "BTC/USDT", "buy", "0.1")).status_code == 201
    assert (await trade(house, trader, "one", "BTC/USDT", "buy", "0.1")).status_code == 201  # more of the same
    for fund, symbol in (("one", "ETH/USDT"), ("two", "BTC/USDT")):
        denied = await trade(house, trader, fund, symbol, "buy", "0.1")
        assert denied.status_code == 409, denied.text
        assert denied.json()["denials"] == ["TIER_POSITIONS: positions=2 max=1 lifted_by=starter"]
    assert (await trade(house, trader, "one", "BTC/USDT", "sell", "0.2")).status_code == 201
    assert (await trade(house, trader, "two", "ETH/USDT", "buy", "0.1")).status_code == 201


async def test_a_position_that_is_paid_for_opens_and_is_billed_up_to_the_cap(house: House, starter: Tenant) -> None:
    await limit(house, starter, LimitName.POSITIONS, 1)
    trader = await house.as_(Role.TRADER)
    await house.fund(trader, "one")
    await house.services.metering.set_cap(starter.id, Decimal("0.30"), actor=ACTOR)  # 0.20 for each and day
    assert (await trade(house, trader, "one", "BTC/USDT", "buy", "0.1")).status_code == 201
    assert (await trade(house, trader, "one", "ETH/USDT", "buy", "0.1")).status_code == 201
    found = await use(house, starter, LimitName.POSITIONS)
    assert (found.used, found.overage, found.amount) == (2, 1, Decimal("0.20"))
    await house.fund(trader, "two")
    house.services.plans.forget(starter.id)
    assert (await trade(house, trader, "two", "BTC/USDT", "buy", "0.1")).status_code == 409


async def trade(house: House, headers: dict[str, str], fund: str, symbol: str, side: str, quantity: str) -> Any:
    body = {"fund": fund, "symbol": symbol, "side": side, "quantity": quantity}
    return await house.ask("POST", "/trades", body, headers={**headers, "Idempotency-Key": uuid4().hex})


# -- calls -----------------------------------------------------------------------------------------------------------


async def test_calls_beyond_the_day_are_refused_but_exits_cancels_halts_and_the_way_out_are_not(
    house: House, starter: Tenant
) -> None:
    trader, admin = await house.as_(Role.TRADER), await house.as_(Role.TENANT_ADMIN)
    fund = await house.fund(trader)
    assert (await trade(house, trader, "momentum", "BTC/USDT", "buy", "0.1")).status_code == 201
    await house.services.meter.add()
    used = (await use(house, starter, CALLS)).used
    assert used == 2
    await limit(house, starter, CALLS, used)

    refused = await house.ask("GET", "/funds", headers=trader)
    assert refused.status_code == 402
    assert refused.json()["detail"] == "api calls per day: 3 are more than the 2 that tier starter allows"
    bought = await trade(house, trader, "momentum", "ETH/USDT", "buy", "0.1")
    assert bought.status_code == 402
    assert (await trade(house, trader, "momentum", "BTC/USDT", "sell", "0.05")).status_code == 201
    closed = await house.ask(
        "POST",
        "/positions/close",
        {"fund": "momentum", "symbol": "BTC/USDT"},
        headers={**trader, "Idempotency-Key": "out"},
    )
    assert closed.status_code == 201, closed.text
    assert (await house.ask("POST", f"/funds/{fund['name']}/stop", headers=trader)).status_code == 200
    halt = await house.ask("POST", "/risk/halt", {"scope": "tenant", "reason": "stop"}, headers=trader)
    assert halt.status_code == 201
    assert (await house.ask("GET", "/plan", headers=trader)).status_code == 200
    assert (await house.ask("PUT", "/plan/overage", {"cap": "5"}, headers=admin)).status_code == 200
    assert (await house.ask("GET", "/funds", headers=trader)).status_code == 200


async def test_refused_calls_and_those_of_the_platform_and_of_dashboards_are_not_counted(
    house: House, starter: Tenant
) -> None:
    trader = await house.as_(Role.TRADER)
    platform = await house.as_(Role.PLATFORM_ADMIN)
    await limit(house, starter, CALLS, 1)
    assert (await house.ask("GET", "/funds", headers=platform)).status_code == 200
    assert (await house.ask("GET", "/funds", headers={**trader, "X-Client": "dashboard"})).status_code == 200
    assert (await house.ask("GET", "/funds", headers=trader)).status_code == 200
    for _ in range(3):
        assert (await house.ask("GET", "/funds", headers=trader)).status_code == 402
    await house.services.meter.add()
    assert (await use(house, starter, CALLS)).used == 1


async def test_two_daemons_count_together(house: House, starter: Tenant) -> None:
    services = house.services
    other = CallMeter(metering=services.metering, plans=services.plans, clock=services.clock)
    trader = await house.as_(Role.TRADER)
    caller = await services.logins.authenticate(trader["Authorization"].removeprefix("Bearer "), "")
    scope = {"path": "/funds", "headers": []}
    for meter in (services.meter, other):
        for _ in range(3):
            await meter.admit(caller, Kind.READ, scope)
        await meter.add()
    assert (await use(house, starter, CALLS)).used == 6
    await limit(house, starter, CALLS, 6)
    with pytest.raises(TierLimitReached):
        await other.admit(caller, Kind.READ, scope)


async def test_calls_are_counted_anew_each_day(database: PostgresDatabase, house: House, starter: Tenant) -> None:
    clock = ManualClock(SystemClock().now())
    metering = Metering(database=database, clock=clock, plans=house.services.plans)
    assert await metering.add_calls(starter.id, 7) == 7
    clock.advance(timedelta(days=1))
    assert await metering.add_calls(starter.id, 1) == 1


async def test_what_lies_beyond_is_billed_and_never_above_the_cap(house: House, starter: Tenant) -> None:
    services = house.services
    await limit(house, starter, CALLS, 100)
    await services.metering.set_cap(starter.id, Decimal("0.01"), actor=ACTOR)  # 20 calls at 0.0005
    assert (await use(house, starter, CALLS)).allowed == 120
    await services.metering.add_calls(starter.id, 110)
    found = await use(house, starter, CALLS)
    assert (found.overage, found.amount, found.allowed) == (10, Decimal("0.005"), 120)
    await services.metering.add_calls(starter.id, 1000)
    plan = await services.metering.standing(starter.id)
    assert plan.spent == Decimal("0.01")


async def test_without_a_cap_nothing_is_billed(house: House, starter: Tenant) -> None:
    await limit(house, starter, CALLS, 1)
    await house.services.metering.add_calls(starter.id, 50)
    found = await use(house, starter, CALLS)
    assert (found.used, found.overage, found.amount) == (50, 0, Decimal(0))


@pytest.mark.parametrize("cap", ["0", "-1", "1000001"])
async def test_a_cap_must_be_an_amount(house: House, starter: Tenant, cap: str) -> None:
    with pytest.raises(InvalidInput, match="cap"):
        await house.services.metering.set_cap(starter.id, Decimal(cap), actor=ACTOR)


@pytest.mark.parametrize(
    ("kind", "path", "headers", "counts"),
    [
        (Kind.READ, "/funds", [], True),
        (Kind.READ, "/funds", [(b"x-client", b"dashboard")], False),
        (Kind.WRITE, "/funds", [(b"x-client", b"dashboard")], True),
        (Kind.ORDER, "/trades", [], True),
        (Kind.RESERVED, "/risk/halt", [], False),
        (Kind.WRITE, "/auth/logout", [], False),
        (Kind.READ, "/plan", [], False),
    ],
)
def test_what_counts(kind: Kind, path: str, headers: list[tuple[bytes, bytes]], counts: bool) -> None:
    assert billable(kind, {"path": path, "headers": headers}) is counts
