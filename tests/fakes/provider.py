"""A billing provider with a memory, that refuses as often as a test tells it to."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from alphapulse.domain.plans import Tier


class Provider:
    """refusals: what the first calls raise, of opening and of closing. tiers: of the open accounts, by reference."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals: list[Exception] = list(refusals)
        self.tiers: dict[str, Tier] = {}
        self.trials: dict[str, datetime | None] = {}

    async def open_account(
        self, tenant_id: UUID, name: str, email: str, tier: Tier, *, trial_until: datetime | None = None
    ) -> str:
        self._refuse()
        reference = f"customer-{tenant_id}"
        self.tiers[reference] = tier
        self.trials[reference] = trial_until
        return reference

    async def change_tier(self, reference: str, tier: Tier) -> None:
        self._refuse()
        self.tiers[reference] = tier

    async def close_account(self, reference: str) -> None:
        self._refuse()
        self.tiers.pop(reference, None)

    def _refuse(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
