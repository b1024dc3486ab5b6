"""What the cache holds for the caller's tenant; for a platform admin who names none, what all share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response

from alphapulse.daemon.access import Call, allow
from alphapulse.daemon.answers import answer
from alphapulse.daemon.routing import add
from alphapulse.domain.cache import CacheUsage
from alphapulse.domain.tenancy import Permission


@dataclass(frozen=True, slots=True)
class Flushed:
    """entries: how many were dropped."""

    entries: int


async def usage(call: Annotated[Call, allow(Permission.CACHE_READ)]) -> Response:
    """Entries, bytes, quota, hits and misses."""
    return answer(await call.services.cache.usage(call.caller.tenant_id))


async def flush(call: Annotated[Call, allow(Permission.CACHE_FLUSH)]) -> Response:
    """Drop every entry of the tenant. Nothing is lost but the time to make them again."""
    return answer(Flushed(await call.services.cache.flush_tenant(call.tenant_id)))


def routes(router: APIRouter) -> None:
    add(router, "GET", "/cache", usage, CacheUsage)
    add(router, "DELETE", "/cache", flush, Flushed)
