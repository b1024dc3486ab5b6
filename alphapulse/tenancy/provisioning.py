"""Provisioning: a tenant is made in recorded steps that are repeated, and undone when one cannot be done.

The request stores the tenant, the steps and the job that does them, in one transaction. Whoever runs the job reads
from the rows where it stands, so a process that dies between any two steps, or within one, is carried on by the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID, uuid4

from alphapulse.clock import Clock
from alphapulse.domain.lifecycle import Move, TenantState, moved
from alphapulse.domain.plans import Tier, parse_tier
from alphapulse.domain.provisioning import (
    MOST_ATTEMPTS,
    Direction,
    ProvisioningStatus,
    ProvisioningStep,
    StepName,
    StepState,
    slug_of,
)
from alphapulse.domain.tenancy import Tenant, parse_person, parse_slug
from alphapulse.errors import AlphaPulseError, AlreadyExists, Conflict, Defect, NotFound, TryAgain, Unavailable
from alphapulse.ports.database import Database, Transaction
from alphapulse.tenancy import provisioning_store, store, tenants_store
from alphapulse.tenancy.service import parse_name
from alphapulse.tenancy.steps import Act, Case, Steps

#: Longest time for one step, seconds.
_STEP_S = 30.0

#: Queues the job that runs the provisioning of this tenant, in the given transaction.
Enqueue = Callable[[Transaction, UUID], Awaitable[object]]

_log = logging.getLogger(__name__)


class Provisioning:
    def __init__(self, *, database: Database, clock: Clock, steps: Steps, enqueue: Enqueue) -> None:
        self._database = database
        self._clock = clock
        self._steps = steps
        self._enqueue = enqueue

    async def create(
        self,
        *,
        name: str,
        tier: str | Tier,
        admin_email: str,
        slug: str | None = None,
        admin_id: UUID | None = None,
        actor: str,
    ) -> Tenant:
        """Begins: the tenant is ``provisioning`` until its job is done. slug None: made from the name.

        admin_id: a user who signed up, with that address: they join and need no invitation.

        Raises AlreadyExists when the slug is taken, InvalidInput naming the field.
        """
        name, parsed = parse_name(name), parse_tier(tier)
        wanted = slug_of(name) if slug is None else parse_slug(slug)
        email = parse_person(admin_email, "admin_email")
        async with self._database.shared() as tx:
            _, taken = await store.find(tx, slug=wanted)
        if taken is not None:
            raise _exists(wanted)
        at = self._clock.now()
        tenant = Tenant(uuid4(), wanted, name, parsed, TenantState.PENDING, at)
        async with self._database.transaction(tenant.id) as tx:
            try:
                await tenants_store.insert_tenant(tx, tenant)
            except AlreadyExists:  # another request was faster than our look-up
                raise _exists(wanted) from None
            return await self._begin(tx, tenant, email, admin_id, actor)

    async def retry(self, tenant_id: UUID, *, actor: str, admin_email: str | None = None) -> Tenant:
        """Begins anew after a provisioning that was undone. admin_email None: that of the last time.

        Raises Conflict unless the tenant is pending.
        """
        email = None if admin_email is None else parse_person(admin_email, "admin_email")
        async with self._database.transaction(tenant_id) as tx:
            standing = await tenants_store.lock(tx, tenant_id)
            last = await provisioning_store.status(tx, tenant_id)
            if standing is None or last is None:
                raise NotFound(f"tenant {tenant_id} was never provisioned")
            known = None if email else await provisioning_store.admin_id(tx, tenant_id)
            return await self._begin(tx, standing.tenant, email or last.admin_email, known, actor)

    async def status(self, tenant_id: UUID) -> ProvisioningStatus:
        """Raises NotFound."""
        async with self._database.transaction(tenant_id) as tx:
            found = await provisioning_store.status(tx, tenant_id)
        if found is None:
            raise NotFound(f"tenant {tenant_id} was never provisioned")
        return found

    async def run(self, tenant_id: UUID) -> None:
        """Carry on from where the rows say it stands, until the tenant is active or everything was undone.

        Raises TryAgain when a step wants another attempt later.
        """
        while True:
            status = await self.status(tenant_id)
            if status.finished_at is not None:
                return
            async with self._database.transaction(tenant_id) as tx:
                tenant = await tenants_store.get_tenant(tx, tenant_id)
                admin_id = await provisioning_store.admin_id(tx, tenant_id)
            if tenant is None:
                raise NotFound(f"no tenant {tenant_id}")
            case = Case(tenant, status.admin_email, admin_id, "platform")
            if status.direction is Direction.BACK:
                await self._back(case, status)
            else:
                await self._forward(case, status)

    async def _begin(self, tx: Transaction, tenant: Tenant, email: str, admin_id: UUID | None, actor: str) -> Tenant:
        at = self._clock.now()
        state = moved(tenant.state, Move.PROVISION)
        await tenants_store.move(tx, tenant.id, state, reason="provisioning", at=at, left=None, purge_at=None)
        await provisioning_store.begin(tx, tenant.id, admin_email=email, admin_id=admin_id, actor=actor, at=at)
        await self._enqueue(tx, tenant.id)
        return replace(tenant, state=state)

    async def _forward(self, case: Case, status: ProvisioningStatus) -> None:
        for step in status.steps:
            if step.state is StepState.DONE:
                continue
            if step.attempts >= MOST_ATTEMPTS:
                await self._fail(case, step.name, step.error or "it ended the process that tried it")
                return
            try:
                await self._attempt(case, step, self._steps.by_name[step.name].do, StepState.DONE)
            except TryAgain as error:
                if step.attempts + 1 >= MOST_ATTEMPTS:
                    await self._fail(case, step.name, str(error))
                    return
                raise
            except AlphaPulseError as error:
                await self._fail(case, step.name, str(error))
                return
        await self._finish(case, Move.COMPLETE, "provisioned")

    async def _back(self, case: Case, status: ProvisioningStatus) -> None:
        """Every step that began, the last one first. What cannot be undone now is tried again by the next attempt."""
        for step in reversed(status.steps):
            if step.state not in {StepState.WAITING, StepState.UNDONE}:
                await self._attempt(case, step, self._steps.by_name[step.name].undo, StepState.UNDONE)
        await self._finish(case, Move.ROLL_BACK, f"provisioning failed: {status.error}")

    async def _attempt(self, case: Case, step: ProvisioningStep, act: Act, becomes: StepState) -> None:
        tenant_id, name, left = case.tenant.id, step.name, step.state
        if becomes is StepState.DONE:
            left = StepState.RUNNING
            async with self._database.transaction(tenant_id) as tx:
                if not await provisioning_store.start_step(tx, tenant_id, name, self._clock.now()):
                    return
        try:
            try:
                async with asyncio.timeout(_STEP_S):
                    detail = await act(case)
            except TimeoutError as error:
                raise Unavailable(f"step {name} took longer than {_STEP_S:g} s") from error
        except AlphaPulseError as error:
            async with self._database.transaction(tenant_id) as tx:
                await provisioning_store.end_step(tx, tenant_id, name, left, self._clock.now(), error=str(error))
            raise
        async with self._database.transaction(tenant_id) as tx:
            kept = detail if detail or becomes is StepState.DONE else None
            await provisioning_store.end_step(tx, tenant_id, name, becomes, self._clock.now(), detail=kept)

    async def _fail(self, case: Case, name: StepName, error: str) -> None:
        """From here on everything is undone, whoever carries it on."""
        _log.error("a provisioning is rolled back", extra={"tenant": case.tenant.slug, "step": name, "reason": error})
        async with self._database.transaction(case.tenant.id) as tx:
            at = self._clock.now()
            await provisioning_store.end_step(tx, case.tenant.id, name, StepState.FAILED, at, error=error)
            await provisioning_store.turn_back(tx, case.tenant.id, f"{name}: {error}")

    async def _finish(self, case: Case, move: Move, reason: str) -> None:
        tenant_id = case.tenant.id
        async with self._database.transaction(tenant_id) as tx:
            standing = await tenants_store.lock(tx, tenant_id)
            if standing is None:
                raise Defect(f"tenant {tenant_id} is gone while it is provisioned")
            if standing.tenant.state is TenantState.PROVISIONING:  # else another worker was faster
                state, at = moved(standing.tenant.state, move), self._clock.now()
                await tenants_store.move(tx, tenant_id, state, reason=reason, at=at, left=None, purge_at=None)
                await provisioning_store.finish(tx, tenant_id, at)


def _exists(slug: str) -> Conflict:
    return AlreadyExists(
        f"tenant {slug} exists already, or one that looks like it",
        fix=f"Choose another --slug; if its provisioning failed: alphapulse tenants retry {slug}",
    )
