"""One fund at one bar: settle, look, decide, trade, mark; whoever interrupts or repeats it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from alphapulse.domain.decisions import DecisionState
from alphapulse.domain.events import EventKind
from alphapulse.domain.orders import OrderStatus, Side
from alphapulse.domain.risk import HaltScope, RiskLimits
from alphapulse.events import store as event_store
from alphapulse.ports.database import Transaction
from alphapulse.quant.simulation import PaperRules
from tests.fakes.candles import START, path
from tests.fakes.floor import FIRST, SYMBOLS, Floor, buy, configuration, hours
from tests.fakes.venue import Crash, Manner, Venue

ANN = "ann@example.com"
HOUR = timedelta(hours=1)


def rising_then_falling(floor: Floor, name: str, *, rules: PaperRules | None = None, volume: float = 1000.0) -> Floor:
    """BTC rises until FIRST + 2 h and falls afterwards; ETH the other way round."""
    other = Floor(floor.database, floor.tenant_id, floor.root / name, rules=rules or PaperRules())
    up = [100.0 + step for step in range(10)]
    down = [100.0 - step / 2 for step in range(10)]
    volumes = [volume] * 20
    other.store({SYMBOLS[0]: path(up + down, volumes=volumes), SYMBOLS[1]: path(down + up, volumes=volumes)})
    return other


async def recorded(floor: Floor, *kinds: EventKind) -> list[EventKind]:
    async with floor.database.transaction(floor.tenant_id) as tx:
        return [event.kind for event in await event_store.read(tx, 0, 1000) if not kinds or event.kind in kinds]


async def test_signals_become_orders_fills_positions_and_an_equity_point(floor: Floor) -> None:
    floor = rising_then_falling(floor, "swing")
    fund = await floor.fund()
    decision = await floor.cycle.run(fund, FIRST)
    (order,) = decision.orders
    assert (order.request.symbol, order.request.side, order.verdict.approved) == ("BTC/USDT", Side.BUY, True)
    bullish, bearish = decision.symbols
    assert (bullish.consensus.conviction, bearish.consensus.conviction) == (1.0, -1.0)
    assert "last bar moved by +1.00" in bullish.votes[0].signal.rationale
    (holding,) = await floor.books.positions(floor.tenant_id, "alpha")
    assert holding.symbol == "BTC/USDT"
    (point,) = await floor.books.history(floor.tenant_id, "alpha")
    assert (point.at, point.benchmark) == (FIRST, fund.capital)
    assert Decimal(9_980) < point.equity < fund.capital
    assert await floor.books.verify(floor.tenant_id, "alpha") == []
    assert await recorded(floor) == [
        EventKind.FUND_CREATED,
        EventKind.DECISION_MADE,
        EventKind.ORDER_INTENDED,
        EventKind.FILL_BOOKED,
        EventKind.ORDER_CHANGED,
        EventKind.EQUITY_MARKED,
    ]


async def test_a_bearish_view_sells_and_never_goes_short(floor: Floor) -> None:
    floor = rising_then_falling(floor, "swing")
    fund = await floor.fund()
    for at in hours(FIRST, 8):
        await floor.cycle.run(fund, at)
    async with floor.database.transaction(floor.tenant_id) as tx:
        lowest = await tx.one("SELECT min(quantity) AS held FROM positions")
    assert lowest is not None
    assert lowest["held"] >= 0
    assert {row["side"] for row in await floor.rows(fund, "orders")} == {"buy", "sell"}
    assert await floor.books.verify(floor.tenant_id, "alpha") == []


async def test_running_a_bar_again_changes_nothing(floor: Floor) -> None:
    fund = await floor.fund()
    first = await floor.cycle.run(fund, FIRST)
    before = await floor.all_rows(fund)
    again = Floor(floor.database, floor.tenant_id, floor.root)
    assert await again.cycle.run(fund, FIRST) == first
    assert await floor.all_rows(fund) == before


async def test_two_workers_on_one_fund_decide_once_and_book_once(floor: Floor) -> None:
    fund = await floor.fund()
    workers = [Floor(floor.database, floor.tenant_id, floor.root) for _ in range(4)]
    for at in hours(FIRST, 5):
        decisions = await asyncio.gather(*(worker.cycle.run(fund, at) for worker in workers))
        assert all(decision == decisions[0] for decision in decisions)
    assert len(await floor.rows(fund, "decisions")) == len(await floor.rows(fund, "equity")) == 5
    assert len(await floor.rows(fund, "fills")) == len(await floor.rows(fund, "orders")) > 3
    assert await floor.books.verify(floor.tenant_id, "alpha") == []


async def test_two_workers_leave_the_rows_of_one(floor: Floor) -> None:
    fund = await floor.fund()
    twin = await floor.fund("beta")
    for at in hours(FIRST, 4):
        await floor.cycle.run(fund, at)
        await asyncio.gather(*(floor.cycle.run(twin, at) for _ in range(3)))
    ours, theirs = [await floor.rows(each, "equity") for each in (fund, twin)]
    assert [(row["at"], row["equity"]) for row in ours] == [(row["at"], row["equity"]) for row in theirs]


async def test_a_plan_is_the_decision_that_would_be_made_and_stores_nothing(floor: Floor) -> None:
    fund = await floor.fund()
    before = await floor.all_rows(fund)
    plan = await floor.cycle.plan(fund, FIRST)
    assert await floor.all_rows(fund) == before
    decision = await floor.cycle.run(fund, FIRST)
    assert plan == replace(decision, orders=tuple(replace(order, order_id=None) for order in decision.orders))


@pytest.mark.parametrize("manner", [Manner.CRASH_BEFORE, Manner.CRASH_AFTER])
async def test_a_crash_between_the_two_transactions_is_completed_by_running_the_bar_again(
    floor: Floor, manner: Manner
) -> None:
    fund, twin = await floor.fund(), await floor.fund("beta")
    venue = Venue(floor.paper, submits=[manner])
    dying = Floor(floor.database, floor.tenant_id, floor.root, exchange=venue)
    with pytest.raises(Crash):
        await dying.cycle.run(fund, FIRST)
    assert await floor.rows(fund, "equity") == []
    await Floor(floor.database, floor.tenant_id, floor.root, exchange=venue).cycle.run(fund, FIRST)
    await floor.cycle.run(twin, FIRST)
    assert without_ids(await floor.all_rows(fund)) == without_ids(await floor.all_rows(twin))


async def test_when_the_last_step_of_a_bar_fails_nothing_of_its_completion_is_kept(floor: Floor) -> None:
    fund = await floor.fund()

    async def die(tx: Transaction) -> None:
        raise Crash

    with pytest.raises(Crash):
        await floor.cycle.run(fund, FIRST, after=die)
    assert {row["status"] for row in await floor.rows(fund, "orders")} == {"intended"}
    assert await floor.rows(fund, "fills") == await floor.rows(fund, "equity") == []
    await floor.cycle.run(fund, FIRST)
    assert {row["status"] for row in await floor.rows(fund, "orders")} == {"filled"}


async def test_a_lost_answer_in_a_cycle_is_found_and_booked_once(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper, submits=[Manner.LOSE_ANSWER])
    await Floor(floor.database, floor.tenant_id, floor.root, exchange=venue).cycle.run(fund, FIRST)
    assert {row["status"] for row in await floor.rows(fund, "orders")} == {"filled"}
    assert len(venue.taken) == len(await floor.rows(fund, "fills"))


async def test_a_symbol_with_an_order_on_its_way_is_left_alone(floor: Floor) -> None:
    floor = rising_then_falling(floor, "thin", volume=100.0, rules=PaperRules(volume_share=Decimal("0.1")))
    fund = await floor.fund()
    await floor.cycle.run(fund, FIRST)
    (order,) = await floor.rows(fund, "orders")
    assert order["status"] == "partially_filled"
    decision = await floor.cycle.run(fund, FIRST + HOUR)
    assert [planned.request.symbol for planned in decision.orders] == []


async def test_a_configuration_is_in_force_from_the_next_bar(floor: Floor) -> None:
    fund = await floor.fund()
    await floor.cycle.run(fund, FIRST)
    await floor.funds.configure(floor.tenant_id, "alpha", configuration(strength=0.5), ANN)
    decision = await floor.cycle.run(fund, FIRST + HOUR)
    assert decision.config_version == 2
    assert abs(decision.symbols[0].consensus.conviction or 1.0) == 0.5


async def test_a_symbol_that_left_the_universe_is_sold(floor: Floor) -> None:
    fund = await floor.fund()
    await floor.desk.place(fund, buy("10", symbol="ETH/USDT"), key="k", as_of=FIRST, actor=ANN)
    smaller = configuration(universe=("BTC/USDT",))
    fund = await floor.funds.configure(floor.tenant_id, "alpha", smaller, ANN)
    decision = await floor.cycle.run(fund, FIRST)
    assert ("ETH/USDT", Side.SELL) in {(order.request.symbol, order.request.side) for order in decision.orders}
    assert decision.symbols[-1].problem == "left the universe: sold"


@pytest.mark.parametrize("scope", list(HaltScope))
async def test_a_halt_of_any_scope_denies_every_order_of_a_cycle_until_it_is_lifted(
    floor: Floor, scope: HaltScope
) -> None:
    fund = await floor.fund()
    name = "alpha" if scope is HaltScope.FUND else None
    await floor.halts.halt(scope, tenant_id=floor.tenant_id, fund=name, reason="drill", actor=ANN)
    restarted = Floor(floor.database, floor.tenant_id, floor.root)
    decision = await restarted.cycle.run(fund, FIRST)
    assert decision.orders
    assert all("TRADING_HALTED" in order.verdict.denials[0] for order in decision.orders)
    assert {row["status"] for row in await floor.rows(fund, "orders")} == {"denied"}
    await floor.halts.resume(scope, tenant_id=floor.tenant_id, fund=name, reason="over", actor=ANN)
    resumed = await restarted.cycle.run(fund, FIRST + HOUR)
    assert all(order.verdict.approved for order in resumed.orders)


async def test_when_no_agent_has_a_view_positions_are_left_alone(floor: Floor) -> None:
    fund = await floor.fund()
    await floor.desk.place(fund, buy("10"), key="k", as_of=FIRST, actor=ANN)
    await floor.funds.set_agent(floor.tenant_id, "alpha", "weathervane", enabled=False, actor=ANN)
    decision = await floor.cycle.run(fund, FIRST)
    assert decision.orders == ()
    assert "no agent had a view" in decision.symbols[0].problem
    assert len(await floor.books.positions(floor.tenant_id, "alpha")) == 1


async def test_a_bar_that_is_missing_is_said_and_leaves_the_position_alone(floor: Floor) -> None:
    fund = await floor.fund()
    after_the_end = FIRST + timedelta(days=30)
    decision = await floor.cycle.run(fund, after_the_end)
    assert decision.orders == ()
    assert "no candle closed at" in decision.symbols[0].problem


async def test_bars_missed_while_nothing_ran_are_recorded_once(floor: Floor) -> None:
    fund = await floor.fund()
    slots = hours(FIRST, 3)
    assert await floor.cycle.missed(fund, slots) == 3
    assert await floor.cycle.missed(fund, slots) == 0
    assert await recorded(floor, EventKind.SLOT_MISSED) == [EventKind.SLOT_MISSED] * 3
    assert (await floor.cycle.run(fund, FIRST)).state is DecisionState.MISSED
    assert await floor.rows(fund, "orders") == []
    assert (await floor.cycle.run(fund, FIRST + 3 * HOUR)).state is DecisionState.MADE


async def test_a_bar_older_than_the_newest_one_is_missed_and_not_traded(floor: Floor) -> None:
    fund = await floor.fund()
    await floor.cycle.run(fund, FIRST + HOUR)
    late = await floor.cycle.run(fund, FIRST)
    assert (late.state, late.orders) == (DecisionState.MISSED, ())
    assert len(await floor.rows(fund, "equity")) == 1


async def test_a_denied_order_is_told_and_does_not_stop_the_others(floor: Floor) -> None:
    swing = rising_then_falling(floor, "swing")
    fund = await swing.fund(config=configuration(limits=RiskLimits(max_data_age_bars=1)))
    await swing.desk.place(fund, buy("5", symbol="ETH/USDT"), key="k", as_of=FIRST, actor=ANN)
    await swing.desk.place(fund, buy("1", limit="100", symbol="BTC/USDT"), key="l", as_of=FIRST, actor=ANN)
    decision = await swing.cycle.run(fund, FIRST)
    assert [order.request.symbol for order in decision.orders] == ["ETH/USDT"]


async def test_signals_are_computed_once_however_many_funds_share_them(floor: Floor) -> None:
    funds = [await floor.fund(f"fund-{number}") for number in range(4)]
    await asyncio.gather(*(floor.cycle.run(fund, FIRST) for fund in funds))
    assert floor.agents.computations == len(SYMBOLS)


async def test_the_benchmark_holds_the_first_universe_in_equal_parts(floor: Floor) -> None:
    floor = rising_then_falling(floor, "swing")
    fund = await floor.fund()
    await floor.cycle.run(fund, FIRST)
    await Floor(floor.database, floor.tenant_id, floor.root).cycle.run(fund, FIRST + HOUR)
    point = (await floor.books.history(floor.tenant_id, "alpha"))[-1]
    expected = fund.capital * (Decimal(108) / 107 + Decimal(96) / Decimal("96.5")) / 2
    assert abs(point.benchmark - expected) < Decimal("0.000001")


async def test_the_benchmark_buys_what_had_no_price_at_the_start_at_its_first_close(floor: Floor) -> None:
    floor = Floor(floor.database, floor.tenant_id, floor.root / "late")
    btc, eth = path([100.0] * 10 + [110.0] * 10), path([50.0] * 10 + [75.0] * 5, start=START + 5 * HOUR)
    floor.store({"BTC/USDT": btc, "ETH/USDT": eth})
    fund = await floor.fund()
    replay = await floor.replays.start(floor.tenant_id, "alpha", bars=200)
    await floor.replays.run(floor.tenant_id, replay.id)
    points = await floor.books.history(floor.tenant_id, "alpha")
    assert points[0].benchmark == points[7].benchmark == fund.capital
    assert points[12].benchmark == fund.capital * Decimal("1.05")
    assert points[-1].benchmark == fund.capital * Decimal("1.3")


async def test_orders_keep_their_status_names_in_the_database(floor: Floor) -> None:
    fund = await floor.fund()
    await floor.cycle.run(fund, FIRST)
    orders, _ = await floor.books.orders(floor.tenant_id, fund="alpha", status=OrderStatus.FILLED)
    assert len(orders) == len(await floor.rows(fund, "orders"))


def without_ids(rows: dict[str, list[dict[str, object]]]) -> dict[str, list[dict[str, object]]]:
    """Rows without ids and what is ordered by them; without the tables that both funds share."""
    return {
        table: sorted(({name: value for name, value in row.items() if _is_fact(name, value)} for row in found), key=str)
        for table, found in rows.items()
        if table not in {"events", "order_events"}
    }


def _is_fact(name: str, value: object) -> bool:
    return not isinstance(value, UUID) and name not in {"detail", "client_order_id", "venue_order_id", "sequence"}
