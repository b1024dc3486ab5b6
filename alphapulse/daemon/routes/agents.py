"""Agents, their signals, and how a fund uses them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Limit, Line
from alphapulse.daemon.routing import add
from alphapulse.domain.funds import Fund
from alphapulse.domain.market import parse_timeframe
from alphapulse.domain.signals import AgentInfo, Signal
from alphapulse.domain.tenancy import Permission
from alphapulse.errors import NotFound


class AgentSettings(Body):
    fund: Line
    agent: Line
    enabled: bool | None = None
    weight: float | None = None
    parameters: dict[str, float] | None = None


async def listed(call: Annotated[Call, allow(Permission.AGENTS_READ)]) -> Response:
    """Every agent with its formula, source and parameters."""
    return page(call.services.agents.catalogue())


async def signals(
    call: Annotated[Call, allow(Permission.AGENTS_READ)],
    agent: str | None = None,
    venue: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
    limit: Limit = 100,
) -> Response:
    """Stored signals, newest first: those that a configuration of your own funds asked for."""
    found = await call.services.agents.list_signals(
        tenant_id=call.caller.tenant_id,
        agent=agent,
        venue=venue,
        symbol=symbol,
        timeframe=None if timeframe is None else parse_timeframe(timeframe),
        limit=limit,
    )
    return page(found)


async def show(call: Annotated[Call, allow(Permission.AGENTS_READ)], name: str) -> Response:
    """One agent."""
    found = next((agent for agent in call.services.agents.catalogue() if agent.name == name), None)
    if found is None:
        raise NotFound(f"no agent {name[:60]!r}", fix="See `alphapulse agents list`.")
    return answer(found)


async def configure(call: Annotated[Call, allow(Permission.AGENTS_WRITE)], body: AgentSettings) -> Response:
    """Change how a fund uses an agent, from the next bar on; what is left out stays."""
    changed = await call.services.funds.set_agent(
        call.tenant_id,
        body.fund,
        body.agent,
        enabled=body.enabled,
        weight=body.weight,
        parameters=body.parameters,
        actor=call.caller.actor,
    )
    return answer(changed)


def routes(router: APIRouter) -> None:
    add(router, "GET", "/agents", listed, Page[AgentInfo])
    add(router, "GET", "/agents/signals", signals, Page[Signal])
    add(router, "GET", "/agents/{name}", show, AgentInfo)
    add(router, "POST", "/agents/config", configure, Fund)
