"""The plan of the caller's tenant, and what it uses of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import answer
from alphapulse.daemon.bodies import Body, Money
from alphapulse.daemon.routing import add
from alphapulse.domain.plans import PlanStanding
from alphapulse.domain.tenancy import Permission


class Overage(Body):
    cap: Money | None = None


async def show(call: Annotated[Call, allow(Permission.FUNDS_READ)]) -> Response:
    """The tier, its limits, what is used of them, and what lies beyond."""
    return answer(await call.services.metering.standing(call.tenant_id))


async def overage(call: Annotated[Call, allow(Permission.PLAN_WRITE)], body: Overage) -> Response:
    """Have what lies beyond the limits billed, up to ``cap`` in a calendar month; null: it is refused instead."""
    return answer(await call.services.metering.set_cap(call.tenant_id, body.cap, actor=call.caller.actor))


def routes(router: APIRouter) -> None:
    add(router, "GET", "/plan", show, PlanStanding)
    add(router, "PUT", "/plan/overage", overage, PlanStanding)
