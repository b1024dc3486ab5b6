"""The life of an order, and the ids that make it repeatable."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from uuid import UUID, uuid4

import pytest

from alphapulse.domain.orders import (
    FINAL,
    MOVES,
    Fill,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    client_order_id,
    decision_id,
    move,
)
from alphapulse.errors import Conflict, InvalidInput

AT = datetime(2024, 1, 1, tzinfo=UTC)
S, E = OrderStatus, OrderEvent

#: Written out a second time and by other means than the table: from each status, what may still happen.
BEFORE_THE_VENUE_ANSWERED = {
    E.ACCEPT: S.OPEN,
    E.LOSE_ANSWER: S.UNKNOWN,
    E.FILL_PART: S.PARTIALLY_FILLED,
    E.FILL_REST: S.FILLED,
    E.CANCEL: S.CANCELLED,
    E.REJECT: S.REJECTED,
    E.EXPIRE: S.EXPIRED,
}
ONCE_ACCEPTED = {
    event: after for event, after in BEFORE_THE_VENUE_ANSWERED.items() if event not in {E.ACCEPT, E.LOSE_ANSWER}
}
ONCE_FILLED_IN_PART = {event: after for event, after in ONCE_ACCEPTED.items() if event is not E.REJECT}
EXPECTED = {
    S.INTENDED: BEFORE_THE_VENUE_ANSWERED,
    S.UNKNOWN: BEFORE_THE_VENUE_ANSWERED,
    S.OPEN: ONCE_ACCEPTED,
    S.PARTIALLY_FILLED: ONCE_FILLED_IN_PART,
}


@pytest.mark.parametrize(("status", "event"), list(product(S, E)))
def test_every_pair_of_status_and_event_is_either_a_known_move_or_refused(
    status: OrderStatus, event: OrderEvent
) -> None:
    after = EXPECTED.get(status, {}).get(event)
    if after is None:
        with pytest.raises(Conflict, match=status):
            move(status, event)
    else:
        assert move(status, event) is after


def test_nothing_leaves_a_final_status() -> None:
    assert not [pair for pair in MOVES if pair[0] in FINAL]
    assert {status for status in S if status.is_final} == set(FINAL)


def test_every_status_but_denied_and_intended_is_reached_by_some_move() -> None:
    assert set(MOVES.values()) == set(S) - {S.DENIED, S.INTENDED}


def test_an_order_is_live_until_it_is_final() -> None:
    assert all(status.is_live is not status.is_final for status in S)


def test_the_same_cause_gives_the_same_client_order_id() -> None:
    fund = uuid4()
    first = client_order_id(fund, str(decision_id(fund, AT)), "BTC/USDT")
    assert first == client_order_id(fund, str(decision_id(fund, AT)), "BTC/USDT")
    assert str(UUID(first)) == first


def test_another_fund_cause_or_leg_gives_another_client_order_id() -> None:
    fund = uuid4()
    ids = {
        client_order_id(fund, "a", ""),
        client_order_id(uuid4(), "a", ""),
        client_order_id(fund, "b", ""),
        client_order_id(fund, "a", "x"),
    }
    assert len(ids) == 4


def test_a_fingerprint_does_not_depend_on_how_a_number_is_written() -> None:
    assert request("0.10").fingerprint() == request("0.1").fingerprint()
    assert request("0.1", limit="60000").fingerprint() == request("0.1", limit="6E+4").fingerprint()


def test_a_fingerprint_tells_requests_apart() -> None:
    several = [
        request("0.1"),
        request("0.2"),
        request("0.1", side=Side.SELL),
        request("0.1", limit="60000"),
        request("0.1", symbol="ETH/USDT"),
    ]
    assert len({each.fingerprint() for each in several}) == len(several)


@pytest.mark.parametrize("quantity", ["0", "-1"])
def test_a_quantity_that_is_not_above_zero_is_refused_by_name(quantity: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        request(quantity)
    assert caught.value.field == "quantity"


def test_a_limit_order_needs_a_price_and_a_market_order_takes_none() -> None:
    for kind, price in ((OrderType.LIMIT, None), (OrderType.MARKET, Decimal(1))):
        with pytest.raises(InvalidInput) as caught:
            OrderRequest("binance", "BTC/USDT", Side.BUY, kind, Decimal(1), price)
        assert caught.value.field == "limit_price"


def test_a_fill_without_price_or_quantity_or_with_a_negative_fee_is_refused() -> None:
    for price, quantity, fee in ((0, 1, 0), (1, 0, 0), (1, 1, -1)):
        with pytest.raises(InvalidInput):
            Fill("1", Decimal(price), Decimal(quantity), Decimal(fee), "USDT", AT)


def request(
    quantity: str, *, limit: str | None = None, side: Side = Side.BUY, symbol: str = "BTC/USDT"
) -> OrderRequest:
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    price = None if limit is None else Decimal(limit)
    return OrderRequest("binance", symbol, side, kind, Decimal(quantity), price)
