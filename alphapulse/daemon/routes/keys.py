"""API keys of the caller's tenant, or of the platform."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Line, Time
from alphapulse.daemon.routing import add
from alphapulse.domain.tenancy import ApiKey, Permission
from alphapulse.tenancy.api_keys import LONGEST_OVERLAP, OVERLAP

_LONGEST_S = int(LONGEST_OVERLAP.total_seconds())


class NewKey(Body):
    name: Line
    role: Line
    scopes: Annotated[list[Line], Field(max_length=100)] | None = None
    expires_at: Time | None = None


class KeyRotation(Body):
    overlap_s: Annotated[int, Field(ge=0, le=_LONGEST_S)] = int(OVERLAP.total_seconds())


async def listed(call: Annotated[Call, allow(Permission.MEMBERS_READ)]) -> Response:
    """Newest first, revoked ones too; never the secret."""
    return page(await call.services.keys.list_keys(call.caller))


async def create(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], body: NewKey) -> Response:
    """The only answer that carries the key. scopes: permissions of the role it is confined to."""
    made = await call.services.keys.create(
        call.caller, name=body.name, role=body.role, scopes=body.scopes, expires_at=body.expires_at
    )
    return answer(made, 201)


async def rotate(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], key_id: UUID, body: KeyRotation) -> Response:
    """A key like it with another secret. The old one stays good for overlap_s seconds, a day unless said otherwise."""
    made = await call.services.keys.rotate(call.caller, key_id, overlap=timedelta(seconds=body.overlap_s))
    call.services.logins.forget(key_id)
    return answer(made, 201)


async def revoke(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], key_id: UUID) -> Response:
    """The key is refused everywhere within 5 s."""
    await call.services.keys.revoke(call.caller, key_id)
    call.services.logins.forget(key_id)
    return answer({})


def routes(router: APIRouter) -> None:
    add(router, "GET", "/keys", listed, Page[ApiKey])
    add(router, "POST", "/keys", create, ApiKey, status=201)
    add(router, "POST", "/keys/{key_id}/rotate", rotate, ApiKey, status=201)
    add(router, "DELETE", "/keys/{key_id}", revoke, dict[str, str])
