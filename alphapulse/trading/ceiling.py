"""How many positions a tenant's plan lets it hold, over all of its funds together."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from alphapulse.domain.plans import Allowance, LimitName
from alphapulse.domain.risk import Openings
from alphapulse.ports.database import Transaction
from alphapulse.tenancy import usage_store
from alphapulse.tenancy.metering import Metering
from alphapulse.tenancy.plans import Plans
from alphapulse.trading.book_store import Standing


class Ceiling:
    """Asked by the desk before and inside the transaction that judges orders."""

    def __init__(self, *, plans: Plans, metering: Metering) -> None:
        self._plans = plans
        self._metering = metering

    async def allowance(self, tenant_id: UUID) -> Allowance:
        """Before the transaction: remembered for a few seconds."""
        return await self._plans.allowance_of(tenant_id, LimitName.POSITIONS)

    async def measure(self, tx: Transaction, fund_id: UUID, standing: Standing, allowance: Allowance) -> Standing:
        """What the tenant's other funds hold, where that matters. Its other funds' orders wait until ``tx`` ends, or
        two of them would each open the last position.
        """
        if allowance.allowed is None or tx.tenant_id is None:
            return standing
        await usage_store.serialise(tx, tx.tenant_id)
        elsewhere = await usage_store.positions(tx, tx.tenant_id, apart_from=fund_id)
        lifted_by = "none" if allowance.lifted_by is None else allowance.lifted_by.value
        return replace(standing, openings=Openings(allowance.allowed, elsewhere, lifted_by))

    async def note(self, tx: Transaction, allowance: Allowance) -> None:
        """After orders were stored: what lies beyond the plan is noted for the bill of the day."""
        paid_for = allowance.included is not None and allowance.allowed != allowance.included
        if not paid_for or tx.tenant_id is None:
            return
        total = await usage_store.positions(tx, tx.tenant_id)
        if allowance.included is not None and total > allowance.included:
            await self._metering.note(tx, tx.tenant_id, LimitName.POSITIONS, total)
