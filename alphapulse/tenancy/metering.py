"""What tenants use of their plans, and what lies beyond and is billed."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.money import ZERO
from alphapulse.domain.plans import LimitName, LimitUse, PlanStanding, included_of
from alphapulse.errors import InvalidInput, NotFound
from alphapulse.ports.database import Database, Transaction
from alphapulse.tenancy import plans_store, tenants_store, usage_store
from alphapulse.tenancy.plans import Plans, Terms, day_of, month_of
from alphapulse.tenancy.usage_store import DayUse

_LARGEST_CAP = Decimal(1_000_000)


class Metering:
    """Quantities per UTC day: the most that was used at once; of calls, their sum."""

    def __init__(self, *, database: Database, clock: Clock, plans: Plans) -> None:
        self._database = database
        self._clock = clock
        self._plans = plans

    async def standing(self, tenant_id: UUID) -> PlanStanding:
        """The plan with what is used of it now. Raises NotFound."""
        now = self._clock.now()
        async with self._database.transaction(tenant_id) as tx:
            terms = await self._plans.terms_in(tx, tenant_id)
            overrides = await plans_store.overrides(tx, tenant_id)
            used = await self._used(tx, tenant_id)
            today = await usage_store.today(tx, tenant_id, day_of(now))
            spent = await usage_store.spent(tx, tenant_id, month_of(now))
            trial_ends_at = await plans_store.trial_end(tx, tenant_id)
        calls = today.get(LimitName.API_CALLS_PER_DAY)
        used[LimitName.API_CALLS_PER_DAY] = 0 if calls is None else calls.quantity
        limits = tuple(
            LimitUse(
                name,
                included_of(terms.limits, name),
                self._plans.allowance(terms, name).allowed,
                used.get(name),
                today[name].overage if name in today else 0,
                spent.get(name, ZERO),
            )
            for name in LimitName
        )
        plan = self._plans.of_tier[terms.tier]
        total = sum(spent.values(), ZERO)
        return PlanStanding(terms.tier, plan.currency, trial_ends_at, terms.cap, total, limits, tuple(overrides))

    async def set_cap(self, tenant_id: UUID, cap: Decimal | None, *, actor: str) -> PlanStanding:
        """The most that may be billed beyond the tier in a calendar month; None: nothing is, and limits hold."""
        if cap is not None and not ZERO < cap <= _LARGEST_CAP:
            raise InvalidInput(
                f"cap: must lie in (0, {_LARGEST_CAP:,}]", field="cap", fix="Give an amount, or --off for no overage."
            )
        async with self._database.transaction(tenant_id) as tx:
            found = await tenants_store.lock(tx, tenant_id)
            if found is None:
                raise NotFound(f"no tenant {tenant_id}")
            await tenants_store.set_overage_cap(tx, tenant_id, cap)
            await record_change(
                tx,
                actor=actor,
                action="tenant.overage",
                subject=found.tenant.slug,
                before={"overage_cap": found.overage_cap},
                after={"overage_cap": cap},
                at=self._clock.now(),
            )
        self._plans.forget(tenant_id)
        return await self.standing(tenant_id)

    async def add_calls(self, tenant_id: UUID, many: int) -> int:
        """Calls since the last time; how many the tenant made today, through every daemon."""
        async with self._database.transaction(tenant_id) as tx:
            await usage_store.serialise(tx, tenant_id)
            return await self._record(tx, tenant_id, LimitName.API_CALLS_PER_DAY, many, adds=True)

    async def note(self, tx: Transaction, tenant_id: UUID, limit: LimitName, quantity: int) -> None:
        """So much is used at once, in the transaction that makes it so; the day's most counts."""
        await usage_store.serialise(tx, tenant_id)
        await self._record(tx, tenant_id, limit, quantity, adds=False)

    async def snapshot(self, tenant_id: UUID) -> None:
        """Notes what is used now: what was opened on an earlier day counts today as well."""
        async with self._database.transaction(tenant_id) as tx:
            used = await self._used(tx, tenant_id)
            for limit, quantity in used.items():
                await self.note(tx, tenant_id, limit, quantity)

    async def _used(self, tx: Transaction, tenant_id: UUID) -> dict[LimitName, int]:
        agents, venues = await usage_store.agents_and_venues(tx, tenant_id)
        return {
            LimitName.AGENTS: len(agents),
            LimitName.POSITIONS: await usage_store.positions(tx, tenant_id),
            LimitName.EXCHANGES: len(venues),
        }

    async def _record(self, tx: Transaction, tenant_id: UUID, limit: LimitName, quantity: int, *, adds: bool) -> int:
        now = self._clock.now()
        before = (await usage_store.today(tx, tenant_id, day_of(now))).get(limit) or DayUse(limit, 0, 0, ZERO)
        total = before.quantity + quantity if adds else max(before.quantity, quantity)
        terms = await self._plans.terms_in(tx, tenant_id)
        await usage_store.put(tx, tenant_id, day_of(now), self._priced(terms, before, total))
        return total

    def _priced(self, terms: Terms, before: DayUse, total: int) -> DayUse:
        """Never more than the cap leaves: what is beyond it was refused, or lasts from a day when it was paid for."""
        included = included_of(terms.limits, before.limit)
        price = self._plans.of_tier[terms.tier].overage.get(before.limit)
        if terms.cap is None or included is None or price is None:
            return DayUse(before.limit, total, before.overage, before.amount)
        beyond = max(before.overage, total - included, 0)
        left = max(terms.cap - (terms.spent - before.amount), ZERO)
        return DayUse(before.limit, total, beyond, max(before.amount, min(beyond * price, left)))
