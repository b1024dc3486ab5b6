"""A cache in this process: nothing to run beside it, and nothing shared with other replicas."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from alphapulse.adapters.cache.quotas import Quotas
from alphapulse.domain.cache import CacheUsage
from alphapulse.domain.cache_keys import SHARED, CacheKey, Namespace, namespace_of, tenant_namespace
from alphapulse.ports.cache import QuotaOf
from alphapulse.ports.telemetry import Telemetry


@dataclass(slots=True)
class _Shelf:
    """One namespace's entries, those used longest ago first: value and the moment it is over, by key."""

    entries: OrderedDict[str, tuple[bytes, float]] = field(default_factory=OrderedDict[str, tuple[bytes, float]])
    used: int = 0
    hits: int = 0
    misses: int = 0
    evictions: int = 0

    def drop(self, key: str) -> None:
        found = self.entries.pop(key, None)
        if found is not None:
            self.used -= _size(key, found[0])

    def trim(self, quota: int, room_for: int = 0) -> int:
        """Drop what was used longest ago until ``room_for`` bytes fit; how many entries went."""
        before = len(self.entries)
        while self.entries and self.used + room_for > quota:
            self.drop(next(iter(self.entries)))
        self.evictions += before - len(self.entries)
        return before - len(self.entries)


class MemoryCache:
    """See ports/cache.py. monotonic: seconds that never go back."""

    def __init__(
        self, quota_of: QuotaOf, telemetry: Telemetry, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._quotas = Quotas(quota_of, telemetry)
        self._monotonic = monotonic
        self._shelves: dict[Namespace, _Shelf] = {}

    async def get(self, key: CacheKey) -> bytes | None:
        namespace = namespace_of(key)
        shelf = self._shelf(namespace)
        found = shelf.entries.get(key)
        if found is not None and found[1] <= self._monotonic():
            shelf.drop(key)
            found = None
        self._quotas.looked(namespace, hit=found is not None)
        if found is None:
            shelf.misses += 1
            return None
        shelf.hits += 1
        shelf.entries.move_to_end(key)
        return found[0]

    async def put(self, key: CacheKey, value: bytes, ttl: timedelta) -> bool:
        namespace, size = namespace_of(key), _size(key, value)
        quota = await self._quotas.of(namespace)
        shelf = self._shelf(namespace)
        shelf.drop(key)
        if size > quota:
            return False
        self._quotas.evicted(namespace, shelf.trim(quota, size))
        shelf.entries[key] = (value, self._monotonic() + ttl.total_seconds())
        shelf.used += size
        return True

    async def delete(self, key: CacheKey) -> None:
        self._shelf(namespace_of(key)).drop(key)

    async def flush_tenant(self, tenant_id: UUID) -> int:
        shelf = self._shelves.pop(tenant_namespace(tenant_id), None)
        return 0 if shelf is None else len(shelf.entries)

    async def usage(self, tenant_id: UUID | None) -> CacheUsage:
        namespace = SHARED if tenant_id is None else tenant_namespace(tenant_id)
        shelf = self._shelf(namespace)
        quota = await self._quotas.of(namespace)
        return CacheUsage(len(shelf.entries), shelf.used, quota, shelf.hits, shelf.misses, shelf.evictions)

    async def set_quota(self, tenant_id: UUID, limit: int) -> None:
        self._quotas.set(tenant_id, limit)
        namespace = tenant_namespace(tenant_id)
        self._quotas.evicted(namespace, self._shelf(namespace).trim(limit))

    async def ping(self) -> None:
        """Nothing can be out of reach here."""

    def _shelf(self, namespace: Namespace) -> _Shelf:
        return self._shelves.setdefault(namespace, _Shelf())


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value)
