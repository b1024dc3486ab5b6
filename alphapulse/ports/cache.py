"""Values that can be made again, kept for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from alphapulse.domain.cache import CacheUsage
from alphapulse.domain.cache_keys import CacheKey

#: The bytes that a tenant may keep; asked again now and then, so that a change of plan arrives by itself.
QuotaOf = Callable[[UUID], Awaitable[int]]


class Cache(Protocol):
    """What is put may be gone at any time: read it, or make it anew. Nothing is promised but that a value that comes
    back is the newest one that was put under its key.

    Each tenant has a quota in bytes (its keys and values together); when a new value does not fit, those of the same
    tenant that were not used for the longest time go first. A cache that does not answer holds nothing: ``get``
    gives None and ``put`` False, for nobody's request may fail for want of a copy. The other calls raise Unavailable.
    """

    async def get(self, key: CacheKey) -> bytes | None: ...

    async def put(self, key: CacheKey, value: bytes, ttl: timedelta) -> bool:
        """Keep ``value`` for at most ``ttl``. False when it was not kept: it alone is larger than the quota."""
        ...

    async def delete(self, key: CacheKey) -> None: ...

    async def flush_tenant(self, tenant_id: UUID) -> int:
        """Drop everything of one tenant; how many entries. The quota stays."""
        ...

    async def usage(self, tenant_id: UUID | None) -> CacheUsage:
        """What a tenant keeps; None: what is shared."""
        ...

    async def set_quota(self, tenant_id: UUID, limit: int) -> None:
        """limit: bytes. What no longer fits goes at once."""
        ...

    async def ping(self) -> None:
        """Raises Unavailable unless the cache answers."""
        ...
