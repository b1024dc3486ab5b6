"""The audit log of the caller's tenant, or of the platform."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from alphapulse.audit import chain, store
from alphapulse.audit.export import ExportFormat, export
from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page_by_sequence
from alphapulse.daemon.bodies import Limit, Sequence, Time, one_of
from alphapulse.daemon.routing import add
from alphapulse.domain.audit import ChainedEvent, ChainVerdict, PublishedHead, parse_head
from alphapulse.domain.tenancy import PLATFORM, Permission
from alphapulse.errors import NotFound

_MEDIA = {ExportFormat.JSONL: "application/x-ndjson", ExportFormat.CSV: "text/csv; charset=utf-8"}


async def listed(
    call: Annotated[Call, allow(Permission.AUDIT_READ)],
    actor: str | None = None,
    action: str | None = None,
    since: Time | None = None,
    until: Time | None = None,
    support: bool | None = None,  # noqa: FBT001 -- a query parameter
    limit: Limit = 100,
    before: Sequence | None = None,
) -> Response:
    """Newest first. support: only what was done in support sessions."""
    async with call.services.database.transaction(_chain(call)) as tx:
        found = await store.list_events(
            tx, actor=actor, action=action, since=since, until=until, support=bool(support), limit=limit, before=before
        )
    return page_by_sequence(found, limit)


async def verify(call: Annotated[Call, allow(Permission.AUDIT_READ)], against: str | None = None) -> Response:
    """Hash the whole chain again. against: a published head as SEQUENCE:HASH, or heads: all that the daemon keeps."""
    published = await _published(call, against)
    async with call.services.database.transaction(_chain(call)) as tx:
        return answer(await chain.verify(tx, published))


async def exported(
    call: Annotated[Call, allow(Permission.AUDIT_READ)],
    format: Annotated[ExportFormat, *one_of(ExportFormat)] = ExportFormat.JSONL,  # noqa: A002 -- the parameter's name
    since: Time | None = None,
    until: Time | None = None,
) -> Response:
    """All of it, oldest first, as lines of JSON or as CSV."""
    pages = export(call.services.database, _chain(call), format, since=since, until=until)
    return StreamingResponse(pages, media_type=_MEDIA[format])


def routes(router: APIRouter) -> None:
    add(router, "GET", "/audit", listed, Page[ChainedEvent])
    add(router, "GET", "/audit/verify", verify, ChainVerdict)
    text = {"schema": {"type": "string"}}
    forms = {200: {"content": {media.partition(";")[0]: text for media in _MEDIA.values()}}}
    add(router, "GET", "/audit/export", exported, None, response_class=StreamingResponse, responses=forms)


async def _published(call: Call, against: str | None) -> list[PublishedHead]:
    if against is None:
        return []
    owner = _chain(call)
    if against != "heads":
        sequence, digest = parse_head(against, "against")
        return [PublishedHead(owner, sequence, digest, call.services.clock.now())]
    files = call.services.head_files
    found = (await asyncio.to_thread(files.by_chain)).get(owner, [])
    if not found:
        raise NotFound(
            "no head of this chain was published here yet",
            fix="They are written hourly; `alphapulse jobs run audit-heads` does it now.",
        )
    return found


def _chain(call: Call) -> UUID:
    return PLATFORM if call.caller.tenant_id is None else call.caller.tenant_id
