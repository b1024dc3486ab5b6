"""No billing: accounts have references, and nobody is charged."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from alphapulse.domain.plans import Tier


class NoBilling:
    async def open_account(
        self,
        tenant_id: UUID,
        name: str,  # noqa: ARG002 -- the port's
        email: str,  # noqa: ARG002 -- the port's
        tier: Tier,  # noqa: ARG002 -- the port's
        *,
        trial_until: datetime | None = None,  # noqa: ARG002 -- the port's
    ) -> str:
        return f"none:{tenant_id}"

    async def change_tier(self, reference: str, tier: Tier) -> None:
        pass

    async def close_account(self, reference: str) -> None:
        pass
