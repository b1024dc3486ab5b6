"""Who sends the invoices."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol
from uuid import UUID

from alphapulse.domain.plans import Tier


class Billing(Protocol):
    """Every call may be repeated. Raises Unavailable when the provider does not answer."""

    async def open_account(
        self, tenant_id: UUID, name: str, email: str, tier: Tier, *, trial_until: datetime | None = None
    ) -> str:
        """The provider's reference of the tenant's account; a second call gives the same."""
        ...

    async def change_tier(self, reference: str, tier: Tier) -> None:
        """Bill this tier from now on."""
        ...

    async def close_account(self, reference: str) -> None:
        """Nothing is billed from now on; personal data at the provider is erased. Unknown references are closed."""
        ...
