"""Small answers for tests of the client and of what is printed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from alphapulse.domain.decisions import Decision, DecisionState, Explanation, PlannedOrder, SymbolView
from alphapulse.domain.funds import AgentChoice, Fund, FundConfig, FundMode, FundState
from alphapulse.domain.market import Series, Timeframe
from alphapulse.domain.orders import (
    FillRecord,
    Order,
    OrderEventRecord,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
)
from alphapulse.domain.risk import Check, RiskLimits, Verdict
from alphapulse.domain.signals import Signal, Vote, consensus

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
FUND_ID = UUID("00000000-0000-4000-8000-00000000f0d0")
ORDER_ID = UUID("1a2b3c4d-0000-4000-8000-000000000001")
DECISION_ID = UUID("9e8d7c6b-0000-4000-8000-000000000002")


def fund(name: str = "demo") -> Fund:
    config = FundConfig(
        venue="synthetic",
        timeframe=Timeframe.H4,
        base_currency="USDT",
        universe=("BTC/USDT", "ETH/USDT"),
        agents=(AgentChoice("trend", {"fast": 12.0, "slow": 48.0}), AgentChoice("mean_reversion", {}, 2.0)),
        limits=RiskLimits(),
    )
    return Fund(FUND_ID, FUND_ID, name, FundMode.PAPER, FundState.STOPPED, Decimal(100_000), 3, config, AT)


def request(quantity: str = "0.25", limit_price: str | None = None) -> OrderRequest:
    kind = OrderType.MARKET if limit_price is None else OrderType.LIMIT
    price = None if limit_price is None else Decimal(limit_price)
    return OrderRequest("synthetic", "BTC/USDT", Side.BUY, kind, Decimal(quantity), price, "BTC/USDT")


def order(status: OrderStatus = OrderStatus.FILLED, order_id: UUID = ORDER_ID) -> Order:
    return Order(
        id=order_id,
        fund_id=FUND_ID,
        client_order_id=str(order_id),
        request=request(),
        status=status,
        at=AT,
        decision_id=DECISION_ID,
        filled_quantity=Decimal("0.25"),
        average_price=Decimal("61000.5"),
    )


def decision() -> Decision:
    series = Series("synthetic", "BTC/USDT", Timeframe.H4)
    votes = (
        Vote(Signal("trend", "{}", series, AT, 0.6, 0.8, "The fast mean is above the slow one.", {"gap": 0.031}), 1.0),
        Vote(Signal("mean_reversion", "{}", series, AT, None, 0.0, "Too few bars."), 2.0),
    )
    view = SymbolView("BTC/USDT", Decimal(61000), votes, consensus(votes), 0.012, 0.31)
    verdict = Verdict(checks())
    return Decision(
        DECISION_ID,
        FUND_ID,
        AT,
        DecisionState.MADE,
        3,
        Decimal("100412.11"),
        "inverse_volatility",
        (view,),
        (PlannedOrder(request(), verdict, ORDER_ID),),
    )


def checks() -> tuple[Check, ...]:
    return (
        Check("TRADING_HALTED", True, "halts=none"),
        Check("NOTIONAL_EXCEEDS_FREE_BALANCE", True, "notional=15250 free=90000"),
    )


def explanation() -> Explanation:
    step = OrderEventRecord(ORDER_ID, 1, "intend", "", "intended", "", AT, AT)
    fill = FillRecord(
        ORDER_ID,
        FUND_ID,
        "BTC/USDT",
        Side.BUY,
        "f1",
        Decimal("61000.5"),
        Decimal("0.25"),
        Decimal("15.25"),
        "USDT",
        AT,
    )
    return Explanation(order(), "demo", decision(), checks(), (step,), (fill,))
