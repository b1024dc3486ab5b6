"""Tenants of the platform, and the plan of one's own."""

from __future__ import annotations

import time
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from alphapulse.client.connection import Connection, Page, read
from alphapulse.domain.lifecycle import TenantState
from alphapulse.domain.plans import Override, PlanStanding
from alphapulse.domain.provisioning import ProvisioningStatus
from alphapulse.domain.tenancy import Tenant
from alphapulse.errors import Conflict, Unavailable

#: Seconds between two looks at a provisioning, and after which it should be over.
_LOOK_EVERY, _PATIENCE = 0.05, 60.0


class TenantCalls:
    """``tenant`` is a slug or an id."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, name: str, tier: str, admin_email: str, *, slug: str | None = None) -> Tenant:
        """Begins a tenant; ``provisioning`` tells how far it is. slug None: made from the name."""
        body = {"name": name, "tier": tier, "admin_email": admin_email}
        if slug is not None:
            body["slug"] = slug
        return read(Tenant, self._connection.post("/tenants", body))

    def provision(
        self, name: str, tier: str, admin_email: str, *, slug: str | None = None, patience: float = _PATIENCE
    ) -> Tenant:
        """``create``, and wait until it is active. patience: seconds.

        Raises Conflict when it was rolled back, Unavailable when it takes longer.
        """
        made = self.create(name, tier, admin_email, slug=slug)
        deadline = time.monotonic() + patience
        status = self.provisioning(made.slug)
        while status.finished_at is None:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"tenant {made.slug} is not provisioned after {patience:g} s",
                    fix=f"See how far it is: alphapulse tenants status {made.slug}",
                )
            time.sleep(_LOOK_EVERY)
            status = self.provisioning(made.slug)
        insist_provisioned(status)
        return self.get(made.slug)

    def list(self) -> Page[Tenant]:
        return self._connection.page(Tenant, "/tenants")

    def get(self, tenant: str) -> Tenant:
        return read(Tenant, self._connection.get(_path(tenant)))

    def provisioning(self, tenant: str) -> ProvisioningStatus:
        return read(ProvisioningStatus, self._connection.get(_path(tenant, "provisioning")))

    def retry(self, tenant: str) -> Tenant:
        """Provisions anew what was rolled back."""
        return read(Tenant, self._connection.post(_path(tenant, "provisioning")))

    def suspend(self, tenant: str, reason: str) -> Tenant:
        return read(Tenant, self._connection.post(_path(tenant, "suspend"), {"reason": reason}))

    def resume(self, tenant: str, reason: str) -> Tenant:
        return read(Tenant, self._connection.post(_path(tenant, "resume"), {"reason": reason}))

    def cancel(self, tenant: str, reason: str, *, acknowledge_positions: bool = False) -> Tenant:
        body = {"reason": reason, "acknowledge_positions": acknowledge_positions}
        return read(Tenant, self._connection.post(_path(tenant, "cancel"), body))

    def delete(self, tenant: str, confirm: str, reason: str, *, acknowledge_positions: bool = False) -> Tenant:
        """confirm: the tenant's slug, typed by whoever wants it deleted."""
        body = {"confirm": confirm, "reason": reason, "acknowledge_positions": acknowledge_positions}
        return read(Tenant, self._connection.post(_path(tenant, "delete"), body))

    def restore(self, tenant: str, reason: str) -> Tenant:
        return read(Tenant, self._connection.post(_path(tenant, "restore"), {"reason": reason}))

    def change_tier(self, tenant: str, tier: str, reason: str) -> Tenant:
        body = {"tier": tier, "reason": reason}
        return read(Tenant, self._connection.request("PUT", _path(tenant, "tier"), body=body))

    def plan(self, tenant: str | None = None) -> PlanStanding:
        """None: of the caller's own tenant."""
        return read(PlanStanding, self._connection.get("/plan" if tenant is None else _path(tenant, "plan")))

    def set_overage(self, cap: Decimal | None) -> PlanStanding:
        """Of the caller's own tenant; None: nothing is billed beyond the tier."""
        return read(PlanStanding, self._connection.request("PUT", "/plan/overage", body={"cap": cap}))

    def override(self, tenant: str, limit: str, value: int | None, *, until: datetime, reason: str) -> Override:
        """value None: unlimited."""
        body: dict[str, Any] = {"value": value, "until": until, "reason": reason}
        path = _path(tenant, f"overrides/{quote(limit, safe='')}")
        return read(Override, self._connection.request("PUT", path, body=body))

    def drop_override(self, tenant: str, limit: str, reason: str) -> PlanStanding:
        path = _path(tenant, f"overrides/{quote(limit, safe='')}")
        return read(PlanStanding, self._connection.request("DELETE", path, query={"reason": reason}))


def insist_provisioned(status: ProvisioningStatus) -> None:
    """Raises Conflict when it was rolled back."""
    if status.state is TenantState.PENDING:
        raise Conflict(
            f"provisioning {status.slug} failed and was undone: {status.error}",
            fix=f"Mend the cause, then: alphapulse tenants retry {status.slug}",
        )


def _path(tenant: str, *parts: str) -> str:
    return "/".join(["/tenants", quote(tenant, safe=""), *parts])
