"""Orders and their life: request, intent, what the venue says, fills.

An order is two transactions with an idempotent submit between them. The intent is committed first,
under a client order id that derives from what caused it, so that a crash at any instant leaves a row
that says what to look up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal
from uuid import UUID, uuid5

from alphapulse.domain.market import Timeframe, parse_symbol, parse_venue
from alphapulse.domain.money import ZERO
from alphapulse.errors import Conflict, InvalidInput


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a purchase, -1 for a sale, of the base currency."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"


class OrderStatus(StrEnum):
    DENIED = "denied"  # refused by our risk checks; never reached the venue
    INTENDED = "intended"  # committed here; the venue may or may not have it
    UNKNOWN = "unknown"  # the venue did not answer the submit; being looked up
    OPEN = "open"  # the venue has it, nothing filled yet
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"  # refused by the venue, definitively
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self in FINAL

    @property
    def is_live(self) -> bool:
        """May still trade: the venue has it, or may have it."""
        return self not in FINAL


#: What a list of orders is narrowed to: one status, or all that may still trade.
OrderFilter = OrderStatus | Literal["live"]

FINAL = frozenset(
    {
        OrderStatus.DENIED,
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.REJECTED,
        OrderStatus.EXPIRED,
    }
)


#: Nobody knows yet whether the venue has it.
NOT_SENT = frozenset({OrderStatus.INTENDED, OrderStatus.UNKNOWN})


class OrderEvent(StrEnum):
    ACCEPT = "accept"
    LOSE_ANSWER = "lose_answer"
    FILL_PART = "fill_part"
    FILL_REST = "fill_rest"
    CANCEL = "cancel"
    REJECT = "reject"
    EXPIRE = "expire"


_S, _E = OrderStatus, OrderEvent
#: Every legal move. A pair that is not here is refused.
MOVES: dict[tuple[OrderStatus, OrderEvent], OrderStatus] = {
    (_S.INTENDED, _E.ACCEPT): _S.OPEN,
    (_S.INTENDED, _E.LOSE_ANSWER): _S.UNKNOWN,
    (_S.INTENDED, _E.FILL_PART): _S.PARTIALLY_FILLED,
    (_S.INTENDED, _E.FILL_REST): _S.FILLED,
    (_S.INTENDED, _E.CANCEL): _S.CANCELLED,
    (_S.INTENDED, _E.REJECT): _S.REJECTED,
    (_S.INTENDED, _E.EXPIRE): _S.EXPIRED,
    (_S.UNKNOWN, _E.ACCEPT): _S.OPEN,
    (_S.UNKNOWN, _E.LOSE_ANSWER): _S.UNKNOWN,
    (_S.UNKNOWN, _E.FILL_PART): _S.PARTIALLY_FILLED,
    (_S.UNKNOWN, _E.FILL_REST): _S.FILLED,
    (_S.UNKNOWN, _E.CANCEL): _S.CANCELLED,
    (_S.UNKNOWN, _E.REJECT): _S.REJECTED,
    (_S.UNKNOWN, _E.EXPIRE): _S.EXPIRED,
    (_S.OPEN, _E.FILL_PART): _S.PARTIALLY_FILLED,
    (_S.OPEN, _E.FILL_REST): _S.FILLED,
    (_S.OPEN, _E.CANCEL): _S.CANCELLED,
    (_S.OPEN, _E.REJECT): _S.REJECTED,
    (_S.OPEN, _E.EXPIRE): _S.EXPIRED,
    (_S.PARTIALLY_FILLED, _E.FILL_PART): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.FILL_REST): _S.FILLED,
    (_S.PARTIALLY_FILLED, _E.CANCEL): _S.CANCELLED,
    (_S.PARTIALLY_FILLED, _E.EXPIRE): _S.EXPIRED,
}


def move(status: OrderStatus, event: OrderEvent) -> OrderStatus:
    """The status after ``event``. Raises Conflict where the table has no such move."""
    try:
        return MOVES[status, event]
    except KeyError:
        raise Conflict(f"an order that is {status} cannot {event.replace('_', ' ')}") from None


#: Namespace of everything whose id derives from its cause.
_NAMESPACE = UUID("6f1c6a52-8f0e-5b7d-9a53-3d0b6a6f2c11")


def derived_id(*parts: object) -> UUID:
    """The same UUID for the same parts, always: a repeat after a crash finds what the first try wrote."""
    return uuid5(_NAMESPACE, "\x1f".join(str(part) for part in parts))


def decision_id(fund_id: UUID, at: datetime) -> UUID:
    return derived_id("decision", fund_id, at.isoformat())


def client_order_id(fund_id: UUID, cause: str, leg: str) -> str:
    """The id that the venue is given: 36 characters, a UUID (Kraken takes nothing longer or shaped otherwise).

    cause: the decision id, or a manual order's idempotency key. leg: which order of that cause.
    """
    return str(derived_id("order", fund_id, cause, leg))


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What somebody wants traded, before any check.

    quantity: base currency, above zero. limit_price: quote currency; None for a market order.
    leg: names the order within its cause (the symbol, for orders of a decision).
    """

    venue: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    limit_price: Decimal | None = None
    leg: str = ""

    def __post_init__(self) -> None:
        parse_venue(self.venue)
        parse_symbol(self.symbol)
        if self.quantity <= ZERO:
            raise InvalidInput(
                "quantity must be above zero",
                field="quantity",
                fix="Give the amount of base currency to trade; the side says the direction.",
            )
        if (self.type is OrderType.LIMIT) != (self.limit_price is not None):
            raise InvalidInput("a limit order needs limit_price, a market order takes none", field="limit_price")
        if self.limit_price is not None and self.limit_price <= ZERO:
            raise InvalidInput("limit_price must be above zero", field="limit_price")

    def fingerprint(self) -> str:
        """Equal for equal requests; tells a repeated request from a reused key."""
        price = "" if self.limit_price is None else self.limit_price.normalize()
        return str(derived_id(self.venue, self.symbol, self.side, self.type, self.quantity.normalize(), price))


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. price: quote per base; quantity: base, above zero; fee: in fee_asset, >= 0.

    venue_fill_id: the venue's id, unique within the order. at: market time.
    """

    venue_fill_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    at: datetime

    def __post_init__(self) -> None:
        if self.price <= ZERO or self.quantity <= ZERO or self.fee < ZERO:
            raise InvalidInput("a fill needs price and quantity above zero and a fee not below zero", field="fill")


@dataclass(frozen=True, slots=True)
class Order:
    """One row of the order book of ours. at: market time of the cause; quantities in base currency.

    average_price: quote per base over all fills, None before the first.
    reason: why it was denied, rejected, cancelled or expired; empty otherwise. denials: the coded risk lines.
    timeframe: length of the bars that the fund decided on; a simulated venue fills the order against such bars.
    """

    id: UUID
    fund_id: UUID
    client_order_id: str
    request: OrderRequest
    status: OrderStatus
    at: datetime
    decision_id: UUID | None = None
    filled_quantity: Decimal = ZERO
    average_price: Decimal | None = None
    venue_order_id: str | None = None
    cancel_requested_at: datetime | None = None
    reason: str = ""
    denials: tuple[str, ...] = field(default=())
    timeframe: Timeframe = Timeframe.H1

    @property
    def remaining(self) -> Decimal:
        return self.request.quantity - self.filled_quantity


class VenueState(StrEnum):
    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class VenueReport:
    """What a venue says of one order. fills: all of them so far, oldest first, not only new ones."""

    venue_order_id: str
    state: VenueState
    fills: tuple[Fill, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FillRecord:
    """A booked fill with the order it belongs to. price: quote per base; quantity: base; fee: in fee_asset."""

    order_id: UUID
    fund_id: UUID
    symbol: str
    side: Side
    venue_fill_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderEventRecord:
    """One step of an order's life. sequence: 1, 2, 3 ... within the order; status_before is empty for the first.

    event: an OrderEvent, or ``intend``, ``deny``, ``request_cancel``, ``attention``.
    at: market time; recorded_at: wall time.
    """

    order_id: UUID
    sequence: int
    event: str
    status_before: str
    status_after: str
    detail: str
    at: datetime
    recorded_at: datetime
