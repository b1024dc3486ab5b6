"""What runs in the background."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Limit, one_of
from alphapulse.daemon.routing import add
from alphapulse.domain.jobs import JobRecord, JobState, ScheduleEntry
from alphapulse.domain.tenancy import Permission

State = Annotated[JobState, *one_of(JobState)]


async def listed(
    call: Annotated[Call, allow(Permission.JOBS_READ)],
    state: State | None = None,
    name: Annotated[str | None, Query(max_length=100)] = None,
    limit: Limit = 50,
    before: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Newest first: the tenant's jobs; all of them for a platform admin who named no tenant."""
    found, following = await call.services.jobs.list(
        call.caller.tenant_id, state=state, name=name, limit=limit, before=before
    )
    return page(found, following)


async def schedule(call: Annotated[Call, allow(Permission.JOBS_READ)]) -> Response:
    """What runs when."""
    return page(await call.services.jobs.schedule())


async def run(call: Annotated[Call, allow(Permission.PLATFORM_WRITE)], name: str) -> Response:
    """Queue the newest slot of a scheduled job now."""
    return answer(await call.services.jobs.run(name, call.caller.actor), 201)


async def pause(call: Annotated[Call, allow(Permission.PLATFORM_WRITE)], name: str) -> Response:
    """Its firings are left out until it is resumed."""
    return answer(await call.services.jobs.pause(name, call.caller.actor))


async def resume(call: Annotated[Call, allow(Permission.PLATFORM_WRITE)], name: str) -> Response:
    """Let a paused job fire again."""
    return answer(await call.services.jobs.resume(name, call.caller.actor))


async def retry(call: Annotated[Call, allow(Permission.PLATFORM_WRITE)], job_id: UUID) -> Response:
    """Queue a failed job again."""
    return answer(await call.services.jobs.retry(job_id, call.caller.tenant_id, call.caller.actor))


def routes(router: APIRouter) -> None:
    add(router, "GET", "/jobs", listed, Page[JobRecord])
    add(router, "GET", "/jobs/schedule", schedule, Page[ScheduleEntry])
    add(router, "POST", "/jobs/{name}/run", run, JobRecord, status=201)
    add(router, "POST", "/jobs/{name}/pause", pause, ScheduleEntry)
    add(router, "POST", "/jobs/{name}/resume", resume, ScheduleEntry)
    add(router, "POST", "/jobs/{job_id}/retry", retry, JobRecord)
