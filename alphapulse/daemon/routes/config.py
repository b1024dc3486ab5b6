"""The settings in effect."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import answer
from alphapulse.daemon.routing import add
from alphapulse.domain.tenancy import Permission


async def show(_call: Annotated[Call, allow(Permission.PLATFORM_READ)], request: Request) -> Response:
    """Every setting, secrets masked."""
    return answer(request.app.state.configuration)


def routes(router: APIRouter) -> None:
    add(router, "GET", "/config", show, dict[str, Any])
