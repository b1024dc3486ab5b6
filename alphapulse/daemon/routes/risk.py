"""Halts: nothing trades under one, until somebody resumes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import StringConstraints

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Line, one_of
from alphapulse.daemon.routing import add
from alphapulse.domain.risk import Halt, HaltScope
from alphapulse.domain.tenancy import Permission
from alphapulse.errors import InvalidInput


class HaltOrder(Body):
    """fund: name or id, with scope fund only."""

    scope: Annotated[HaltScope, *one_of(HaltScope)]
    fund: Line | None = None
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]


async def listed(call: Annotated[Call, allow(Permission.RISK_READ)]) -> Response:
    """Halts in force for the caller's tenant, the platform's too."""
    return page(await call.services.halts.list(call.caller.tenant_id))


async def halt(call: Annotated[Call, allow(Permission.RISK_HALT)], body: HaltOrder) -> Response:
    """Stop trading of a fund, of the tenant, or (platform admins) of everybody.

    The halt stands when the answer comes; purchases that rest at a venue are withdrawn by a job right after it.
    """
    _check(call, body)
    tenant_id = None if body.scope is HaltScope.PLATFORM else call.tenant_id
    made = await call.services.halts.halt(
        body.scope, tenant_id=tenant_id, fund=body.fund, reason=body.reason, actor=call.caller.actor
    )
    await call.services.jobs.run("reconcile", call.caller.actor)
    return answer(made, 201)


async def resume(call: Annotated[Call, allow(Permission.RISK_RESUME)], body: HaltOrder) -> Response:
    """Lift the halts of exactly this scope."""
    _check(call, body)
    tenant_id = None if body.scope is HaltScope.PLATFORM else call.tenant_id
    lifted = await call.services.halts.resume(
        body.scope, tenant_id=tenant_id, fund=body.fund, reason=body.reason, actor=call.caller.actor
    )
    return answer(lifted)


def routes(router: APIRouter) -> None:
    add(router, "GET", "/risk/halts", listed, Page[Halt])
    add(router, "POST", "/risk/halt", halt, Halt, status=201)
    add(router, "POST", "/risk/resume", resume, Halt)


def _check(call: Call, body: HaltOrder) -> None:
    if body.scope is HaltScope.PLATFORM:
        call.caller.require(Permission.PLATFORM_WRITE)
    if (body.scope is HaltScope.FUND) != (body.fund is not None):
        raise InvalidInput(
            "fund: needed for scope fund, and for no other", field="fund", fix="Name a fund with scope fund only."
        )
