"""Orders that a person places."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Header, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Line, Money, one_of
from alphapulse.daemon.market_time import newest_close
from alphapulse.daemon.routing import add
from alphapulse.domain.orders import Order, OrderRequest, OrderStatus, OrderType, Side
from alphapulse.domain.portfolio import Holding
from alphapulse.domain.tenancy import Permission
from alphapulse.errors import InvalidInput, LimitBreached

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", description="Required; the same key gives the first order.")
]


class NewOrder(Body):
    """Without limit_price a market order. quantity: base currency; limit_price: quote currency per unit."""

    fund: Line
    symbol: Line
    side: Annotated[Side, *one_of(Side)]
    quantity: Money
    limit_price: Money | None = None


class Closing(Body):
    """Without limit_price at the market. limit_price: quote currency per unit."""

    fund: Line
    symbol: Line
    limit_price: Money | None = None


async def place(
    call: Annotated[Call, allow(Permission.ORDERS_WRITE)], body: NewOrder, idempotency_key: Key = None
) -> Response:
    """Place an order. 201; 200 when the key was used for the same order before; 409 when a limit stands against it."""
    key = _parsed(idempotency_key)
    await call.spend_order(reduces=body.side is Side.SELL)
    fund = await call.services.funds.get(call.tenant_id, body.fund)
    request = OrderRequest(
        venue=fund.config.venue,
        symbol=body.symbol,
        side=body.side,
        type=OrderType.MARKET if body.limit_price is None else OrderType.LIMIT,
        quantity=body.quantity,
        limit_price=body.limit_price,
    )
    placed = await call.services.desk.place(
        fund, request, key=key, as_of=await newest_close(call.services, fund), actor=call.caller.actor
    )
    return _given(placed.order, repeated=placed.repeated)


async def positions(call: Annotated[Call, allow(Permission.FUNDS_READ)], fund: str | None = None) -> Response:
    """What is held, of one fund or of all."""
    return page(await call.services.books.positions(call.tenant_id, fund))


async def close(
    call: Annotated[Call, allow(Permission.ORDERS_WRITE)], body: Closing, idempotency_key: Key = None
) -> Response:
    """Sell all that a fund holds of a symbol, at the market or at a limit price."""
    key = _parsed(idempotency_key)
    fund = await call.services.funds.get(call.tenant_id, body.fund)
    placed = await call.services.desk.close_position(
        fund,
        body.symbol,
        limit_price=body.limit_price,
        key=key,
        as_of=await newest_close(call.services, fund),
        actor=call.caller.actor,
    )
    return _given(placed.order, repeated=placed.repeated)


def routes(router: APIRouter) -> None:
    repeated = {200: {"model": Order, "description": "The order that this key placed before"}}
    add(router, "POST", "/trades", place, Order, status=201, responses=repeated)
    add(router, "GET", "/positions", positions, Page[Holding])
    add(router, "POST", "/positions/close", close, Order, status=201, responses=repeated)


def _given(order: Order, *, repeated: bool) -> Response:
    if order.status is OrderStatus.DENIED:
        raise LimitBreached(
            f"the order was {order.reason or 'denied'}",
            denials=order.denials,
            fix=f"See `alphapulse orders explain {order.id}`.",
        )
    return answer(order, 200 if repeated else 201)


def _parsed(key: str | None) -> str:
    if key is None or not _KEY.fullmatch(key):
        raise InvalidInput(
            "Idempotency-Key: missing" if key is None else "Idempotency-Key: not 1 to 200 printable characters",
            field="Idempotency-Key",
            fix="Send a key of your own making, a new one for each order you mean, the same one when you repeat it.",
        )
    return key
