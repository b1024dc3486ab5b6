from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.decisions import Decision, DecisionState, PlannedOrder, SymbolView
from alphapulse.domain.funds import AgentChoice, FundConfig
from alphapulse.domain.market import Series, Timeframe
from alphapulse.domain.orders import OrderRequest, OrderType, Side
from alphapulse.domain.risk import Check, RiskLimits, Verdict
from alphapulse.domain.signals import Consensus, Signal, Vote
from alphapulse.domain.wire import decode, encode, parse_time
from alphapulse.errors import InvalidInput

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONFIG = FundConfig(
    "binance",
    Timeframe.H4,
    "USDT",
    ("BTC/USDT", "ETH/USDT"),
    (AgentChoice("trend", {"fast": 12.0}, 2.0),),
    RiskLimits(),
)


@dataclass(frozen=True)
class Purse:
    owner: UUID
    amount: Decimal
    at: datetime
    note: str | None = None


PURSE = Purse(UUID(int=7), Decimal("0.10"), AT)


def wire_of_purse(**changes: Any) -> dict[str, Any]:
    return {"owner": str(UUID(int=7)), "amount": "0.1", "at": "2026-03-01T12:00:00Z", **changes}


def test_money_travels_as_a_string_and_times_end_in_z() -> None:
    assert encode(PURSE) == {**wire_of_purse(), "note": None}


def test_a_fund_configuration_survives_the_journey() -> None:
    assert decode(FundConfig, encode(CONFIG)) == CONFIG


def test_a_decision_with_votes_and_verdicts_survives_the_journey() -> None:
    signal = Signal("trend", "{}", Series("binance", "BTC/USDT", Timeframe.H4), AT, None, 0.0, "no data", {"n": 3.0})
    request = OrderRequest("binance", "BTC/USDT", Side.BUY, OrderType.MARKET, Decimal("0.5"), leg="BTC/USDT")
    decision = Decision(
        UUID(int=1),
        UUID(int=2),
        AT,
        DecisionState.MADE,
        3,
        Decimal(1000),
        "inverse_volatility",
        (SymbolView("BTC/USDT", Decimal(5), (Vote(signal, 1.0),), Consensus(None, 0, 1), None, 0.0),),
        (PlannedOrder(request, Verdict((Check("PRICE_COLLAR", False, "distance=9"),))),),
    )
    assert decode(Decision, encode(decision)) == decision


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (wire_of_purse(amount=0.1), "amount"),
        (wire_of_purse(amount="1e400"), "amount"),
        (wire_of_purse(amount="NaN"), "amount"),
        (wire_of_purse(at="2026-03-01T12:00:00"), "at"),
        (wire_of_purse(owner="seven"), "owner"),
        (wire_of_purse(note=3), "note"),
        (wire_of_purse(extra=1), "extra"),
        ({"owner": str(UUID(int=7))}, "amount"),
        ([], ""),
    ],
)
def test_what_is_malformed_is_refused_and_named(data: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(Purse, data)
    assert caught.value.field == field


def test_an_unknown_word_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="'3h' is not a Timeframe") as caught:
        decode(FundConfig, {**encode(CONFIG), "timeframe": "3h"})
    assert caught.value.fix == "Use one of 1m, 5m, 15m, 30m, 1h, 4h, 1d."


def test_the_path_leads_to_the_value_at_fault_however_deep_it_stands() -> None:
    data = encode(CONFIG)
    data["agents"][0]["weight"] = "heavy"
    with pytest.raises(InvalidInput, match=r"agents\[0\]\.weight"):
        decode(FundConfig, data)


@pytest.mark.parametrize("weight", [10**400, float("inf"), float("nan"), True])
def test_a_statistic_that_no_finite_float_holds_is_refused(weight: Any) -> None:
    data = encode(CONFIG)
    data["agents"][0]["weight"] = weight
    with pytest.raises(InvalidInput, match=r"agents\[0\]\.weight"):
        decode(FundConfig, data)


@given(st.decimals(min_value=-(10**14), max_value=10**14, places=12))
def test_no_amount_changes_on_the_way(amount: Decimal) -> None:
    purse = Purse(UUID(int=1), amount, AT)
    assert decode(Purse, encode(purse)).amount == amount


@given(st.datetimes(timezones=st.timezones()))
def test_any_aware_time_comes_back_as_the_same_instant_in_utc(at: datetime) -> None:
    try:
        at.astimezone(UTC)
    except OverflowError:
        return
    back = parse_time(encode(at))
    assert (back, back.tzinfo) == (at.astimezone(UTC), UTC)
