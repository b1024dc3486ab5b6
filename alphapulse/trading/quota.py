"""How many agents and venues a tenant's plan lets its funds use."""

from __future__ import annotations

from uuid import UUID

from alphapulse.domain.funds import FundConfig
from alphapulse.domain.plans import LimitName
from alphapulse.ports.database import Transaction
from alphapulse.tenancy import usage_store
from alphapulse.tenancy.metering import Metering
from alphapulse.tenancy.plans import Plans


class Quota:
    """Asked in the transaction that stores a fund's configuration."""

    def __init__(self, *, plans: Plans, metering: Metering) -> None:
        self._plans = plans
        self._metering = metering

    async def insist(
        self, tx: Transaction, tenant_id: UUID, fund_id: UUID, wanted: FundConfig, before: FundConfig | None
    ) -> None:
        """Raises TierLimitReached when ``wanted`` takes more than the plan allows. What the fund has already, as after
        a change to a smaller tier, it may keep.
        """
        terms = await self._plans.terms_in(tx, tenant_id)
        await usage_store.serialise(tx, tenant_id)
        agents, venues = await usage_store.agents_and_venues(tx, tenant_id, apart_from=fund_id)
        sets = (
            (LimitName.AGENTS, agents, _agents(wanted), _agents(before)),
            (LimitName.EXCHANGES, venues, {wanted.venue}, set[str]() if before is None else {before.venue}),
        )
        for limit, elsewhere, new, old in sets:
            total = len(elsewhere | new)
            allowance = self._plans.allowance(terms, limit)
            if total > len(elsewhere | old):
                allowance.insist(total)
            if allowance.included is not None and total > allowance.included:
                await self._metering.note(tx, tenant_id, limit, total)


def _agents(config: FundConfig | None) -> set[str]:
    return set() if config is None else {choice.name for choice in config.agents if choice.enabled}
