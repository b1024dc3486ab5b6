"""Support sessions: leave for the platform to change one tenant for a while."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Line
from alphapulse.daemon.routing import add
from alphapulse.domain.support import SupportSession
from alphapulse.domain.tenancy import Permission


class NewSession(Body):
    reason: Line
    ticket: Line
    minutes: int = 30


async def open_session(call: Annotated[Call, allow(Permission.PLATFORM_WRITE)], body: NewSession) -> Response:
    """Open support of the tenant in X-Tenant for some minutes. Its admins get a mail; its stream and audit tell."""
    made = await call.services.support.open(
        call.caller, call.tenant_id, reason=body.reason, ticket=body.ticket, minutes=body.minutes
    )
    return answer(made, 201)


async def close(call: Annotated[Call, allow(Permission.PLATFORM_WRITE)]) -> Response:
    """End one's own support session in the tenant, before its time."""
    return page(await call.services.support.close(call.caller, call.tenant_id))


async def listed(call: Annotated[Call, allow(Permission.AUDIT_READ)]) -> Response:
    """Every support session of the tenant, newest first."""
    return page(await call.services.support.sessions(call.tenant_id))


def routes(router: APIRouter) -> None:
    add(router, "POST", "/support", open_session, SupportSession, status=201)
    add(router, "DELETE", "/support", close, Page[SupportSession])
    add(router, "GET", "/support", listed, Page[SupportSession])
