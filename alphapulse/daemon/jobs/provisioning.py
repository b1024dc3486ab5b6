"""The jobs of tenants' lives: one that provisions a tenant, and one that looks after all of them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from alphapulse.clock import Clock
from alphapulse.daemon.jobs import store
from alphapulse.domain.lifecycle import KEPT, TRADES, TenantState
from alphapulse.errors import AlphaPulseError, Refused, Unavailable
from alphapulse.ports.database import Database, Transaction
from alphapulse.ports.queue import Queue
from alphapulse.tenancy import tenants_store
from alphapulse.tenancy.lifecycle import Lifecycle
from alphapulse.tenancy.metering import Metering
from alphapulse.tenancy.privacy import Privacy
from alphapulse.tenancy.provisioning import Provisioning

NAME = "provisioning"
_OVER = f"deleted {KEPT.days} days ago"

_log = logging.getLogger(__name__)


class ProvisioningJob:
    def __init__(self, *, provisioning: Provisioning) -> None:
        self._provisioning = provisioning

    async def run(self, arguments: Mapping[str, str]) -> None:
        """arguments: tenant_id. Raises TryAgain when a step wants another attempt."""
        await self._provisioning.run(UUID(arguments["tenant_id"]))


async def enqueue_provisioning(queue: Queue, tx: Transaction, tenant_id: UUID) -> None:
    """In the transaction that begins it."""
    await queue.enqueue(tx, NAME, {"tenant_id": str(tenant_id)}, tenant_id=tenant_id, urgent=True)


async def recover_provisionings(database: Database, queue: Queue) -> None:
    """Queue every provisioning that no job carries on. Safe beside others."""
    async with database.shared() as tx:
        unfinished = await tenants_store.in_state(tx, TenantState.PROVISIONING)
    for tenant_id in unfinished:
        async with database.transaction(tenant_id) as tx:
            standing = await tenants_store.lock(tx, tenant_id)
            still = standing is not None and standing.tenant.state is TenantState.PROVISIONING
            if still and not await store.pending(tx, NAME, "tenant_id", str(tenant_id)):
                await enqueue_provisioning(queue, tx, tenant_id)
                _log.info("a provisioning goes on", extra={"tenant": str(tenant_id)})


class LifecycleJob:
    """Hourly: provisionings that were left, quotas of the cache, the day's usage, and tenants whose time is over."""

    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        clock: Clock,
        lifecycle: Lifecycle,
        metering: Metering,
        privacy: Privacy,
    ) -> None:
        self._database = database
        self._queue = queue
        self._clock = clock
        self._lifecycle = lifecycle
        self._metering = metering
        self._privacy = privacy

    async def run(self, arguments: Mapping[str, str]) -> None:  # noqa: ARG002 -- every job takes arguments
        """One transaction per tenant; one that fails does not stop the others. Raises Unavailable or Refused then."""
        await recover_provisionings(self._database, self._queue)
        failures: list[AlphaPulseError] = []
        for state in sorted(TRADES):
            for tenant_id in await self._in(state):
                await self._guarded(self._look_after, tenant_id, failures)
        for tenant_id in await self._in(TenantState.DELETED):
            await self._guarded(self._purge, tenant_id, failures)
        if failures:
            text = f"{len(failures)} tenants could not be looked after, the first: {failures[0]}"
            raise Refused(text) if all(isinstance(error, Refused) for error in failures) else Unavailable(text)

    async def _in(self, state: TenantState) -> list[UUID]:
        async with self._database.shared() as tx:
            return await tenants_store.in_state(tx, state)

    async def _guarded(
        self, act: Callable[[UUID], Awaitable[None]], tenant_id: UUID, failures: list[AlphaPulseError]
    ) -> None:
        try:
            await act(tenant_id)
        except AlphaPulseError as error:
            _log.error("a tenant could not be looked after", extra={"tenant": str(tenant_id), "error": str(error)})
            failures.append(error)

    async def _look_after(self, tenant_id: UUID) -> None:
        await self._lifecycle.apply_quota(tenant_id)
        await self._metering.snapshot(tenant_id)

    async def _purge(self, tenant_id: UUID) -> None:
        async with self._database.transaction(tenant_id) as tx:
            standing = await tenants_store.lock(tx, tenant_id)
        if standing is None or standing.purge_at is None or standing.purge_at > self._clock.now():
            return
        await self._privacy.erase_tenant(tenant_id, reason=_OVER, actor="platform")
        _log.info("a deleted tenant is purged", extra={"tenant": standing.tenant.slug})
