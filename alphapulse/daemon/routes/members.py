"""Members of the caller's tenant."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Line
from alphapulse.daemon.routing import add
from alphapulse.domain.tenancy import Member, Permission


class NewMember(Body):
    email: Line
    role: Line
    password: str | None = None


async def listed(call: Annotated[Call, allow(Permission.MEMBERS_READ)]) -> Response:
    """By e-mail."""
    return page(await call.services.tenancy.list_members(call.tenant_id))


async def create(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], body: NewMember) -> Response:
    """Add a user. password: needed; it opens this tenant to them, and no other."""
    added = await call.services.tenancy.add_member(
        call.tenant_id,
        body.email,
        body.role,
        body.password,
        actor=call.caller.actor,
    )
    return answer(added, 201)


async def remove(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], email: str) -> Response:
    """Take a user out, and end their sessions and keys here. The last tenant admin stays."""
    return answer(await call.services.tenancy.remove_member(call.tenant_id, email, actor=call.caller.actor))


def routes(router: APIRouter) -> None:
    add(router, "GET", "/members", listed, Page[Member])
    add(router, "POST", "/members", create, Member, status=201)
    add(router, "DELETE", "/members/{email}", remove, Member)
