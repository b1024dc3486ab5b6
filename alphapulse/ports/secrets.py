"""Where secrets of tenants live: a namespace for each, which nobody else's credentials open."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID


class Secrets(Protocol):
    """Every call may be repeated. Raises Unavailable when the store does not answer, Misconfigured when it refuses."""

    async def prepare(self, tenant_id: UUID) -> None:
        """Make the tenant's namespace; one that is there stays as it is."""
        ...

    async def erase(self, tenant_id: UUID) -> None:
        """Remove the namespace with all that is in it; without one nothing happens."""
        ...

    async def ping(self, tenant_id: UUID | None = None) -> None:
        """Prove that the store can be written: the tenant's namespace, or the whole."""
        ...
