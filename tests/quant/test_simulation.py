"""The fill rules of the paper venue."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.market import Instrument, Timeframe
from alphapulse.domain.money import ZERO, is_multiple
from alphapulse.domain.orders import OrderRequest, OrderType, Side
from alphapulse.errors import InvalidInput
from alphapulse.quant.simulation import FeeCurrency, PaperRules, execute, market_price
from alphapulse.quant.window import Window, to_ms

START = datetime(2024, 1, 1, tzinfo=UTC)
BTC = Instrument("binance", "BTC/USDT", Decimal("0.01"), Decimal("0.001"), Decimal("0.001"), Decimal(1))
FREE = PaperRules(half_spread=ZERO, slippage=ZERO, fee_rate=ZERO, volume_share=Decimal(1))

#: open, high, low, close, volume
Candle = tuple[float, float, float, float, float]


def bars(*candles: Candle) -> Window:
    columns = np.array(candles, dtype=np.float64).reshape(len(candles), 5).T
    opens = np.array([to_ms(START + hour * timedelta(hours=1)) for hour in range(len(candles))], dtype=np.int64)
    return Window(Timeframe.H1, opens, *columns)


def market(quantity: str, side: Side = Side.BUY) -> OrderRequest:
    return OrderRequest("binance", "BTC/USDT", side, OrderType.MARKET, Decimal(quantity))


def limit(quantity: str, price: str, side: Side = Side.BUY) -> OrderRequest:
    return OrderRequest("binance", "BTC/USDT", side, OrderType.LIMIT, Decimal(quantity), Decimal(price))


def flat(price: float, volume: float = 1000) -> Candle:
    return (price, price, price, price, volume)


def test_a_market_order_trades_at_the_first_close() -> None:
    done = execute(market("2"), bars((90, 120, 80, 100, 50), flat(200)), BTC, FREE)
    (fill,) = done.fills
    assert (fill.price, fill.quantity, fill.fee) == (Decimal(100), Decimal(2), ZERO)
    assert fill.at == START + timedelta(hours=1)


def test_spread_and_slippage_are_paid_by_both_sides_and_rounded_against_them() -> None:
    rules = replace(FREE, half_spread=Decimal("0.001"), slippage=Decimal("0.00201"))
    assert market_price(Side.BUY, Decimal(100), BTC, rules) == Decimal("100.31")
    assert market_price(Side.SELL, Decimal(100), BTC, rules) == Decimal("99.69")


def test_a_price_below_one_tick_does_not_become_free() -> None:
    assert market_price(Side.SELL, Decimal("0.001"), BTC, FREE) == Decimal("0.001")


def test_the_fee_is_taken_in_the_quote_currency() -> None:
    (fill,) = execute(market("2"), bars(flat(100)), BTC, replace(FREE, fee_rate=Decimal("0.001"))).fills
    assert (fill.fee, fill.fee_asset) == (Decimal("0.2"), "USDT")


def test_a_fee_on_what_is_received_is_in_base_for_purchases_and_in_quote_for_sales() -> None:
    rules = replace(FREE, fee_rate=Decimal("0.001"), fee_currency=FeeCurrency.RECEIVED)
    (bought,) = execute(market("2"), bars(flat(100)), BTC, rules).fills
    (sold,) = execute(market("2", Side.SELL), bars(flat(100)), BTC, rules).fills
    assert (bought.fee, bought.fee_asset) == (Decimal("0.002"), "BTC")
    assert (sold.fee, sold.fee_asset) == (Decimal("0.2"), "USDT")


def test_a_bar_gives_its_volume_share_and_the_rest_comes_from_later_bars() -> None:
    rules = replace(FREE, volume_share=Decimal("0.1"))
    done = execute(market("2.5"), bars(flat(100, 10), flat(99, 10), flat(98, 10)), BTC, rules)
    assert [(fill.price, fill.quantity) for fill in done.fills] == [
        (Decimal(100), Decimal(1)),
        (Decimal(99), Decimal(1)),
        (Decimal(98), Decimal("0.5")),
    ]


def test_the_rest_of_a_purchase_never_pays_more_than_its_first_bar() -> None:
    rules = replace(FREE, volume_share=Decimal("0.1"))
    done = execute(market("2"), bars(flat(100, 10), flat(101, 10), flat(100, 10)), BTC, rules)
    assert [fill.price for fill in done.fills] == [Decimal(100), Decimal(100)]


def test_the_rest_of_a_sale_follows_the_price_down() -> None:
    rules = replace(FREE, volume_share=Decimal("0.1"))
    done = execute(market("2", Side.SELL), bars(flat(100, 10), flat(90, 10)), BTC, rules)
    assert [fill.price for fill in done.fills] == [Decimal(100), Decimal(90)]


def test_a_market_order_expires_after_its_last_bar() -> None:
    rules = replace(FREE, volume_share=Decimal("0.1"), market_bars=2)
    waiting = execute(market("5"), bars(flat(100, 10)), BTC, rules)
    over = execute(market("5"), bars(flat(100, 10), flat(100, 10), flat(100, 10)), BTC, rules)
    assert not waiting.expired
    assert (over.quantity, over.expired) == (Decimal(2), True)


def test_what_other_orders_took_from_a_bar_is_not_there_any_more() -> None:
    rules = replace(FREE, volume_share=Decimal("0.1"))
    taken = {START + timedelta(hours=1): Decimal("0.7"), START + timedelta(hours=2): Decimal(2)}
    done = execute(market("2"), bars(*[flat(100, 10)] * 4), BTC, rules, taken=taken)
    assert [(fill.quantity, fill.at.hour) for fill in done.fills] == [
        (Decimal("0.3"), 1),
        (Decimal(1), 3),
        (Decimal("0.7"), 4),
    ]


def test_what_was_booked_stands_and_only_other_bars_fill_the_rest() -> None:
    rules = replace(FREE, volume_share=Decimal("0.1"))
    (first, second) = execute(market("2"), bars(flat(100, 3), flat(100, 10)), BTC, rules).fills
    assert (first.quantity, second.quantity) == (Decimal("0.3"), Decimal(1))
    done = execute(market("2"), bars(*[flat(100, 10)] * 3), BTC, rules, booked=(first, second))
    assert done.fills[:2] == (first, second)
    assert [fill.quantity for fill in done.fills[2:]] == [Decimal("0.7")]


def test_a_bar_without_volume_fills_nothing() -> None:
    assert execute(market("1"), bars(flat(100, 0)), BTC, FREE).fills == ()


def test_a_limit_order_waits_for_a_bar_that_trades_through_its_price() -> None:
    touched = (105.0, 110.0, 100.0, 106.0, 10.0)
    through = (105.0, 110.0, 99.99, 106.0, 10.0)
    assert execute(limit("1", "100"), bars(touched), BTC, FREE).fills == ()
    (fill,) = execute(limit("1", "100"), bars(touched, through), BTC, FREE).fills
    assert (fill.price, fill.at) == (Decimal(100), START + timedelta(hours=2))


def test_a_limit_order_gets_the_open_when_the_bar_opens_better() -> None:
    (bought,) = execute(limit("1", "100"), bars((95, 96, 90, 92, 10)), BTC, FREE).fills
    (sold,) = execute(limit("1", "100", Side.SELL), bars((105, 110, 104, 106, 10)), BTC, FREE).fills
    assert (bought.price, sold.price) == (Decimal(95), Decimal(105))


def test_a_limit_order_rests_for_ever() -> None:
    done = execute(limit("1", "50"), bars(*[flat(100)] * 50), BTC, FREE)
    assert (done.fills, done.expired) == ((), False)


@pytest.mark.parametrize(
    ("name", "value"), [("fee_rate", "1"), ("half_spread", "-0.1"), ("volume_share", "0"), ("volume_share", "1.1")]
)
def test_a_rule_out_of_range_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        replace(PaperRules(), **{name: Decimal(value)})
    assert caught.value.field == f"paper.{name}"


prices = st.floats(0.5, 500).map(lambda value: round(value, 2))


@st.composite
def candles(draw: st.DrawFn) -> Candle:
    values = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    return (values[1], values[3], values[0], values[2], draw(st.floats(0, 20)))


requests = st.builds(
    lambda side, thousandths, price: (
        market(str(thousandths / Decimal(1000)), side)
        if price is None
        else limit(str(thousandths / Decimal(1000)), str(price), side)
    ),
    st.sampled_from(list(Side)),
    st.integers(1, 9000).map(Decimal),
    st.none() | prices,
)


@given(requests, st.lists(candles(), max_size=12))
def test_more_bars_only_ever_add_fills_so_that_a_restart_sees_the_same_ones(
    request: OrderRequest, seen: list[Candle]
) -> None:
    earlier: tuple[object, ...] = ()
    for count in range(len(seen) + 1):
        done = execute(request, bars(*seen[:count]), BTC, PaperRules())
        assert done.fills[: len(earlier)] == earlier
        assert done.quantity <= request.quantity
        assert all(is_multiple(fill.quantity, BTC.quantity_increment) for fill in done.fills)
        earlier = done.fills


@given(requests, st.lists(candles(), max_size=12))
def test_a_limit_is_never_violated_and_a_purchase_never_costs_more_than_its_first_price(
    request: OrderRequest, seen: list[Candle]
) -> None:
    done = execute(request, bars(*seen), BTC, PaperRules())
    for fill in done.fills:
        if request.limit_price is not None:
            assert (fill.price - request.limit_price) * request.side.sign <= 0
        elif request.side is Side.BUY:
            assert fill.price <= market_price(Side.BUY, Decimal(repr(seen[0][3])), BTC, PaperRules())
