"""A copy of everything the tenant holds, and the end of the tenant."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints
from starlette.responses import FileResponse

from alphapulse.daemon.access import Call, allow, services_of
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Line
from alphapulse.daemon.routing import add
from alphapulse.domain.privacy import AccountStanding, CertificateCheck, Export, ExportState
from alphapulse.domain.tenancy import Permission, Tenant

_ZIP = "application/zip"
_Statement = Annotated[str, StringConstraints(max_length=100_000)]


class Deletion(Body):
    """confirm: the tenant's slug, typed."""

    confirm: Line
    reason: Line = "asked for by the tenant"
    acknowledge_positions: bool = False


class Undo(Body):
    reason: Line = "taken back by the tenant"


class Shown(Body):
    statement: _Statement
    signature: Line


async def current(call: Annotated[Call, allow(Permission.ACCOUNT_EXPORT)]) -> Response:
    """The newest export that can be fetched, or is on its way (202). Begun when there is none."""
    caller = call.caller
    export = await call.services.exports.current(call.tenant_id, user_id=caller.user_id, actor=caller.actor)
    return answer(export, 200 if export.state is ExportState.READY else 202)


async def begin(call: Annotated[Call, allow(Permission.ACCOUNT_EXPORT)]) -> Response:
    """Begin a new export; the one that is on its way, if there is one. It replaces the one before once it is ready."""
    caller = call.caller
    export = await call.services.exports.request(call.tenant_id, user_id=caller.user_id, actor=caller.actor)
    return answer(export, 201)


async def listed(call: Annotated[Call, allow(Permission.ACCOUNT_EXPORT)]) -> Response:
    """Newest first, those that are over too."""
    return page(await call.services.exports.list(call.tenant_id))


async def shown(call: Annotated[Call, allow(Permission.ACCOUNT_EXPORT)], export_id: UUID) -> Response:
    """How far an export is, and where it can be fetched."""
    return answer(await call.services.exports.get(call.tenant_id, export_id))


async def file(call: Annotated[Call, allow(Permission.ACCOUNT_EXPORT)], export_id: UUID) -> Response:
    """The zip; a Range with If-Range goes on where a download broke off. Its ETag is the file's SHA-256."""
    export, path = await call.services.exports.file(call.tenant_id, export_id)
    name = f"alphapulse-export-{export.requested_at:%Y%m%d}.zip"
    return FileResponse(path, media_type=_ZIP, filename=name, headers={"ETag": f'"{export.sha256}"'})


async def standing(call: Annotated[Call, allow(Permission.ACCOUNT_EXPORT)]) -> Response:
    """Where the tenant stands, and when it is erased if it is deleted."""
    export = await call.services.exports.newest(call.tenant_id)
    return answer(await call.services.privacy.standing(call.tenant_id, export))


async def delete(call: Annotated[Call, allow(Permission.ACCOUNT_DELETE)], body: Deletion) -> Response:
    """Close the tenant; 30 days later everything is erased. Orders must be cancelled, positions acknowledged."""
    deleted = await call.services.lifecycle.delete(
        call.tenant_id,
        confirm=body.confirm,
        reason=body.reason,
        actor=call.caller.actor,
        acknowledge_positions=body.acknowledge_positions,
    )
    return answer(deleted)


async def restore(call: Annotated[Call, allow(Permission.ACCOUNT_DELETE)], body: Undo) -> Response:
    """Take a deletion back, within its 30 days."""
    restored = await call.services.lifecycle.restore(call.tenant_id, reason=body.reason, actor=call.caller.actor)
    return answer(restored)


async def certificate(request: Request, body: Shown) -> Response:
    """Whether a certificate of erasure was signed by this platform, and what it says."""
    return answer(services_of(request).privacy.check(body.statement, body.signature))


def routes(router: APIRouter) -> None:
    add(router, "GET", "/account", standing, AccountStanding)
    add(router, "DELETE", "/account", delete, Tenant)
    add(router, "POST", "/account/restore", restore, Tenant)
    add(router, "GET", "/export", current, Export, responses={202: {"model": Export}})
    add(router, "POST", "/exports", begin, Export, status=201)
    add(router, "GET", "/exports", listed, Page[Export])
    add(router, "GET", "/exports/{export_id}", shown, Export)
    add(
        router,
        "GET",
        "/exports/{export_id}/file",
        file,
        None,
        response_class=FileResponse,
        responses={206: {"description": "The part that was asked for."}, 416: {"description": "No such part."}},
    )
    add(router, "POST", "/certificates/check", certificate, CertificateCheck)
