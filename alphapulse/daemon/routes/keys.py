"""API keys of the caller's tenant, or of the platform."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Line, Time
from alphapulse.daemon.routing import add
from alphapulse.domain.tenancy import ApiKey, Permission


class NewKey(Body):
    name: Line
    role: Line
    expires_at: Time | None = None


async def listed(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)]) -> Response:
    """Newest first, revoked ones too; never the secret."""
    return page(await call.services.tenancy.list_keys(call.caller))


async def create(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], body: NewKey) -> Response:
    """The only answer that carries the key."""
    made = await call.services.tenancy.create_key(
        call.caller, name=body.name, role=body.role, expires_at=body.expires_at
    )
    return answer(made, 201)


async def revoke(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], key_id: UUID) -> Response:
    """The key is refused everywhere within 5 s."""
    await call.services.tenancy.revoke_key(call.caller, key_id)
    call.services.logins.forget(key_id)
    return answer({})


def routes(router: APIRouter) -> None:
    add(router, "GET", "/keys", listed, Page[ApiKey])
    add(router, "POST", "/keys", create, ApiKey, status=201)
    add(router, "DELETE", "/keys/{key_id}", revoke, dict[str, str])
