"""The checks that every order passes, and the sizing that is made to pass them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.market import Instrument
from alphapulse.domain.money import ZERO
from alphapulse.domain.orders import Order, OrderRequest, OrderStatus, OrderType, Side
from alphapulse.domain.portfolio import Portfolio, Position, Price
from alphapulse.domain.risk import Reservation, RiskLimits, Situation, Verdict, judge, judge_plan
from alphapulse.domain.sizing import size
from alphapulse.errors import InvalidInput

AT = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FUND = uuid4()


def instrument(symbol: str) -> Instrument:
    return Instrument("binance", symbol, Decimal("0.01"), Decimal("0.001"), Decimal("0.01"), Decimal(10))


INSTRUMENTS = {symbol: instrument(symbol) for symbol in ("BTC/USDT", "ETH/USDT", "SOL/USDT", "ETH/BTC")}
LAST = {"BTC/USDT": "100", "ETH/USDT": "50", "SOL/USDT": "10", "ETH/BTC": "0.5"}


def situation(
    *,
    cash: str = "10000",
    held: Mapping[str, str] | None = None,
    halts: tuple[str, ...] = (),
    live: tuple[Order, ...] = (),
    manual: bool = False,
    limits: RiskLimits | None = None,
    price_at: datetime = AT,
) -> Situation:
    held = held or {}
    return Situation(
        portfolio=Portfolio(
            FUND,
            "USDT",
            {"USDT": Decimal(cash)} | {symbol.partition("/")[0]: Decimal(q) for symbol, q in held.items()},
            {symbol: Position(symbol, Decimal(q), Decimal(q)) for symbol, q in held.items()},
            {symbol: Price(Decimal(price), price_at) for symbol, price in LAST.items()},
        ),
        instruments=INSTRUMENTS,
        limits=limits or RiskLimits(),
        as_of=AT,
        bar_length=HOUR,
        live_orders=live,
        halts=halts,
        manual=manual,
    )


def order(
    quantity: str, *, symbol: str = "BTC/USDT", side: Side = Side.BUY, limit: str | None = None, leg: str = ""
) -> OrderRequest:
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    price = None if limit is None else Decimal(limit)
    return OrderRequest("binance", symbol, side, kind, Decimal(quantity), price, leg)


def live(request: OrderRequest, filled: str = "0") -> Order:
    identity = uuid4()
    return Order(identity, FUND, str(identity), request, OrderStatus.OPEN, AT, filled_quantity=Decimal(filled))


def codes(verdict: Verdict) -> set[str]:
    return {line.partition(":")[0] for line in verdict.denials}


def judged(request: OrderRequest, where: Situation) -> Verdict:
    return judge_plan([request], where)[0]


def test_an_ordinary_order_passes_every_check() -> None:
    verdict = judged(order("1", limit="101"), situation())
    assert verdict.approved
    assert len(verdict.checks) >= 11


def test_every_denial_is_a_code_with_figures() -> None:
    verdict = judged(order("0.0001", limit="10000.001"), situation(cash="1", halts=("scope=fund reason=test",)))
    for line in verdict.denials:
        code, _, detail = line.partition(": ")
        assert code.isupper()
        assert "=" in detail


def test_an_unknown_symbol_is_denied() -> None:
    assert codes(judged(order("1", symbol="DOGE/USDT"), situation())) == {"INSTRUMENT_NOT_FOUND"}


def test_a_symbol_of_another_venue_is_denied() -> None:
    foreign = replace(order("1"), venue="kraken")
    assert codes(judged(foreign, situation())) == {"INSTRUMENT_NOT_FOUND"}


def test_a_symbol_quoted_in_another_currency_than_the_funds_is_denied() -> None:
    assert codes(judged(order("1", symbol="ETH/BTC"), situation())) == {"QUOTE_CURRENCY_MISMATCH"}


def test_a_quantity_between_two_lots_is_denied() -> None:
    assert codes(judged(order("1.0005"), situation())) == {"QUANTITY_PRECISION"}


def test_a_limit_price_between_two_ticks_is_denied() -> None:
    assert codes(judged(order("1", limit="100.005"), situation())) == {"PRICE_PRECISION"}


def test_a_quantity_below_the_minimum_is_denied() -> None:
    assert "QUANTITY_BELOW_MINIMUM" in codes(judged(order("0.009"), situation()))


def test_a_notional_below_the_minimum_is_denied() -> None:
    assert codes(judged(order("0.09"), situation())) == {"NOTIONAL_BELOW_MINIMUM"}


def test_an_order_above_the_notional_limit_is_denied() -> None:
    limits = RiskLimits(max_order_notional=Decimal(500))
    assert codes(judged(order("5.001"), situation(limits=limits))) == {"NOTIONAL_EXCEEDS_MAX_PER_ORDER"}
    assert judged(order("5"), situation(limits=limits)).approved


def test_a_purchase_beyond_the_free_cash_is_denied() -> None:
    limits = RiskLimits(max_position_fraction=Decimal(1))
    assert "NOTIONAL_EXCEEDS_FREE_BALANCE" in codes(judged(order("101"), situation(limits=limits)))


def test_a_purchase_of_all_the_cash_is_denied_because_fees_come_on_top() -> None:
    limits = RiskLimits(max_position_fraction=Decimal(1), fee_cushion=Decimal("0.01"))
    assert codes(judged(order("100"), situation(limits=limits))) == {"NOTIONAL_EXCEEDS_FREE_BALANCE"}
    assert judged(order("99"), situation(limits=limits)).approved


def test_a_sale_of_more_than_is_held_is_denied_as_short() -> None:
    assert codes(judged(order("2", side=Side.SELL), situation(held={"BTC/USDT": "1"}))) == {"SHORT_NOT_SUPPORTED"}
    assert codes(judged(order("1", side=Side.SELL), situation())) == {"SHORT_NOT_SUPPORTED"}


def test_a_sale_of_what_another_order_is_selling_is_denied() -> None:
    selling = live(order("0.8", side=Side.SELL, limit="105"))
    verdict = judged(order("0.5", side=Side.SELL), situation(held={"BTC/USDT": "1"}, live=(selling,)))
    assert codes(verdict) == {"NOTIONAL_EXCEEDS_FREE_BALANCE"}


def test_what_a_live_order_has_left_is_reserved_and_what_it_filled_is_not() -> None:
    limits = RiskLimits(max_position_fraction=Decimal(1))
    resting = live(order("50", limit="100", symbol="ETH/USDT"), filled="20")
    assert judged(order("69"), situation(limits=limits, live=(resting,))).approved
    assert not judged(order("71"), situation(limits=limits, live=(resting,))).approved


def test_a_purchase_beyond_the_position_limit_is_denied() -> None:
    limits = RiskLimits(max_position_fraction=Decimal("0.2"))
    assert codes(judged(order("20.001"), situation(limits=limits))) == {"POSITION_LIMIT"}
    assert judged(order("20"), situation(limits=limits)).approved


def test_the_position_limit_counts_what_is_held_and_what_is_on_its_way() -> None:
    limits = RiskLimits(max_position_fraction=Decimal("0.2"))
    where = situation(cash="9000", held={"BTC/USDT": "10"}, live=(live(order("5", limit="100")),), limits=limits)
    assert codes(judged(order("5.001"), where)) == {"POSITION_LIMIT"}
    assert judged(order("4.9"), where).approved


def test_a_purchase_beyond_the_gross_exposure_is_denied() -> None:
    limits = RiskLimits(max_gross_exposure=Decimal("0.3"))
    where = situation(cash="8000", held={"ETH/USDT": "40"}, limits=limits)
    assert codes(judged(order("10.001"), where)) == {"GROSS_EXPOSURE_LIMIT"}
    assert judged(order("10"), where).approved


def test_what_is_held_counts_at_the_last_price_in_both_limits_on_exposure() -> None:
    checks = {check.code: check for check in judged(order("1", limit="91"), situation(held={"BTC/USDT": "2"})).checks}
    assert checks["POSITION_LIMIT"].detail.startswith("position=291 ")
    assert checks["GROSS_EXPOSURE_LIMIT"].detail.startswith("gross=291 ")


def test_figures_are_told_to_eight_decimals_and_the_age_of_a_price_with_its_clock() -> None:
    verdict = judged(order("0.001", limit="33.3333333333"), replace(situation(), clock="wall"))
    details = {check.code: check.detail for check in verdict.checks}
    assert details["NOTIONAL_EXCEEDS_MAX_PER_ORDER"] == "notional=0.03333333 max=1000000"
    assert details["NOTIONAL_EXCEEDS_FREE_BALANCE"] == "notional=0.03333333 free=9950.24875622 asset=USDT"
    assert details["POSITION_LIMIT"] == "position=0.03333333 max=5000"
    assert details["GROSS_EXPOSURE_LIMIT"] == "gross=0.03333333 max=10000"
    assert details["STALE_MARKET_DATA"] == "age_s=0 max_s=7200 as_of=2024-01-01T00:00:00Z clock=wall"


def test_a_sale_is_never_held_up_by_the_limits_on_exposure() -> None:
    limits = RiskLimits(max_position_fraction=Decimal("0.01"), max_gross_exposure=Decimal("0.01"))
    assert judged(order("5", side=Side.SELL), situation(held={"BTC/USDT": "10"}, limits=limits)).approved


@pytest.mark.parametrize("limit", ["111", "89", "10000", "1"])
def test_a_limit_price_far_from_the_last_price_is_denied(limit: str) -> None:
    assert "PRICE_COLLAR" in codes(judged(order("1", limit=limit), situation()))


def test_a_price_that_is_too_old_is_denied() -> None:
    assert judged(order("1"), situation(price_at=AT - 2 * HOUR)).approved
    assert codes(judged(order("1"), situation(price_at=AT - 3 * HOUR))) == {"STALE_MARKET_DATA"}


def test_a_price_from_the_future_is_denied() -> None:
    assert codes(judged(order("1"), situation(price_at=AT + HOUR))) == {"STALE_MARKET_DATA"}


def test_without_any_price_an_order_is_denied() -> None:
    where = situation()
    blind = replace(where, portfolio=replace(where.portfolio, prices={}))
    assert codes(judged(order("1"), blind)) == {"STALE_MARKET_DATA"}


def test_the_same_order_as_a_live_one_is_denied() -> None:
    twin = live(order("1"))
    verdict = judged(order("1"), situation(live=(twin,)))
    assert codes(verdict) == {"DUPLICATE_ORDER"}
    assert twin.client_order_id in verdict.denials[0]


def test_the_same_order_twice_in_one_plan_is_denied_the_second_time() -> None:
    first, second = judge_plan([order("1", leg="a"), order("1", leg="b")], situation())
    assert first.approved
    assert codes(second) == {"DUPLICATE_ORDER"}


def test_a_halt_denies_what_nobody_ordered_by_hand() -> None:
    where = situation(held={"BTC/USDT": "1"}, halts=("scope=tenant reason=drill",))
    assert codes(judged(order("1", side=Side.SELL), where)) == {"TRADING_HALTED"}
    assert "reason=drill" in judged(order("1", side=Side.SELL), where).denials[0]


def test_under_a_halt_a_person_may_lessen_a_position_and_nothing_else() -> None:
    where = situation(held={"BTC/USDT": "1"}, halts=("scope=fund reason=drill",), manual=True)
    assert judged(order("1", side=Side.SELL), where).approved
    assert codes(judged(order("1"), where)) == {"TRADING_HALTED"}
    assert "TRADING_HALTED" in codes(judged(order("1.5", side=Side.SELL), where))


def test_one_answer_names_everything_that_is_wrong() -> None:
    verdict = judged(order("200.0005", limit="10000"), situation(halts=("scope=fund reason=drill",)))
    assert codes(verdict) >= {
        "TRADING_HALTED",
        "QUANTITY_PRECISION",
        "PRICE_COLLAR",
        "NOTIONAL_EXCEEDS_MAX_PER_ORDER",
        "NOTIONAL_EXCEEDS_FREE_BALANCE",
        "POSITION_LIMIT",
        "GROSS_EXPOSURE_LIMIT",
    }


def test_a_plan_spends_the_same_cash_only_once() -> None:
    plan = [order("45"), order("90", symbol="ETH/USDT"), order("200", symbol="SOL/USDT")]
    first, second, third = judge_plan(plan, situation())
    assert first.approved
    assert second.approved
    assert codes(third) == {"NOTIONAL_EXCEEDS_FREE_BALANCE", "GROSS_EXPOSURE_LIMIT"}


def test_a_denied_order_of_a_plan_reserves_nothing() -> None:
    first, second = judge_plan([order("60"), order("80", symbol="ETH/USDT")], situation())
    assert codes(first) == {"POSITION_LIMIT"}
    assert second.approved


def test_a_plan_sells_the_same_position_only_once() -> None:
    plan = [order("0.6", side=Side.SELL, leg="a"), order("0.5", side=Side.SELL, leg="b")]
    first, second = judge_plan(plan, situation(held={"BTC/USDT": "1"}))
    assert first.approved
    assert codes(second) == {"NOTIONAL_EXCEEDS_FREE_BALANCE"}


def test_judging_alone_counts_what_is_reserved_already() -> None:
    verdict = judge(order("1"), situation(), Reservation(cash=Decimal(9_950)))
    assert "NOTIONAL_EXCEEDS_FREE_BALANCE" in codes(verdict)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_order_notional", "0"),
        ("max_position_fraction", "1.1"),
        ("max_gross_exposure", "0"),
        ("price_collar", "-0.1"),
        ("rebalance_threshold", "1"),
        ("fee_cushion", "-0.01"),
    ],
)
def test_a_limit_out_of_range_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        replace(RiskLimits(), **{name: Decimal(value)})
    assert caught.value.field == f"limits.{name}"


# Sizing


def sized(weights: Mapping[str, float], where: Situation) -> list[OrderRequest]:
    return size(weights, where.portfolio, where.instruments, where.limits, where.live_orders)


def test_a_target_becomes_a_purchase_rounded_down_to_the_lot() -> None:
    (request,) = sized({"BTC/USDT": 0.1234567}, situation())
    assert (request.side, request.quantity) == (Side.BUY, Decimal("12.345"))


def test_a_weight_of_zero_sells_everything_and_sales_come_first() -> None:
    where = situation(cash="5000", held={"SOL/USDT": "12.345"})
    sale, purchase = sized({"BTC/USDT": 0.1, "SOL/USDT": 0.0}, where)
    assert (sale.symbol, sale.side, sale.quantity) == ("SOL/USDT", Side.SELL, Decimal("12.345"))
    assert purchase.side is Side.BUY


def test_a_negative_weight_is_an_exit_and_never_a_short() -> None:
    (request,) = sized({"BTC/USDT": -0.5}, situation(held={"BTC/USDT": "1"}))
    assert (request.side, request.quantity) == (Side.SELL, Decimal(1))
    assert sized({"BTC/USDT": -0.5}, situation()) == []


def test_a_symbol_without_a_weight_is_left_alone() -> None:
    assert sized({}, situation(held={"BTC/USDT": "1"})) == []


def test_a_small_difference_to_the_target_is_left_alone() -> None:
    where = situation(cash="9000", held={"BTC/USDT": "10"})
    assert sized({"BTC/USDT": 0.11}, where) == []
    assert sized({"BTC/USDT": 0.13}, where) != []


def test_purchases_share_the_free_cash() -> None:
    where = situation(cash="1000", held={"SOL/USDT": "900"}, limits=RiskLimits(rebalance_threshold=ZERO))
    bought = sized({"BTC/USDT": 0.2, "ETH/USDT": 0.2}, where)
    spent = [request.quantity * Decimal(LAST[request.symbol]) for request in bought]
    assert sum(spent) <= 1000 / Decimal("1.005")
    assert spent[0] == pytest.approx(spent[1], rel=Decimal("0.01"))


def test_left_over_cash_is_not_churned_into_ever_smaller_purchases() -> None:
    assert sized({"BTC/USDT": 0.5}, situation(cash="50", held={"SOL/USDT": "995"})) == []


def test_a_large_target_is_approached_by_orders_of_the_largest_size() -> None:
    where = situation(cash="100000", limits=RiskLimits(max_order_notional=Decimal(1000)))
    (request,) = sized({"BTC/USDT": 0.4}, where)
    assert request.quantity == Decimal(10)


def test_purchases_stay_below_the_gross_exposure_so_that_they_are_not_denied() -> None:
    where = situation(limits=RiskLimits(max_gross_exposure=Decimal("0.3")))
    bought = sized({"BTC/USDT": 0.4, "ETH/USDT": 0.4}, where)
    assert sum(request.quantity * Decimal(LAST[request.symbol]) for request in bought) <= 3000
    assert all(verdict.approved for verdict in judge_plan(bought, where))


def test_a_symbol_with_an_order_on_its_way_is_left_alone() -> None:
    where = situation(live=(live(order("1", limit="99")),))
    assert [request.symbol for request in sized({"BTC/USDT": 0.2, "ETH/USDT": 0.2}, where)] == ["ETH/USDT"]


def test_what_a_base_currency_fee_took_is_not_offered_for_sale() -> None:
    where = situation(held={"BTC/USDT": "1"})
    poorer = replace(where.portfolio, balances={"USDT": Decimal(10_000), "BTC": Decimal("0.999")})
    (request,) = size({"BTC/USDT": 0.0}, poorer, INSTRUMENTS, RiskLimits())
    assert request.quantity == Decimal("0.999")


weight = st.floats(0, 1)
holding = st.decimals("0", "40", places=3)


@given(
    st.fixed_dictionaries(dict.fromkeys(("BTC/USDT", "ETH/USDT", "SOL/USDT"), weight)),
    st.fixed_dictionaries(dict.fromkeys(("BTC/USDT", "ETH/USDT"), holding)),
    st.decimals("0", "20000", places=2),
    st.sampled_from(("0.2", "0.5", "1")),
)
def test_what_is_sized_is_never_denied(
    weights: dict[str, float], held: dict[str, Decimal], cash: Decimal, gross: str
) -> None:
    where = situation(
        cash=str(cash),
        held={symbol: str(quantity) for symbol, quantity in held.items()},
        limits=RiskLimits(max_gross_exposure=Decimal(gross)),
    )
    for verdict in judge_plan(sized(weights, where), where):
        assert verdict.denials == ()
