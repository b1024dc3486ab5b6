"""From requests to orders of ours: ids, the situation they are judged in, verdicts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from alphapulse.domain.decisions import Decision, PlannedOrder
from alphapulse.domain.funds import Fund
from alphapulse.domain.market import Instrument
from alphapulse.domain.money import plain
from alphapulse.domain.orders import Order, OrderRequest, OrderStatus, client_order_id
from alphapulse.domain.portfolio import Portfolio, Price
from alphapulse.domain.risk import Situation, Verdict
from alphapulse.errors import IdempotencyMismatch
from alphapulse.trading.book_store import Standing

_MANUAL = "manual:"
#: Why a denied order was refused; its denials say which checks.
DENIED = "denied by our risk checks"


def manual_cause(key: str) -> str:
    """The cause of what a person asked for; never equal to a decision's."""
    return f"{_MANUAL}{key}"


def order_id(fund_id: UUID, cause: str, leg: str) -> UUID:
    """The client order id is the order's id: one name for one thing, on both sides."""
    return UUID(client_order_id(fund_id, cause, leg))


def situate(
    fund: Fund,
    standing: Standing,
    as_of: datetime,
    instruments: Mapping[str, Instrument],
    prices: Mapping[str, Price],
    *,
    live: tuple[Order, ...],
    manual: bool,
    clock: str = "bar",
) -> Situation:
    config = fund.config
    return Situation(
        portfolio=Portfolio(fund.id, config.base_currency, standing.balances, standing.positions, prices),
        instruments=instruments,
        limits=config.limits,
        as_of=as_of,
        bar_length=config.timeframe.length,
        live_orders=live,
        halts=standing.halts,
        manual=manual,
        clock=clock,
        openings=standing.openings,
    )


def new_order(
    fund: Fund, request: OrderRequest, verdict: Verdict, *, cause: str, as_of: datetime, decision: UUID | None = None
) -> Order:
    """Intended when approved, denied otherwise."""
    identity = order_id(fund.id, cause, request.leg)
    return Order(
        id=identity,
        fund_id=fund.id,
        client_order_id=str(identity),
        request=request,
        status=OrderStatus.INTENDED if verdict.approved else OrderStatus.DENIED,
        at=as_of,
        decision_id=decision,
        reason="" if verdict.approved else DENIED,
        denials=verdict.denials,
        timeframe=fund.config.timeframe,
    )


def orders_of(fund: Fund, decision: Decision) -> list[tuple[Order, Verdict]]:
    """The orders of a decision as they are first stored."""
    return [(_planned(fund, decision, planned), planned.verdict) for planned in decision.orders]


def _planned(fund: Fund, decision: Decision, planned: PlannedOrder) -> Order:
    return new_order(
        fund,
        planned.request,
        planned.verdict,
        cause=str(decision.id),
        as_of=decision.at,
        decision=decision.id,
    )


def check_repeat(known: Sequence[Order], requests: Sequence[OrderRequest], cause: str) -> None:
    """Raises IdempotencyMismatch unless ``known`` are the orders that ``requests`` placed the first time."""
    first = {order.request.leg: order.request.fingerprint() for order in known}
    if first != {request.leg: request.fingerprint() for request in requests}:
        raise reused(cause, known[0])


def reused(cause: str, first: Order) -> IdempotencyMismatch:
    """cause: as a person knows it, without what ``manual_cause`` puts before it."""
    request = first.request
    return IdempotencyMismatch(
        f"{cause.removeprefix(_MANUAL)[:80]!r} was used before for order {first.id}:"
        f" {request.side} {plain(request.quantity)} {request.symbol}",
        fix=f"Use a new Idempotency-Key for a new order; see the first one with: alphapulse orders show {first.id}",
    )
