"""What a venue's answer does to an order and to the books. Pure: the desk fetches before and writes after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from alphapulse.domain.money import ZERO, book, plain
from alphapulse.domain.orders import (
    MOVES,
    Fill,
    Order,
    OrderEvent,
    OrderStatus,
    VenueReport,
    VenueState,
    move,
)
from alphapulse.domain.portfolio import Entry, Position, apply_fill, balances, fill_entry


@dataclass(frozen=True, slots=True)
class Tracked:
    """A stored order with what is booked of it.

    booked: venue fill ids. steps: how many order events it has. recorded_at: wall time of its intent.
    """

    order: Order
    booked: frozenset[str]
    steps: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt to hand an order over, or to look it up, ended.

    lost: an answer got lost on the way. withdrawn: why an order that certainly never reached the venue will not
    be sent any more. attention: why a person must look at it. Nothing set: the venue could not be reached; later.
    """

    order_id: UUID
    report: VenueReport | None = None
    lost: bool = False
    withdrawn: str = ""
    attention: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of an order's history."""

    event: str
    before: str
    after: str
    detail: str


@dataclass(frozen=True, slots=True)
class Absorbed:
    """An order after an outcome. fills: the new ones. attention: set only when it was not said before."""

    order: Order
    steps: tuple[Step, ...]
    fills: tuple[Fill, ...]
    attention: str = ""

    @property
    def changed(self) -> bool:
        return bool(self.steps)


_ENDS = {
    VenueState.CANCELLED: OrderEvent.CANCEL,
    VenueState.REJECTED: OrderEvent.REJECT,
    VenueState.EXPIRED: OrderEvent.EXPIRE,
}


def absorb(tracked: Tracked, outcome: Outcome) -> Absorbed:
    """The order after ``outcome``. Repeating it, or handing in an older report, changes nothing.

    A fill is real whatever we thought of the order: it is booked on a final one too, and a person is told.
    """
    order = tracked.order
    steps: list[Step] = []
    fills: list[Fill] = []
    if order.status.is_final:
        return _late(tracked, outcome)
    if outcome.lost and order.status is OrderStatus.INTENDED:
        order = _move(order, OrderEvent.LOSE_ANSWER, "the venue did not say whether it acted", steps)
    if outcome.withdrawn:
        order = _move(replace(order, reason=outcome.withdrawn), OrderEvent.CANCEL, outcome.withdrawn, steps)
    problem = outcome.attention
    if outcome.report is not None:
        report = outcome.report
        order = replace(order, venue_order_id=report.venue_order_id, reason="")
        for fill in report.fills:
            if fill.venue_fill_id not in tracked.booked:
                order = _fill(order, fill, steps)
                fills.append(fill)
        order = _state(order, report, steps)
        problem = problem or _disagreement(order, report)
    if problem:
        order = replace(order, reason=problem)
    if not problem or problem == tracked.order.reason:
        return Absorbed(order, tuple(steps), tuple(fills))
    steps.append(Step("attention", order.status, order.status, problem))
    return Absorbed(order, tuple(steps), tuple(fills), problem)


def _late(tracked: Tracked, outcome: Outcome) -> Absorbed:
    """What comes in for an order that is final here: nothing but fills that nobody booked counts."""
    order = tracked.order
    new = [fill for fill in outcome.report.fills if fill.venue_fill_id not in tracked.booked] if outcome.report else []
    if not new:
        return Absorbed(order, (), ())
    problem = f"the venue filled an order that is {order.status} here"
    steps: list[Step] = []
    for fill in new:
        order = _fill(order, fill, steps)
    steps.append(Step("attention", order.status, order.status, problem))
    return Absorbed(replace(order, reason=problem), tuple(steps), tuple(new), problem)


def _move(order: Order, event: OrderEvent, detail: str, steps: list[Step]) -> Order:
    after = move(order.status, event)
    steps.append(Step(event, order.status, after, detail))
    return replace(order, status=after)


def _fill(order: Order, fill: Fill, steps: list[Step]) -> Order:
    filled = order.filled_quantity + fill.quantity
    worth = order.filled_quantity * (order.average_price or ZERO) + fill.quantity * fill.price
    event = OrderEvent.FILL_PART if filled < order.request.quantity else OrderEvent.FILL_REST
    detail = f"quantity={plain(fill.quantity)} price={plain(fill.price)} fee={plain(fill.fee)} {fill.fee_asset}"
    if order.status.is_final:  # the venue filled more than was asked: it is real, so it is booked
        steps.append(Step(event, order.status, order.status, detail))
        moved = order
    else:
        moved = _move(order, event, detail, steps)
    return replace(moved, filled_quantity=filled, average_price=book(worth / filled))


def _state(order: Order, report: VenueReport, steps: list[Step]) -> Order:
    """Moves by what the venue says beside the fills; a report older than what is known moves nothing."""
    if order.status.is_final:
        return order
    if report.state is VenueState.OPEN:
        if (order.status, OrderEvent.ACCEPT) in MOVES:
            return _move(order, OrderEvent.ACCEPT, report.venue_order_id, steps)
        return order
    event = _ENDS.get(report.state)
    if event is None:
        return order
    if (order.status, event) not in MOVES:
        event = OrderEvent.CANCEL  # rejected after a part was filled: what is left will not trade
    return _move(replace(order, reason=report.reason or event), event, report.reason, steps)


def _disagreement(order: Order, report: VenueReport) -> str:
    if order.filled_quantity > order.request.quantity:
        return f"the venue filled {plain(order.filled_quantity)}, more than the {plain(order.request.quantity)} ordered"
    if report.state is VenueState.FILLED and not order.status.is_final:
        return f"the venue says filled, its fills add up to {plain(order.filled_quantity)}"
    return ""


@dataclass(frozen=True, slots=True)
class Booking:
    """What new fills do to the books. positions, balances: every one after the fills; changed_*: keys to be written."""

    entries: tuple[Entry, ...]
    positions: dict[str, Position]
    balances: dict[str, Decimal]
    changed_positions: frozenset[str]
    changed_balances: frozenset[str]


def book_fills(
    absorbed: Iterable[Absorbed], positions: Mapping[str, Position], wallet: Mapping[str, Decimal]
) -> Booking:
    """The books after the new fills of ``absorbed``, in that order."""
    entries: list[Entry] = []
    after, held = dict(positions), dict(wallet)
    touched: set[str] = set()
    for each in absorbed:
        symbol, side = each.order.request.symbol, each.order.request.side
        for fill in each.fills:
            entries.append(fill_entry(each.order.id, symbol, side, fill))
            after[symbol] = apply_fill(after.get(symbol, Position(symbol)), side, fill)
            touched.add(symbol)
    moved = balances(entries)
    for asset, amount in moved.items():
        held[asset] = held.get(asset, ZERO) + amount
    return Booking(tuple(entries), after, held, frozenset(touched), frozenset(moved))
