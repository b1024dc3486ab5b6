"""The books of a fund, or of the whole tenant."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Limit, Time
from alphapulse.daemon.market_time import newest_close
from alphapulse.daemon.routing import add
from alphapulse.domain.decisions import Decision
from alphapulse.domain.portfolio import EquityPoint, Performance, PortfolioSummary
from alphapulse.domain.tenancy import Permission


async def show(call: Annotated[Call, allow(Permission.FUNDS_READ)], fund: str | None = None) -> Response:
    """Worth, cash and positions of a fund; without one, the tenant's total."""
    return answer(await call.services.books.summary(call.tenant_id, fund))


async def history(
    call: Annotated[Call, allow(Permission.FUNDS_READ)], fund: str, since: Time | None = None, limit: Limit = 500
) -> Response:
    """Equity per bar, oldest first; without since the newest bars."""
    return page(await call.services.books.history(call.tenant_id, fund, since=since, limit=limit))


async def plan(call: Annotated[Call, allow(Permission.FUNDS_READ)], fund: str) -> Response:
    """What the fund would decide at the newest closed bar; nothing is stored, nothing is traded."""
    services = call.services
    found = await services.funds.get(call.tenant_id, fund)
    return answer(await services.cycle.plan(found, await newest_close(services, found)))


async def performance(call: Annotated[Call, allow(Permission.FUNDS_READ)], fund: str) -> Response:
    """Returns, drawdown and costs over all equity points."""
    return answer(await call.services.books.performance(call.tenant_id, fund))


async def verify(call: Annotated[Call, allow(Permission.FUNDS_READ)], fund: str) -> Response:
    """Derive the books anew from the fills and name every difference."""
    return answer({"drift": await call.services.books.verify(call.tenant_id, fund)})


def routes(router: APIRouter) -> None:
    add(router, "GET", "/portfolio", show, PortfolioSummary)
    add(router, "GET", "/portfolio/history", history, Page[EquityPoint])
    add(router, "GET", "/portfolio/plan", plan, Decision)
    add(router, "GET", "/portfolio/performance", performance, Performance)
    add(router, "GET", "/portfolio/verify", verify, dict[str, list[str]])
