"""Where people are logged in."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from alphapulse.daemon.access import Call, allow, logged_in
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.routing import add
from alphapulse.domain.access import Session
from alphapulse.domain.permissions import Permission


async def listed(call: Annotated[Call, logged_in()]) -> Response:
    """One's own, in every tenant, newest first."""
    return page(await call.services.sessions.list_own(call.caller))


async def everyones(call: Annotated[Call, allow(Permission.MEMBERS_READ)]) -> Response:
    """Of every member of the tenant, newest first."""
    return page(await call.services.sessions.list_everyones(call.caller))


async def revoke(call: Annotated[Call, logged_in()], session_id: UUID) -> Response:
    """One's own, or, for who may write members, another member's. It is refused everywhere within 5 s."""
    await call.services.sessions.revoke(call.caller, session_id)
    call.services.logins.forget(session_id)
    return answer({})


async def revoke_others(call: Annotated[Call, logged_in()]) -> Response:
    """All of one's own but the one that asks; how many ended."""
    ended = await call.services.sessions.revoke_others(call.caller)
    call.services.logins.forget(*ended)
    return answer({"ended": len(ended)})


def routes(router: APIRouter) -> None:
    add(router, "GET", "/sessions", listed, Page[Session])
    add(router, "DELETE", "/sessions", revoke_others, dict[str, int])
    add(router, "GET", "/members/sessions", everyones, Page[Session])
    add(router, "DELETE", "/sessions/{session_id}", revoke, dict[str, str])
