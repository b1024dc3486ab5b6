"""Tenants as they are looked up. How they come: provisioning.py; what is done to them: lifecycle.py."""

from __future__ import annotations

from uuid import UUID

from alphapulse.domain.tenancy import Tenant
from alphapulse.errors import InvalidInput, NotFound
from alphapulse.ports.database import Database
from alphapulse.tenancy import store, tenants_store

_LONGEST_NAME = 100


class Tenancy:
    """Every call is one use case in one transaction."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def list_tenants(self) -> list[Tenant]:
        """All tenants of the platform, by slug."""
        async with self._database.platform() as tx:
            return await tenants_store.list_tenants(tx)

    async def get_tenant(self, name: str) -> Tenant:
        """name: slug or id. Raises NotFound."""
        async with self._database.shared() as tx:
            _, tenant_id = await store.find(tx, slug=name)
        found = tenant_id or _as_id(name)
        if found is None:
            raise NotFound(f"no tenant {name[:60]!r}")
        return await self.tenant(found)

    async def tenant(self, tenant_id: UUID) -> Tenant:
        """Raises NotFound."""
        async with self._database.glance(tenant_id) as tx:
            found = await tenants_store.get_tenant(tx, tenant_id)
        if found is None:
            raise NotFound(f"no tenant {tenant_id}")
        return found


def parse_name(text: str, field: str = "name") -> str:
    """A name for people: 1 to 100 printable characters."""
    name = text.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"{field}: must be 1 to {_LONGEST_NAME} printable characters", field=field)
    return name


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
