"""What each step of a provisioning does, and how it is undone. All of it may be repeated at any point."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from alphapulse.alerts.outbox import enqueue_mail
from alphapulse.clock import Clock
from alphapulse.domain.cache_keys import tenant_key
from alphapulse.domain.mail import MailTemplate
from alphapulse.domain.permissions import Role
from alphapulse.domain.provisioning import StepName, StepState
from alphapulse.domain.tenancy import Tenant
from alphapulse.domain.wire import write_time
from alphapulse.errors import Defect
from alphapulse.ports.billing import Billing
from alphapulse.ports.cache import Cache
from alphapulse.ports.database import Database, Transaction
from alphapulse.ports.secrets import Secrets
from alphapulse.sealing import Seal
from alphapulse.tenancy import people_store, plans_store, provisioning_store, tenants_store
from alphapulse.tenancy.people import People
from alphapulse.tenancy.plans import Plans


@dataclass(frozen=True, slots=True)
class Case:
    """One provisioning. admin_email: of the first admin. admin_id: a user who signed up, and joins without an
    invitation. actor: who does it.
    """

    tenant: Tenant
    admin_email: str
    admin_id: UUID | None
    actor: str


Act = Callable[[Case], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Step:
    """do: makes it, and says what. undo: takes away whatever of it is there, and says what."""

    do: Act
    undo: Act


class Steps:
    """The outside that steps touch. Raises what those parts raise; TryAgain is worth another attempt."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        plans: Plans,
        secrets: Secrets,
        cache: Cache,
        billing: Billing,
        people: People,
        seal: Seal,
    ) -> None:
        self._database = database
        self._clock = clock
        self._plans = plans
        self._secrets = secrets
        self._cache = cache
        self._billing = billing
        self._people = people
        self._seal = seal
        self.by_name: Mapping[StepName, Step] = {
            StepName.TENANT: Step(self._see_tenant, _nothing),
            StepName.LIMITS: Step(self._set_limits, self._drop_limits),
            StepName.SECRETS: Step(self._prepare_secrets, self._erase_secrets),
            StepName.CACHE: Step(self._prepare_cache, self._flush_cache),
            StepName.BILLING: Step(self._open_account, self._close_account),
            StepName.INVITATION: Step(self._invite, self._withdraw),
            StepName.CHECKS: Step(self._check, _nothing),
            StepName.WELCOME: Step(self._welcome, _nothing),
        }

    async def _see_tenant(self, case: Case) -> str:
        """The row is there since the request; it is seen under row-level security, as everything else will be."""
        async with self._database.glance(case.tenant.id) as tx:
            if await tenants_store.get_tenant(tx, case.tenant.id) is None:
                raise Defect(f"the row of tenant {case.tenant.slug} is not visible to itself")
        return f"{case.tenant.slug} ({case.tenant.id})"

    async def _set_limits(self, case: Case) -> str:
        self._plans.forget(case.tenant.id)
        limits = await self._plans.limits_of(case.tenant.id)
        shown = {"agents": limits.agents, "positions": limits.positions, "API calls a day": limits.api_calls_per_day}
        return f"{case.tenant.tier}: " + ", ".join(
            f"{'unlimited' if value is None else f'{value:,}'} {name}" for name, value in shown.items()
        )

    async def _drop_limits(self, case: Case) -> str:
        async with self._database.transaction(case.tenant.id) as tx:
            dropped = await plans_store.delete_overrides(tx, case.tenant.id)
        self._plans.forget(case.tenant.id)
        return f"{dropped} overrides dropped"

    async def _prepare_secrets(self, case: Case) -> str:
        await self._secrets.prepare(case.tenant.id)
        return "namespace ready"

    async def _erase_secrets(self, case: Case) -> str:
        await self._secrets.erase(case.tenant.id)
        return "namespace erased"

    async def _prepare_cache(self, case: Case) -> str:
        quota = (await self._plans.limits_of(case.tenant.id)).cache_bytes
        if quota is None:
            return "no quota"
        await self._cache.set_quota(case.tenant.id, quota)
        return f"{quota:,} bytes"

    async def _flush_cache(self, case: Case) -> str:
        return f"{await self._cache.flush_tenant(case.tenant.id)} entries dropped"

    async def _open_account(self, case: Case) -> str:
        tenant, days = case.tenant, self._plans.of_tier[case.tenant.tier].trial_days
        trial_until = tenant.created_at + timedelta(days=days) if days else None
        reference = await self._billing.open_account(
            tenant.id, tenant.name, case.admin_email, tenant.tier, trial_until=trial_until
        )
        async with self._database.transaction(tenant.id) as tx:
            await provisioning_store.set_billing(tx, tenant.id, reference, trial_until)
        return reference if trial_until is None else f"{reference}, trial until {write_time(trial_until)}"

    async def _close_account(self, case: Case) -> str:
        async with self._database.transaction(case.tenant.id) as tx:
            reference = await provisioning_store.billing_reference(tx, case.tenant.id)
        if reference is None:
            return "there was none"
        await self._billing.close_account(reference)
        async with self._database.transaction(case.tenant.id) as tx:
            await provisioning_store.set_billing(tx, case.tenant.id, None, None)
        return f"{reference} closed"

    async def _invite(self, case: Case) -> str:
        """Done and recorded in one transaction: a repeat would send a second letter and break the first one's link."""
        async with self._database.transaction(case.tenant.id) as tx:
            done = await provisioning_store.lock_step(tx, case.tenant.id, StepName.INVITATION)
            if done is not None:
                return done
            detail = await self._admit(tx, case)
            await provisioning_store.end_step(
                tx, case.tenant.id, StepName.INVITATION, StepState.DONE, self._clock.now(), detail=detail
            )
        return detail

    async def _admit(self, tx: Transaction, case: Case) -> str:
        who, role = case.admin_email, Role.TENANT_ADMIN
        if case.admin_id is not None:
            await self._people.join_in(tx, case.tenant, case.admin_id, who, role, actor=case.actor)
            return f"{who} joined"
        made = await self._people.invite_in(tx, case.tenant, who, role, actor=case.actor)
        return f"{made.email}, open until {write_time(made.expires_at)}"

    async def _withdraw(self, case: Case) -> str:
        async with self._database.transaction(case.tenant.id) as tx:
            await people_store.withdraw_open(tx, case.tenant.id, case.admin_email, self._clock.now())
        return "withdrawn"

    async def _check(self, case: Case) -> str:
        """What a member will use at once works: rows, secrets, cache."""
        tenant_id = case.tenant.id
        await self._database.ping()
        await self._secrets.ping(tenant_id)
        key, value = tenant_key(tenant_id, "provisioning"), tenant_id.bytes
        if await self._cache.put(key, value, timedelta(minutes=1)):
            await self._cache.delete(key)
        else:
            await self._cache.ping()
        async with self._database.transaction(tenant_id) as tx:
            visible = await tenants_store.list_tenants(tx)
            invited = await people_store.open_addresses(tx, tenant_id, self._clock.now())
            admins = await tenants_store.admins(tx, tenant_id)
        if [each.id for each in visible] != [tenant_id]:
            raise Defect(f"tenant {case.tenant.slug} sees {len(visible)} tenants instead of itself alone")
        if not {*invited, *admins}:
            raise Defect(f"nobody is invited to tenant {case.tenant.slug}")
        return "database, secrets, cache, invitation"

    async def _welcome(self, case: Case) -> str:
        tenant = case.tenant
        async with self._database.transaction(tenant.id) as tx:
            await enqueue_mail(
                tx,
                self._seal,
                tenant_id=tenant.id,
                to=case.admin_email,
                template=MailTemplate.WELCOME,
                values={"tenant": tenant.name, "slug": tenant.slug, "tier": tenant.tier.value},
                at=self._clock.now(),
                key="welcome",
            )
        return f"to {case.admin_email}"


async def _nothing(_case: Case) -> str:
    return ""
