"""Tenants, members, API keys."""

from __future__ import annotations

from urllib.parse import quote

from alphapulse.client.connection import Connection, Page, read
from alphapulse.domain.tenancy import ApiKey, Member, Role, Tenant


class TenancyCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create_tenant(
        self, slug: str, name: str, tier: str, admin_email: str, admin_password: str | None = None
    ) -> Tenant:
        """A tenant with its first tenant admin. Raises InputNeeded without a first password."""
        body = {"slug": slug, "name": name, "tier": tier, "admin_email": admin_email}
        if admin_password is not None:
            body["admin_password"] = admin_password
        return read(Tenant, self._connection.post("/tenants", body))

    def tenants(self) -> Page[Tenant]:
        return self._connection.page(Tenant, "/tenants")

    def tenant(self, slug: str) -> Tenant:
        return read(Tenant, self._connection.get(f"/tenants/{quote(slug, safe='')}"))

    def members(self) -> Page[Member]:
        return self._connection.page(Member, "/members")

    def add_member(self, email: str, role: Role, password: str | None = None) -> Member:
        """Raises InputNeeded without a first password."""
        body = {"email": email, "role": role.value}
        if password is not None:
            body["password"] = password
        return read(Member, self._connection.post("/members", body))

    def remove_member(self, email: str) -> None:
        """Ends the member's sessions and keys in this tenant."""
        self._connection.request("DELETE", f"/members/{quote(email, safe='')}")

    def keys(self) -> Page[ApiKey]:
        return self._connection.page(ApiKey, "/keys")

    def create_key(self, name: str, role: Role) -> ApiKey:
        """With its ``key``, the only time the secret is shown."""
        return read(ApiKey, self._connection.post("/keys", {"name": name, "role": role.value}))

    def revoke_key(self, key_id: str) -> None:
        self._connection.request("DELETE", f"/keys/{quote(key_id, safe='')}")
