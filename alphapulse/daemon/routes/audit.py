"""The audit log of the caller's tenant, or of the platform."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from alphapulse.audit import store
from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page_by_sequence
from alphapulse.daemon.bodies import Limit, Sequence, Time
from alphapulse.daemon.routing import add
from alphapulse.domain.audit import ChainedEvent, ChainVerdict
from alphapulse.domain.tenancy import PLATFORM, Permission


async def listed(
    call: Annotated[Call, allow(Permission.AUDIT_READ)],
    actor: str | None = None,
    action: str | None = None,
    since: Time | None = None,
    until: Time | None = None,
    limit: Limit = 100,
    before: Sequence | None = None,
) -> Response:
    """Newest first."""
    async with call.services.database.transaction(_chain(call)) as tx:
        found = await store.list_events(
            tx, actor=actor, action=action, since=since, until=until, limit=limit, before=before
        )
    return page_by_sequence(found, limit)


async def verify(call: Annotated[Call, allow(Permission.AUDIT_READ)]) -> Response:
    """Hash the whole chain again."""
    async with call.services.database.transaction(_chain(call)) as tx:
        return answer(await store.verify(tx))


def routes(router: APIRouter) -> None:
    add(router, "GET", "/audit", listed, Page[ChainedEvent])
    add(router, "GET", "/audit/verify", verify, ChainVerdict)


def _chain(call: Call) -> UUID:
    return PLATFORM if call.caller.tenant_id is None else call.caller.tenant_id
