"""Funds and their versions; halts."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from alphapulse.domain.events import EventKind
from alphapulse.domain.funds import AgentChoice, FundMode, FundState
from alphapulse.domain.market import Timeframe
from alphapulse.domain.risk import HaltScope, RiskLimits
from alphapulse.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from alphapulse.events import store as event_store
from tests.conftest import MakeTenant
from tests.fakes.floor import Floor, configuration

ANN = "ann@example.com"


async def kinds(floor: Floor) -> list[EventKind]:
    async with floor.database.transaction(floor.tenant_id) as tx:
        return [event.kind for event in await event_store.read(tx, 0, 100)]


async def test_a_fund_is_created_stopped_with_its_capital_booked(floor: Floor) -> None:
    fund = await floor.fund(capital="25000.50")
    assert (fund.state, fund.config_version) == (FundState.STOPPED, 1)
    assert await floor.funds.get(floor.tenant_id, "alpha") == fund
    assert await floor.funds.get(floor.tenant_id, str(fund.id)) == fund
    assert [row["amount"] for row in await floor.rows(fund, "balances")] == [Decimal("25000.50")]
    assert await floor.books.verify(floor.tenant_id, "alpha") == []
    assert await kinds(floor) == [EventKind.FUND_CREATED]


async def test_a_fund_gets_every_parameter_that_was_not_named(floor: Floor) -> None:
    bare = replace(configuration(), agents=(AgentChoice("weathervane"),), allocator_parameters={})
    fund = await floor.fund(config=bare)
    assert fund.config.agents[0].parameters == {"strength": 1.0}
    assert set(fund.config.allocator_parameters) == {"volatility_bars", "cap", "exposure"}


async def test_a_taken_name_is_refused_and_leaves_nothing_behind(floor: Floor) -> None:
    await floor.fund()
    with pytest.raises(AlreadyExists, match="^fund alpha exists already$"):
        await floor.fund()
    assert len(await floor.funds.list(floor.tenant_id)) == 1
    assert await kinds(floor) == [EventKind.FUND_CREATED]


async def test_two_tenants_may_use_one_name(floor: Floor, make_tenant: MakeTenant) -> None:
    await floor.fund()
    rival = Floor(floor.database, await make_tenant(floor.database, "rival"), floor.root)
    await rival.fund(capital="1")
    assert (await floor.funds.get(floor.tenant_id, "alpha")).capital == Decimal(10_000)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"universe": ("DOGE/USDT",)}, "universe"),
        ({"agents": (AgentChoice("weathervane", {"strength": 7.0}),)}, "parameters.strength"),
        ({"agents": (AgentChoice("weathervane", {"nerve": 1.0}),)}, "parameters.nerve"),
        ({"allocator": "astrology"}, "allocator"),
        ({"allocator_parameters": {"cap": 5.0}}, "allocator_parameters.cap"),
        ({"venue": "nowhere"}, "universe"),
    ],
)
async def test_a_configuration_that_cannot_trade_is_refused_by_field(
    floor: Floor, change: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await floor.fund(config=replace(configuration(), **change))
    assert caught.value.field == field
    assert caught.value.fix
    assert await floor.funds.list(floor.tenant_id) == []


async def test_an_unknown_agent_is_not_found(floor: Floor) -> None:
    with pytest.raises(NotFound, match="oracle"):
        await floor.fund(config=replace(configuration(), agents=(AgentChoice("oracle"),)))


@pytest.mark.parametrize(("name", "capital"), [("Alpha!", "1"), ("", "1"), ("alpha", "0"), ("alpha", "-5")])
async def test_a_bad_name_or_capital_is_refused(floor: Floor, name: str, capital: str) -> None:
    with pytest.raises(InvalidInput):
        await floor.funds.create(floor.tenant_id, name, FundMode.PAPER, Decimal(capital), configuration(), ANN)


async def test_a_configuration_becomes_the_next_version_and_the_old_one_stays(floor: Floor) -> None:
    await floor.fund()
    bolder = configuration(limits=RiskLimits(max_position_fraction=Decimal("0.9")))
    fund = await floor.funds.configure(floor.tenant_id, "alpha", bolder, ANN)
    assert fund.config_version == 2
    assert [version.version for version in await floor.funds.versions(floor.tenant_id, "alpha")] == [2, 1]
    first = await floor.funds.config(floor.tenant_id, "alpha", 1)
    assert first.config.limits == RiskLimits()
    assert first.actor == "ann@example.com"


async def test_the_same_configuration_again_is_no_new_version(floor: Floor) -> None:
    fund = await floor.fund()
    assert await floor.funds.configure(floor.tenant_id, "alpha", fund.config, ANN) == fund


async def test_a_rollback_is_an_old_configuration_as_the_next_version(floor: Floor) -> None:
    fund = await floor.fund()
    await floor.funds.configure(floor.tenant_id, "alpha", configuration(strength=0.5), ANN)
    back = await floor.funds.rollback(floor.tenant_id, "alpha", 1, ANN)
    assert (back.config_version, back.config) == (3, fund.config)
    with pytest.raises(NotFound):
        await floor.funds.rollback(floor.tenant_id, "alpha", 9, ANN)


async def test_an_agent_is_changed_only_where_it_was_named(floor: Floor) -> None:
    await floor.fund()
    fund = await floor.funds.set_agent(floor.tenant_id, "alpha", "weathervane", weight=2.5, actor=ANN)
    assert fund.config.agents == (AgentChoice("weathervane", {"strength": 1.0}, 2.5, True),)
    fund = await floor.funds.set_agent(
        floor.tenant_id, "alpha", "weathervane", enabled=False, parameters={"strength": 0.25}, actor=ANN
    )
    assert fund.config.agents == (AgentChoice("weathervane", {"strength": 0.25}, 2.5, False),)
    with pytest.raises(InvalidInput):
        await floor.funds.set_agent(floor.tenant_id, "alpha", "weathervane", parameters={"strength": 9.0}, actor=ANN)


async def test_the_currency_of_the_books_cannot_change(floor: Floor) -> None:
    fund = await floor.fund()
    other = replace(fund.config, base_currency="ETH", universe=("BTC/ETH",))
    with pytest.raises((Conflict, InvalidInput)):
        await floor.funds.configure(floor.tenant_id, "alpha", other, ANN)


async def test_a_fund_is_started_and_stopped_and_says_so_once(floor: Floor) -> None:
    await floor.fund()
    for _ in range(2):
        assert (await floor.funds.start(floor.tenant_id, "alpha", ANN)).state is FundState.RUNNING
    assert (await floor.funds.stop(floor.tenant_id, "alpha", ANN)).state is FundState.STOPPED
    assert await kinds(floor) == [EventKind.FUND_CREATED, EventKind.FUND_STARTED, EventKind.FUND_STOPPED]


async def test_a_fund_that_could_decide_nothing_is_not_started(floor: Floor) -> None:
    fund = await floor.fund()
    hourly = fund.config
    await floor.funds.configure(floor.tenant_id, "alpha", replace(hourly, timeframe=Timeframe.D1), ANN)
    with pytest.raises(Conflict, match="no candle of 1d") as caught:
        await floor.funds.start(floor.tenant_id, "alpha", ANN)
    assert "market import" in caught.value.fix
    silent = replace(hourly, agents=tuple(replace(choice, enabled=False) for choice in hourly.agents))
    await floor.funds.configure(floor.tenant_id, "alpha", silent, ANN)
    with pytest.raises(Conflict, match="no agent that is enabled"):
        await floor.funds.start(floor.tenant_id, "alpha", ANN)


async def test_a_fund_of_another_tenant_is_not_found(floor: Floor, make_tenant: MakeTenant) -> None:
    fund = await floor.fund()
    rival = await make_tenant(floor.database, "rival")
    for reference in ("alpha", str(fund.id)):
        for use in (floor.funds.get(rival, reference), floor.funds.start(rival, reference, ANN)):
            with pytest.raises(NotFound):
                await use
    assert await floor.funds.many(rival, [fund.id]) == []


# Halts


async def test_a_halt_is_listed_until_it_is_lifted(floor: Floor) -> None:
    fund = await floor.fund()
    halt = await floor.halts.halt(HaltScope.FUND, tenant_id=floor.tenant_id, fund="alpha", reason="drawdown", actor=ANN)
    assert (halt.fund_id, halt.fund) == (fund.id, "alpha")
    assert await floor.halts.list(floor.tenant_id) == [halt]
    lifted = await floor.halts.resume(
        HaltScope.FUND, tenant_id=floor.tenant_id, fund="alpha", reason="looked into", actor="bob@example.com"
    )
    assert (lifted.id, lifted.lifted_by) == (halt.id, "bob@example.com")
    assert await floor.halts.list(floor.tenant_id) == []
    assert (await kinds(floor))[1:] == [EventKind.TRADING_HALTED, EventKind.TRADING_RESUMED]


async def test_halting_twice_keeps_the_first_halt(floor: Floor) -> None:
    first = await floor.halts.halt(HaltScope.TENANT, tenant_id=floor.tenant_id, reason="one", actor=ANN)
    assert await floor.halts.halt(HaltScope.TENANT, tenant_id=floor.tenant_id, reason="two", actor=ANN) == first


async def test_resuming_one_scope_leaves_the_others_halted(floor: Floor) -> None:
    await floor.halts.halt(HaltScope.PLATFORM, reason="venue down", actor="root")
    await floor.halts.halt(HaltScope.TENANT, tenant_id=floor.tenant_id, reason="drill", actor=ANN)
    await floor.halts.resume(HaltScope.TENANT, tenant_id=floor.tenant_id, reason="over", actor=ANN)
    assert [halt.scope for halt in await floor.halts.list(floor.tenant_id)] == [HaltScope.PLATFORM]
    with pytest.raises(Conflict):
        await floor.halts.resume(HaltScope.TENANT, tenant_id=floor.tenant_id, reason="over", actor=ANN)


async def test_a_tenants_halt_does_not_touch_another_tenant(floor: Floor, make_tenant: MakeTenant) -> None:
    rival = await make_tenant(floor.database, "rival")
    await floor.halts.halt(HaltScope.TENANT, tenant_id=floor.tenant_id, reason="drill", actor=ANN)
    assert await floor.halts.list(rival) == []
    assert await floor.halts.list() == []


@pytest.mark.parametrize(
    ("scope", "fund", "reason", "field"),
    [
        (HaltScope.FUND, None, "x", "fund"),
        (HaltScope.TENANT, "alpha", "x", "fund"),
        (HaltScope.TENANT, None, " ", "reason"),
    ],
)
async def test_a_halt_that_does_not_say_what_or_why_is_refused(
    floor: Floor, scope: HaltScope, fund: str | None, reason: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await floor.halts.halt(scope, tenant_id=floor.tenant_id, fund=fund, reason=reason, actor=ANN)
    assert caught.value.field == field
