"""How many bytes each tenant may keep, asked now and then, and the counting that both caches share."""

from __future__ import annotations

import time
from uuid import UUID

from alphapulse.domain.cache_keys import Namespace, tenant_of
from alphapulse.errors import AlphaPulseError
from alphapulse.ports.cache import QuotaOf
from alphapulse.ports.telemetry import Telemetry

#: What all shared entries together may take, bytes.
SHARED_QUOTA = 64_000_000
#: How long an answer of ``quota_of`` is believed; a change of plan calls ``set_quota`` and does not wait for it.
_BELIEVED_S = 60.0


class Quotas:
    def __init__(self, quota_of: QuotaOf, telemetry: Telemetry) -> None:
        self._quota_of = quota_of
        self._telemetry = telemetry
        self._known: dict[UUID, tuple[int, float]] = {}

    def set(self, tenant_id: UUID, limit: int) -> None:
        self._known[tenant_id] = (limit, time.monotonic())

    async def of(self, namespace: Namespace) -> int:
        """Bytes. When nobody can say, what was said last, and nothing when nothing was."""
        tenant_id = tenant_of(namespace)
        if tenant_id is None:
            return SHARED_QUOTA
        limit, asked = self._known.get(tenant_id, (0, float("-inf")))
        if time.monotonic() - asked > _BELIEVED_S:
            try:
                limit = await self._quota_of(tenant_id)
            except AlphaPulseError:
                # The tenant is gone, or the database is: a copy is not worth failing for.
                return limit
            self.set(tenant_id, limit)
        return limit

    def looked(self, namespace: Namespace, *, hit: bool) -> None:
        outcome = "hit" if hit else "miss"
        self._telemetry.count("cache_requests_total", scope=_scope(namespace), outcome=outcome)

    def evicted(self, namespace: Namespace, entries: int) -> None:
        if entries:
            self._telemetry.count("cache_evictions_total", entries, scope=_scope(namespace))


def _scope(namespace: Namespace) -> str:
    return "shared" if tenant_of(namespace) is None else "tenant"
