"""The two transactions of an order, as bodies: ``intend`` before the venue is called, ``record`` after it answered.

Both expect the fund's row to be locked by the caller, and append to the event stream last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from alphapulse.domain.decisions import Decision
from alphapulse.domain.events import EventKind
from alphapulse.domain.funds import Fund
from alphapulse.domain.orders import Order, OrderStatus
from alphapulse.domain.portfolio import EquityPoint, Portfolio, Position, Price
from alphapulse.domain.risk import Verdict
from alphapulse.events import store as event_store
from alphapulse.ports.database import Transaction
from alphapulse.trading import book_store, decision_store, order_store
from alphapulse.trading.settlement import Absorbed, Outcome, Step, absorb, book_fills

#: Runs inside the transaction that completes a bar.
After = Callable[[Transaction], Awaitable[None]]

_FIRST_STEP = {OrderStatus.INTENDED: "intend", OrderStatus.DENIED: "deny"}


@dataclass(frozen=True, slots=True)
class Mark:
    """What an equity point is made of. prices: of everything that may be held. benchmark: base currency."""

    at: datetime
    prices: Mapping[str, Price]
    benchmark: Decimal


@dataclass(frozen=True, slots=True)
class Recorded:
    """orders: as they stand now, by id. fills: how many were new."""

    orders: tuple[Order, ...]
    fills: int


async def intend(
    tx: Transaction,
    fund: Fund,
    placed: Sequence[tuple[Order, Verdict]],
    *,
    at: datetime,
    now: datetime,
    actor: str,
    decision: Decision | None = None,
) -> None:
    """Transaction 1: the decision, its orders, denied ones too, their first history rows, and the events of both."""
    events: list[event_store.NewEvent] = []
    if decision is not None:
        await decision_store.insert(tx, decision, now)
        events.append((EventKind.DECISION_MADE, str(decision.id), at, now, _told(fund, decision)))
    if placed:
        await order_store.insert(tx, placed, now)
        steps = [(order.id, 1, Step(_FIRST_STEP[order.status], "", order.status, f"by {actor}")) for order, _ in placed]
        await order_store.add_steps(tx, steps, at, now)
        for order, _ in placed:
            kind = EventKind.ORDER_DENIED if order.status is OrderStatus.DENIED else EventKind.ORDER_INTENDED
            events.append((kind, str(order.id), at, now, _order(fund, order)))
    await event_store.append_many(tx, events)


async def record(
    tx: Transaction, fund: Fund, outcomes: Sequence[Outcome], *, at: datetime, now: datetime, mark: Mark | None = None
) -> Recorded:
    """Transaction 2: what the venue said, applied to orders, history, fills, ledger, balances and positions.

    Read and applied under the fund's lock, so an outcome that another worker applied before changes nothing.
    mark: also store the bar's equity point.
    """
    by_id = {outcome.order_id: outcome for outcome in outcomes}
    # Sorted, so that orders found again after a crash are booked in the order of an undisturbed run.
    tracked = await order_store.load(tx, sorted(by_id)) if outcomes else []
    steps_before = {each.order.id: each.steps for each in tracked}
    absorbed = [absorb(each, by_id[each.order.id]) for each in tracked]
    changed = [each for each in absorbed if each.changed]
    if changed:
        await order_store.update(tx, [each.order for each in changed], now)
        numbered = [
            (each.order.id, steps_before[each.order.id] + number, step)
            for each in changed
            for number, step in enumerate(each.steps, 1)
        ]
        await order_store.add_steps(tx, numbered, at, now)
    fills = sum(len(each.fills) for each in changed)
    events = [event for each in changed for event in _events(fund, each, at, now)]
    if fills or mark is not None:
        balances, positions = await book_store.books(tx, fund.id)
        if fills:
            booking = book_fills(changed, positions, balances)
            balances, positions = booking.balances, booking.positions
            await order_store.add_fills(tx, fund.id, changed, now)
            await book_store.write(tx, fund.id, booking, now)
        if mark is not None:
            events += await _mark(tx, fund, mark, balances, positions, now)
    await event_store.append_many(tx, events)
    return Recorded(tuple(each.order for each in absorbed), fills)


async def _mark(
    tx: Transaction,
    fund: Fund,
    mark: Mark,
    balances: Mapping[str, Decimal],
    positions: Mapping[str, Position],
    now: datetime,
) -> Iterable[event_store.NewEvent]:
    portfolio = Portfolio(fund.id, fund.config.base_currency, balances, positions, mark.prices)
    point = EquityPoint(mark.at, portfolio.equity, portfolio.cash, mark.benchmark)
    if not await book_store.mark(tx, fund.id, point, now):
        return ()
    payload = {"fund": fund.name, "equity": point.equity, "cash": point.cash, "benchmark": point.benchmark}
    return ((EventKind.EQUITY_MARKED, str(fund.id), mark.at, now, payload),)


def _events(fund: Fund, each: Absorbed, at: datetime, now: datetime) -> list[event_store.NewEvent]:
    order = each.order
    subject = str(order.id)
    events: list[event_store.NewEvent] = [
        (
            EventKind.FILL_BOOKED,
            subject,
            fill.at,
            now,
            {"fund": fund.name, "symbol": order.request.symbol, "side": order.request.side, "fill": fill},
        )
        for fill in each.fills
    ]
    events.append((EventKind.ORDER_CHANGED, subject, at, now, _order(fund, order)))
    if each.attention:
        attention = {"fund": fund.name, "problem": each.attention, "client_order_id": order.client_order_id}
        events.append((EventKind.RECONCILE_ATTENTION, subject, at, now, attention))
    return events


def _order(fund: Fund, order: Order) -> dict[str, Any]:
    request = order.request
    return {
        "fund": fund.name,
        "symbol": request.symbol,
        "side": request.side,
        "type": request.type,
        "quantity": request.quantity,
        "limit_price": request.limit_price,
        "status": order.status,
        "filled_quantity": order.filled_quantity,
        "average_price": order.average_price,
        "reason": order.reason,
        "denials": order.denials,
    }


def _told(fund: Fund, decision: Decision) -> dict[str, Any]:
    return {
        "fund": fund.name,
        "equity": decision.equity,
        "orders": sum(order.verdict.approved for order in decision.orders),
        "denied": sum(not order.verdict.approved for order in decision.orders),
        "convictions": {view.symbol: view.consensus.conviction for view in decision.symbols},
    }
