"""A bar's volume is there once: what the orders of one fund take of it together."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.domain.orders import OrderStatus
from alphapulse.quant.simulation import PaperRules
from tests.conftest import MakeTenant
from tests.fakes.candles import path
from tests.fakes.floor import FIRST, Floor, buy
from tests.fakes.venue import Crash, Manner, Venue
from tests.slices.test_desk import behind, place, stored

HOUR = timedelta(hours=1)


@pytest.fixture
async def thin(database: PostgresDatabase, make_tenant: MakeTenant, tmp_path: Path) -> Floor:
    """A floor whose bars give 4 units each."""
    floor = Floor(database, await make_tenant(database), tmp_path, rules=PaperRules(volume_share=Decimal("0.1")))
    floor.store({symbol: path([10.0] * 12, volumes=[40.0] * 12) for symbol in ("BTC/USDT", "ETH/USDT")})
    return floor


async def test_orders_of_a_fund_share_what_a_bar_gives_in_the_order_in_which_they_were_placed(thin: Floor) -> None:
    fund = await thin.fund()
    first = await place(thin, fund, buy("3"), key="first")
    second = await place(thin, fund, buy("2.5"), key="second")
    third = await place(thin, fund, buy("1"), key="third")
    other = await place(thin, fund, buy("4", symbol="ETH/USDT"), key="other")
    assert [order.filled_quantity for order in (first, second, third, other)] == [3, 1, 0, 4]
    await thin.desk.settle(fund, FIRST + HOUR)
    assert [(await stored(thin, order)).filled_quantity for order in (first, second, third)] == [3, Decimal("2.5"), 1]
    assert await thin.books.verify(thin.tenant_id, "alpha") == []


async def test_orders_placed_at_the_same_time_never_take_more_than_the_share_together(thin: Floor) -> None:
    fund = await thin.fund()
    orders = await asyncio.gather(*(place(thin, fund, buy(f"1.{number}"), key=f"{number}") for number in range(1, 6)))
    assert sum(order.filled_quantity for order in orders) == 4
    await thin.desk.settle(fund, FIRST + HOUR)
    assert sum(fill["quantity"] for fill in await thin.rows(fund, "fills")) == Decimal("6.5")


async def test_an_order_interrupted_by_a_crash_keeps_its_turn(thin: Floor) -> None:
    fund = await thin.fund()
    dying = Venue(thin.paper, submits=[Manner.CRASH_AFTER])
    with pytest.raises(Crash):
        await place(behind(thin, dying), fund, buy("3"), key="first")
    second = await place(thin, fund, buy("2.5"), key="second")
    assert second.filled_quantity == 1
    first = await place(thin, fund, buy("3"), key="first")
    assert (first.status, first.filled_quantity) == (OrderStatus.FILLED, 3)
