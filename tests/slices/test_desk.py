"""The only door for orders: judged first, committed before the venue is called, booked once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from alphapulse.domain.events import EventKind
from alphapulse.domain.funds import Fund
from alphapulse.domain.orders import Fill, Order, OrderStatus, VenueReport, VenueState
from alphapulse.domain.risk import HaltScope, RiskLimits
from alphapulse.errors import Conflict, IdempotencyMismatch, NotFound
from alphapulse.events import store as event_store
from alphapulse.quant.simulation import PaperRules
from alphapulse.trading import fund_store, handover
from alphapulse.trading.recording import record
from alphapulse.trading.settlement import Outcome
from tests.conftest import MakeTenant
from tests.fakes.candles import path
from tests.fakes.floor import FIRST, Floor, buy, configuration, sell
from tests.fakes.venue import Crash, Manner, Venue

HOUR = timedelta(hours=1)
ANN = "ann@example.com"


async def place(floor: Floor, fund: Fund, request: object = None, *, key: str = "k1", as_of: object = FIRST) -> Order:
    placed = await floor.desk.place(fund, request or buy("10"), key=key, as_of=as_of, actor=ANN)  # pyright: ignore[reportArgumentType] defaults
    return placed.order


async def stored(floor: Floor, order: Order) -> Order:
    return await floor.books.order(floor.tenant_id, order.id)


async def events(floor: Floor, kind: EventKind) -> list[str]:
    async with floor.database.transaction(floor.tenant_id) as tx:
        return [event.subject for event in await event_store.read(tx, 0, 1000) if event.kind is kind]


def behind(floor: Floor, venue: Venue) -> Floor:
    """A floor like this one that trades at ``venue``: another process on the same database."""
    return Floor(floor.database, floor.tenant_id, floor.root, rules=floor.rules, exchange=venue)


async def test_a_market_order_is_filled_and_booked(floor: Floor) -> None:
    fund = await floor.fund()
    order = await place(floor, fund)
    assert (order.status, order.filled_quantity) == (OrderStatus.FILLED, Decimal(10))
    assert order == await stored(floor, order)
    (holding,) = await floor.books.positions(floor.tenant_id, "alpha")
    assert (holding.symbol, holding.quantity) == ("BTC/USDT", Decimal(10))
    assert await floor.books.verify(floor.tenant_id, "alpha") == []
    assert [step["event"] for step in await floor.rows(fund, "order_events")] == ["intend", "fill_rest"]


async def test_the_intent_is_committed_before_the_venue_is_called(floor: Floor) -> None:
    fund = await floor.fund()
    seen: list[OrderStatus] = []

    async def look(order: Order) -> None:
        seen.append((await stored(floor, order)).status)

    await place(behind(floor, Venue(floor.paper, watch=look)), fund)
    assert seen == [OrderStatus.INTENDED]


async def test_a_denied_order_is_stored_with_every_check_and_never_reaches_the_venue(floor: Floor) -> None:
    fund = await floor.fund(config=configuration(limits=RiskLimits(max_order_notional=Decimal(100))))
    venue = Venue(floor.paper)
    order = await place(behind(floor, venue), fund)
    assert order.status is OrderStatus.DENIED
    assert [line.partition(":")[0] for line in order.denials] == ["NOTIONAL_EXCEEDS_MAX_PER_ORDER"]
    assert venue.taken == []
    checks = (await floor.books.explain(floor.tenant_id, order.id)).checks
    assert {check.code for check in checks if check.passed} >= {"TRADING_HALTED", "DUPLICATE_ORDER", "POSITION_LIMIT"}
    assert await events(floor, EventKind.ORDER_DENIED) == [str(order.id)]
    assert await floor.books.verify(floor.tenant_id, "alpha") == []


async def test_the_same_key_gives_the_first_order_and_sends_nothing(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper)
    ours = behind(floor, venue)
    first = await ours.desk.place(fund, buy("10"), key="k1", as_of=FIRST, actor=ANN)
    again = await ours.desk.place(fund, buy("10.0"), key="k1", as_of=FIRST + HOUR, actor=ANN)
    assert (first.repeated, again.repeated) == (False, True)
    assert again.order == first.order
    assert len(venue.taken) == 1


async def test_the_same_key_with_another_order_is_refused(floor: Floor) -> None:
    fund = await floor.fund()
    await place(floor, fund)
    with pytest.raises(IdempotencyMismatch):
        await place(floor, fund, buy("11"))
    assert len(await floor.rows(fund, "orders")) == 1


async def test_a_denied_order_stays_denied_under_its_key(floor: Floor) -> None:
    fund = await floor.fund()
    first = await place(floor, fund, buy("1000"))
    assert first.status is OrderStatus.DENIED
    assert await place(floor, fund, buy("1000")) == first


async def test_the_same_key_from_several_at_once_places_one_order(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper)
    ours = behind(floor, venue)
    placed = await asyncio.gather(
        *(ours.desk.place(fund, buy("10"), key="k1", as_of=FIRST, actor=ANN) for _ in range(6))
    )
    assert len({each.order.id for each in placed}) == 1
    assert sum(not each.repeated for each in placed) == 1
    assert len(venue.taken) == len(await floor.rows(fund, "fills")) == 1


async def test_orders_placed_at_once_cannot_spend_the_same_cash(floor: Floor) -> None:
    fund = await floor.fund(config=configuration(limits=RiskLimits(max_position_fraction=Decimal(1))))
    quantities = [f"{60 + number / 10}" for number in range(4)]
    orders = await asyncio.gather(*(place(floor, fund, buy(quantity), key=quantity) for quantity in quantities))
    assert sorted(order.status for order in orders) == [OrderStatus.DENIED] * 3 + [OrderStatus.FILLED]


async def test_a_limit_order_rests_and_is_filled_by_a_later_bar(floor: Floor) -> None:
    floor = behind(floor, Venue(floor.paper))
    fund = await floor.fund()
    price = (await floor.market.prices(fund.config.venue, ["BTC/USDT"], fund.config.timeframe, FIRST))["BTC/USDT"]
    limit = str((price.value * Decimal("0.999")).quantize(Decimal("0.01")))
    order = await place(floor, fund, buy("10", limit=limit))
    assert order.status is OrderStatus.OPEN
    booked = [await floor.desk.settle(fund, FIRST + hour * HOUR) for hour in range(1, 30)]
    assert sum(booked) == 1
    filled = await stored(floor, order)
    assert (filled.status, filled.average_price) == (OrderStatus.FILLED, Decimal(limit))
    assert await floor.books.verify(floor.tenant_id, "alpha") == []


async def test_partial_fills_are_booked_one_by_one(floor: Floor) -> None:
    thin = Floor(floor.database, floor.tenant_id, floor.root / "thin", rules=PaperRules(volume_share=Decimal("0.1")))
    thin.store({symbol: path([10.0] * 12, volumes=[40.0] * 12) for symbol in ("BTC/USDT", "ETH/USDT")})
    fund = await thin.fund()
    order = await place(thin, fund)
    assert (order.status, order.filled_quantity) == (OrderStatus.PARTIALLY_FILLED, Decimal(4))
    assert await thin.desk.settle(fund, FIRST + HOUR) == 1
    assert await thin.desk.settle(fund, FIRST + HOUR) == 0
    assert await thin.desk.settle(fund, FIRST + 2 * HOUR) == 1
    assert (await stored(thin, order)).status is OrderStatus.FILLED
    assert [fill["sequence"] for fill in await thin.rows(fund, "fills")] == [1, 2, 3]
    assert await thin.books.verify(thin.tenant_id, "alpha") == []


async def test_a_lost_answer_is_looked_up_and_the_order_booked_once(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper, submits=[Manner.LOSE_ANSWER])
    order = await place(behind(floor, venue), fund)
    assert order.status is OrderStatus.FILLED
    assert len(venue.taken) == len(await floor.rows(fund, "fills")) == 1
    history = (await floor.books.explain(floor.tenant_id, order.id)).history
    assert [step.event for step in history] == ["intend", "lose_answer", "fill_rest"]


async def test_a_request_that_never_arrived_is_sent_again_under_the_same_id(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper, submits=[Manner.LOSE_REQUEST])
    order = await place(behind(floor, venue), fund)
    assert order.status is OrderStatus.FILLED
    assert venue.taken == [order.client_order_id]
    assert venue.asked == 3


async def test_an_order_that_nobody_can_tell_about_waits_for_a_person_and_is_never_sent_again(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper, submits=[Manner.LOSE_ANSWER], reports=[Manner.LOSE_REQUEST] * 6)
    ours = behind(floor, venue)
    order = await place(ours, fund)
    assert order.status is OrderStatus.UNKNOWN
    assert "did not say" in order.reason
    await ours.desk.settle(fund, FIRST)
    assert venue.asked == 6
    assert await events(floor, EventKind.RECONCILE_ATTENTION) == [str(order.id)]
    await ours.desk.settle(fund, FIRST + 5 * HOUR)
    known = await stored(floor, order)
    assert (known.status, known.reason) == (OrderStatus.FILLED, "")
    assert venue.taken == [order.client_order_id]


async def test_an_order_for_a_venue_that_is_down_is_sent_when_it_is_back(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper, submits=[Manner.DOWN])
    ours = behind(floor, venue)
    order = await place(ours, fund)
    assert order.status is OrderStatus.INTENDED
    assert await ours.desk.settle(fund, FIRST) == 1
    assert venue.taken == [order.client_order_id]


async def test_an_order_that_never_reached_the_venue_is_withdrawn_when_its_bar_is_over(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper, submits=[Manner.DOWN])
    ours = behind(floor, venue)
    order = await place(ours, fund)
    ours.clock.advance(handover.IN_FLIGHT)
    await ours.desk.settle(fund, FIRST + HOUR)
    after = await stored(floor, order)
    assert (after.status, venue.taken) == (OrderStatus.CANCELLED, [])
    assert "never reached" in after.reason


async def test_an_order_that_never_reached_the_venue_is_withdrawn_under_a_halt(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper, submits=[Manner.DOWN])
    ours = behind(floor, venue)
    order = await place(ours, fund)
    await floor.halts.halt(HaltScope.TENANT, tenant_id=floor.tenant_id, reason="drill", actor=ANN)
    await ours.desk.settle(fund, FIRST)
    assert (await stored(floor, order)).status is OrderStatus.INTENDED
    ours.clock.advance(handover.IN_FLIGHT)
    await ours.desk.settle(fund, FIRST)
    assert (await stored(floor, order)).status is OrderStatus.CANCELLED
    assert venue.taken == []


async def test_an_order_that_somebody_may_be_sending_right_now_is_not_withdrawn(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper, submits=[Manner.DOWN])
    ours = behind(floor, venue)
    order = await place(ours, fund)
    await ours.desk.settle(fund, FIRST + HOUR)
    assert (await stored(floor, order)).status is OrderStatus.INTENDED


async def test_a_fill_of_an_order_that_was_given_up_is_booked_and_shown_to_a_person(floor: Floor) -> None:
    fund = await floor.fund()
    order = await place(floor, fund, buy("10", limit="95"))
    await floor.desk.cancel(fund, order.id, as_of=FIRST, actor=ANN)
    late = Fill("late", Decimal(95), Decimal(4), Decimal("0.1"), "USDT", FIRST)
    report = VenueReport("v", VenueState.OPEN, (late,))
    for _ in range(2):
        async with floor.database.transaction(floor.tenant_id) as tx:
            await fund_store.lock(tx, fund.id)
            await record(tx, fund, [Outcome(order.id, report)], at=FIRST, now=floor.clock.now())
    after = await stored(floor, order)
    assert (after.status, after.filled_quantity) == (OrderStatus.CANCELLED, Decimal(4))
    assert await events(floor, EventKind.RECONCILE_ATTENTION) == [str(order.id)]
    assert await floor.books.verify(floor.tenant_id, "alpha") == []


async def test_what_the_venue_refuses_is_rejected_with_its_reason(floor: Floor) -> None:
    fund = await floor.fund()
    order = await place(behind(floor, Venue(floor.paper, submits=[Manner.REJECT])), fund)
    assert (order.status, order.reason) == (OrderStatus.REJECTED, "insufficient funds")


async def test_an_accepted_order_that_the_venue_forgot_is_shown_to_a_person_and_kept(floor: Floor) -> None:
    fund = await floor.fund()
    ours = behind(floor, Venue(floor.paper, reports=[Manner.FORGET]))
    order = await place(ours, fund, buy("10", limit="95"))
    assert order.status is OrderStatus.OPEN
    await ours.desk.settle(fund, FIRST)
    kept = await stored(floor, order)
    assert kept.status is OrderStatus.OPEN
    assert await events(floor, EventKind.RECONCILE_ATTENTION) == [str(order.id)]


@pytest.mark.parametrize("manner", [Manner.CRASH_BEFORE, Manner.CRASH_AFTER])
async def test_a_crash_while_the_venue_is_called_ends_in_one_order_and_one_fill(floor: Floor, manner: Manner) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper, submits=[manner])
    ours = behind(floor, venue)
    with pytest.raises(Crash):
        await place(ours, fund)
    restarted = behind(floor, venue)
    assert await restarted.desk.settle(fund, FIRST) == 1
    assert len(venue.taken) == len(await floor.rows(fund, "fills")) == 1
    assert await floor.books.verify(floor.tenant_id, "alpha") == []


async def test_repeating_the_request_after_a_crash_completes_the_first_order(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper, submits=[Manner.CRASH_BEFORE])
    with pytest.raises(Crash):
        await place(behind(floor, venue), fund)
    again = await behind(floor, venue).desk.place(fund, buy("10"), key="k1", as_of=FIRST, actor=ANN)
    assert again.repeated
    assert again.order.status is OrderStatus.FILLED
    assert len(venue.taken) == 1


async def test_several_settlements_at_once_book_a_fill_once(floor: Floor) -> None:
    fund = await floor.fund()
    venue = Venue(floor.paper, submits=[Manner.CRASH_AFTER])
    with pytest.raises(Crash):
        await place(behind(floor, venue), fund)
    booked = await asyncio.gather(*(behind(floor, venue).desk.settle(fund, FIRST) for _ in range(5)))
    assert sorted(booked) == [0, 0, 0, 0, 1]
    assert await floor.books.verify(floor.tenant_id, "alpha") == []


async def test_a_resting_order_is_cancelled(floor: Floor) -> None:
    fund = await floor.fund()
    order = await place(floor, fund, buy("10", limit="95"))
    cancelled = await floor.desk.cancel(fund, order.id, as_of=FIRST, actor=ANN)
    assert cancelled.status is OrderStatus.CANCELLED
    with pytest.raises(Conflict, match="cancelled already"):
        await floor.desk.cancel(fund, order.id, as_of=FIRST, actor=ANN)


async def test_a_cancel_that_was_interrupted_is_finished_by_the_next_settlement(floor: Floor) -> None:
    fund = await floor.fund()
    order = await place(floor, fund, buy("10", limit="95"))
    with pytest.raises(Crash):
        await behind(floor, Venue(floor.paper, cancels=[Manner.CRASH_BEFORE])).desk.cancel(
            fund, order.id, as_of=FIRST, actor=ANN
        )
    await floor.desk.settle(fund, FIRST + HOUR)
    assert (await stored(floor, order)).status is OrderStatus.CANCELLED


async def test_an_order_that_was_filled_before_the_cancel_arrived_comes_back_filled(floor: Floor) -> None:
    fund = await floor.fund()
    quick = Floor(floor.database, floor.tenant_id, floor.root / "quick")
    quick.store({symbol: path([10.0] * 9 + [9.0] * 3) for symbol in ("BTC/USDT", "ETH/USDT")})
    order = await place(quick, fund, buy("10", limit="9.5"))
    assert order.status is OrderStatus.OPEN
    late = await quick.desk.cancel(fund, order.id, as_of=FIRST + 4 * HOUR, actor=ANN)
    assert late.status is OrderStatus.FILLED


async def test_a_position_is_closed_by_selling_all_of_it(floor: Floor) -> None:
    fund = await floor.fund()
    await place(floor, fund)
    closed = await floor.desk.close_position(fund, "BTC/USDT", key="c1", as_of=FIRST + HOUR, actor=ANN)
    assert closed.order.status is OrderStatus.FILLED
    assert await floor.books.positions(floor.tenant_id, "alpha") == []
    again = await floor.desk.close_position(fund, "BTC/USDT", key="c1", as_of=FIRST + HOUR, actor=ANN)
    assert (again.repeated, again.order.id) == (True, closed.order.id)
    with pytest.raises(NotFound, match="holds no"):
        await floor.desk.close_position(fund, "BTC/USDT", key="c2", as_of=FIRST + HOUR, actor=ANN)


async def test_selling_short_is_refused(floor: Floor) -> None:
    fund = await floor.fund()
    order = await place(floor, fund, sell("1"))
    assert [line.partition(":")[0] for line in order.denials] == ["SHORT_NOT_SUPPORTED"]


async def test_an_unknown_symbol_is_denied_by_code(floor: Floor) -> None:
    fund = await floor.fund()
    order = await place(floor, fund, buy("1", symbol="DOGE/USDT"))
    assert [line.partition(":")[0] for line in order.denials] == ["INSTRUMENT_NOT_FOUND"]


async def test_a_fund_or_order_of_another_tenant_is_not_found(floor: Floor, make_tenant: MakeTenant) -> None:
    fund = await floor.fund()
    order = await place(floor, fund)
    foreign = replace(fund, tenant_id=await make_tenant(floor.database, "rival"))
    with pytest.raises(NotFound):
        await place(floor, foreign)
    with pytest.raises(NotFound):
        await floor.desk.cancel(foreign, order.id, as_of=FIRST, actor=ANN)
    with pytest.raises(NotFound):
        await floor.desk.cancel(fund, uuid4(), as_of=FIRST, actor=ANN)


async def test_nobody_trades_by_hand_in_a_fund_that_is_being_replayed(floor: Floor) -> None:
    fund = await floor.fund()
    await floor.replays.start(floor.tenant_id, "alpha", bars=3)
    with pytest.raises(Conflict, match="replayed"):
        await place(floor, fund)
