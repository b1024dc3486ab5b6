"""The keys that tokens are signed with."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from alphapulse.daemon.access import Call, allow, services_of
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body
from alphapulse.daemon.routing import add
from alphapulse.domain.access import SigningKey
from alphapulse.domain.permissions import Permission


class Rotation(Body):
    at_once: bool = False


async def listed(call: Annotated[Call, allow(Permission.PLATFORM_READ)]) -> Response:
    """Newest first, without private parts; retired ones for thirty days."""
    return page(await call.services.signing_keys.list_keys())


async def rotate(call: Annotated[Call, allow(Permission.PLATFORM_WRITE)], body: Rotation) -> Response:
    """A new key, which signs after a minute; tokens of the old one stay good until they expire. at_once: the old one
    is known to others: its tokens are refused from now on, and clients refresh.
    """
    made = await call.services.signing_keys.rotate(actor=call.caller.actor, at_once=body.at_once)
    if body.at_once:
        call.services.logins.forget_all()
    return answer(made, 201)


async def published(request: Request) -> Response:
    """The public keys (JWKS, RFC 7517) that tokens can be checked with."""
    return answer(await services_of(request).signing_keys.published())


def routes(router: APIRouter) -> None:
    add(router, "GET", "/signing-keys", listed, Page[SigningKey])
    add(router, "POST", "/signing-keys", rotate, SigningKey, status=201)
    add(router, "GET", "/.well-known/jwks.json", published, dict[str, Any])
