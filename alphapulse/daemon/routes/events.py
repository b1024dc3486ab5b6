"""Events of the caller's tenant, as pages; /ws streams the same."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, page
from alphapulse.daemon.bodies import Limit, Sequence
from alphapulse.daemon.routing import add
from alphapulse.domain.events import REQUIRED_PERMISSION, Event
from alphapulse.domain.tenancy import Permission
from alphapulse.events import store


async def listed(
    call: Annotated[Call, allow(Permission.EVENTS_READ)], since: Sequence = 0, limit: Limit = 100
) -> Response:
    """Events after a sequence number, oldest first; kinds that the caller may not see are left out."""
    async with call.services.database.glance(call.tenant_id) as tx:
        found = await store.read(tx, since, limit)
    seen = [event for event in found if call.caller.may(REQUIRED_PERMISSION[event.kind])]
    return page(seen, str(found[-1].sequence) if len(found) == limit else None)


def routes(router: APIRouter) -> None:
    add(router, "GET", "/events", listed, Page[Event])
