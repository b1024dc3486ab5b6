"""What a halt does to orders that are already on their way."""

from __future__ import annotations

from decimal import Decimal

import pytest

from alphapulse.domain.orders import OrderStatus
from alphapulse.domain.risk import HaltScope
from alphapulse.trading import handover
from tests.fakes.floor import FIRST, Floor, buy, sell
from tests.fakes.venue import Crash, Manner, Venue
from tests.slices.test_desk import ANN, behind, place, stored


async def test_a_halt_withdraws_resting_purchases_and_leaves_sales(floor: Floor) -> None:
    fund = await floor.fund()
    await place(floor, fund, buy("10"))
    purchase = await place(floor, fund, buy("1", limit="95"), key="rests")
    sale = await place(floor, fund, sell("1", limit="105"), key="exit")
    await floor.halts.halt(HaltScope.FUND, tenant_id=floor.tenant_id, fund="alpha", reason="drill", actor=ANN)
    await floor.desk.settle(fund, FIRST)
    withdrawn, kept = await stored(floor, purchase), await stored(floor, sale)
    assert (withdrawn.status, withdrawn.filled_quantity) == (OrderStatus.CANCELLED, Decimal(0))
    assert kept.status is OrderStatus.OPEN
    steps = [step for step in await floor.rows(fund, "order_events") if step["order_id"] == purchase.id]
    assert [(step["event"], step["detail"]) for step in steps][2] == ("request_cancel", "by the halt")


async def test_an_intent_left_by_a_crash_is_not_filled_on_paper_under_a_halt(floor: Floor) -> None:
    fund = await floor.fund()
    dying = behind(floor, Venue(floor.paper, submits=[Manner.CRASH_BEFORE]))
    with pytest.raises(Crash):
        await place(dying, fund)
    (order,) = (await floor.books.orders(floor.tenant_id, fund="alpha"))[0]
    assert order.status is OrderStatus.INTENDED
    await floor.halts.halt(HaltScope.TENANT, tenant_id=floor.tenant_id, reason="drill", actor=ANN)
    await floor.desk.settle(fund, FIRST)
    floor.clock.advance(handover.IN_FLIGHT)
    await floor.desk.settle(fund, FIRST)
    assert (await stored(floor, order)).status is OrderStatus.CANCELLED
    assert await floor.books.positions(floor.tenant_id, "alpha") == []
