"""Orders, fills and decisions, read and explained."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import PlainValidator, WithJsonSchema

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Limit, Unfit
from alphapulse.daemon.market_time import newest_close
from alphapulse.daemon.routing import add
from alphapulse.domain.decisions import Decision, Explanation
from alphapulse.domain.orders import FillRecord, Order, OrderFilter, OrderStatus
from alphapulse.domain.tenancy import Permission

Cursor = Annotated[str | None, Query(max_length=200, description="``next`` of the page before.")]
_STATUSES = (*(status.value for status in OrderStatus), "live")


def _status(value: Any) -> OrderFilter:
    if value not in _STATUSES:
        raise Unfit(f"{str(value)[:40]!r} is not one of {', '.join(_STATUSES)}", f"Use one of {', '.join(_STATUSES)}.")
    return "live" if value == "live" else OrderStatus(value)


Status = Annotated[OrderFilter, PlainValidator(_status), WithJsonSchema({"type": "string", "enum": list(_STATUSES)})]


async def listed(
    call: Annotated[Call, allow(Permission.ORDERS_READ)],
    fund: str | None = None,
    status: Status | None = None,
    limit: Limit = 50,
    before: Cursor = None,
) -> Response:
    """The newest created first. status: ``live`` is every order that may still trade."""
    found, following = await call.services.books.orders(
        call.tenant_id, fund=fund, status=status, limit=limit, before=before
    )
    return page(found, following)


async def show(call: Annotated[Call, allow(Permission.ORDERS_READ)], order_id: UUID) -> Response:
    """One order."""
    return answer(await call.services.books.order(call.tenant_id, order_id))


async def cancel(call: Annotated[Call, allow(Permission.ORDERS_WRITE)], order_id: UUID) -> Response:
    """Withdraw what is left of an order; 409 when it is final."""
    services = call.services
    order = await services.books.order(call.tenant_id, order_id)
    fund = await services.funds.get(call.tenant_id, str(order.fund_id))
    as_of = await newest_close(services, fund)
    return answer(await services.desk.cancel(fund, order_id, as_of=as_of, actor=call.caller.actor))


async def explain(call: Annotated[Call, allow(Permission.ORDERS_READ)], order_id: UUID) -> Response:
    """From the order back to its decision, each agent's numbers, and every check."""
    return answer(await call.services.books.explain(call.tenant_id, order_id))


async def fills(
    call: Annotated[Call, allow(Permission.ORDERS_READ)],
    fund: str | None = None,
    order: UUID | None = None,
    limit: Limit = 50,
    before: Cursor = None,
) -> Response:
    """Executions, the newest booked first."""
    found, following = await call.services.books.fills(
        call.tenant_id, fund=fund, order=order, limit=limit, before=before
    )
    return page(found, following)


async def decisions(call: Annotated[Call, allow(Permission.FUNDS_READ)], fund: str, limit: Limit = 20) -> Response:
    """What a fund decided and why, newest first."""
    return page(await call.services.books.decisions(call.tenant_id, fund, limit=limit))


def routes(router: APIRouter) -> None:
    add(router, "GET", "/orders", listed, Page[Order])
    add(router, "GET", "/orders/{order_id}", show, Order)
    add(router, "POST", "/orders/{order_id}/cancel", cancel, Order)
    add(router, "GET", "/orders/{order_id}/explain", explain, Explanation)
    add(router, "GET", "/fills", fills, Page[FillRecord])
    add(router, "GET", "/decisions", decisions, Page[Decision])
