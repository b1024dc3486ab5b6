"""Whether the daemon lives, whether it can serve, and its numbers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from alphapulse import __version__
from alphapulse.daemon.access import services_of
from alphapulse.daemon.answers import answer
from alphapulse.daemon.health import Readiness
from alphapulse.daemon.routing import add


async def live() -> Response:
    """The process answers."""
    return answer({"status": "ok"})


async def ready(request: Request) -> Response:
    """Each part is asked now; 503 unless all answer."""
    found = await services_of(request).health.look()
    return answer(found, 200 if found.status == "ready" else 503)


async def metrics(request: Request) -> Response:
    """Prometheus text; empty with another telemetry adapter."""
    body, kind = services_of(request).telemetry.render()
    return Response(body, media_type=kind)


async def version() -> Response:
    """The daemon's version."""
    return answer({"version": __version__})


def routes(router: APIRouter) -> None:
    add(router, "GET", "/health/live", live, dict[str, str])
    add(router, "GET", "/health/ready", ready, Readiness, responses={503: {"model": Readiness}})
    add(router, "GET", "/metrics", metrics, None, response_class=Response)
    add(router, "GET", "/version", version, dict[str, str])
