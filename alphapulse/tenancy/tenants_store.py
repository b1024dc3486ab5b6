"""Rows of tenants, where each stands in its life, and what a tenant has open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from alphapulse.domain.lifecycle import TenantState
from alphapulse.domain.plans import Tier
from alphapulse.domain.tenancy import Tenant
from alphapulse.ports.database import Row, Transaction


@dataclass(frozen=True, slots=True)
class TenantStanding:
    """left: the state that a closed tenant had before. purge_at: when a deleted one is purged."""

    tenant: Tenant
    left: TenantState | None
    purge_at: datetime | None
    billing_reference: str | None
    overage_cap: Decimal | None


async def insert_tenant(tx: Transaction, tenant: Tenant) -> None:
    """Raises AlreadyExists when the slug is taken."""
    await tx.run(
        "INSERT INTO tenants (id, slug, name, tier, state, created_at)"
        " VALUES (%(id)s, %(slug)s, %(name)s, %(tier)s, %(state)s, %(created_at)s)",
        {
            "id": tenant.id,
            "slug": tenant.slug,
            "name": tenant.name,
            "tier": tenant.tier.value,
            "state": tenant.state.value,
            "created_at": tenant.created_at,
        },
    )


async def get_tenant(tx: Transaction, tenant_id: UUID) -> Tenant | None:
    row = await tx.one(
        "SELECT id, slug, name, tier, state, created_at FROM tenants WHERE id = %(id)s", {"id": tenant_id}
    )
    return None if row is None else tenant(row)


async def list_tenants(tx: Transaction) -> list[Tenant]:
    """Of all tenants that the transaction may see, by slug."""
    rows = await tx.all("SELECT id, slug, name, tier, state, created_at FROM tenants ORDER BY slug")
    return [tenant(row) for row in rows]


async def lock(tx: Transaction, tenant_id: UUID) -> TenantStanding | None:
    """Until the transaction ends the tenant stays as it is and no book of its funds is written: whoever writes one
    holds the shared side of this advisory lock (trading/fund_store.lock). The row itself is locked so that rows which
    refer to it can still be added, or two use cases could wait for each other's.
    """
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended(%(id)s::text, 1))", {"id": tenant_id})
    row = await tx.one(
        "SELECT id, slug, name, tier, state, created_at, left_state, purge_at, billing_reference, overage_cap"
        " FROM tenants WHERE id = %(id)s FOR NO KEY UPDATE",
        {"id": tenant_id},
    )
    return None if row is None else standing(row)


async def move(
    tx: Transaction,
    tenant_id: UUID,
    state: TenantState,
    *,
    reason: str,
    at: datetime,
    left: TenantState | None,
    purge_at: datetime | None,
) -> None:
    await tx.run(
        "UPDATE tenants SET state = %(state)s, state_reason = %(reason)s, state_changed_at = %(at)s,"
        " left_state = %(left)s, purge_at = %(purge_at)s WHERE id = %(id)s",
        {
            "id": tenant_id,
            "state": state.value,
            "reason": reason,
            "at": at,
            "left": None if left is None else left.value,
            "purge_at": purge_at,
        },
    )


async def set_tier(tx: Transaction, tenant_id: UUID, tier: Tier) -> None:
    await tx.run("UPDATE tenants SET tier = %(tier)s WHERE id = %(id)s", {"id": tenant_id, "tier": tier.value})


async def set_overage_cap(tx: Transaction, tenant_id: UUID, cap: Decimal | None) -> None:
    await tx.run("UPDATE tenants SET overage_cap = %(cap)s WHERE id = %(id)s", {"id": tenant_id, "cap": cap})


async def open_orders(tx: Transaction, tenant_id: UUID) -> int:
    """Orders that may still trade."""
    row = await tx.one(
        "SELECT count(*) AS many FROM orders WHERE tenant_id = %(tenant_id)s"
        " AND status IN ('intended', 'unknown', 'open', 'partially_filled')",
        {"tenant_id": tenant_id},
    )
    return 0 if row is None else row["many"]


async def open_positions(tx: Transaction, tenant_id: UUID) -> list[str]:
    """``FUND SYMBOL QUANTITY`` of everything held, by fund and symbol."""
    rows = await tx.all(
        "SELECT f.name, p.symbol, p.quantity FROM positions p"
        " JOIN funds f ON f.tenant_id = p.tenant_id AND f.id = p.fund_id"
        " WHERE p.tenant_id = %(tenant_id)s AND p.quantity > 0 ORDER BY f.name, p.symbol",
        {"tenant_id": tenant_id},
    )
    return [f"{row['name']} {row['symbol']} {row['quantity'].normalize():f}" for row in rows]


async def admins(tx: Transaction, tenant_id: UUID) -> list[str]:
    """Addresses of the tenant's admins."""
    rows = await tx.all(
        "SELECT u.email FROM memberships m JOIN users u ON u.id = m.user_id"
        " WHERE m.tenant_id = %(tenant_id)s AND m.role = 'tenant_admin' ORDER BY u.email",
        {"tenant_id": tenant_id},
    )
    return [row["email"] for row in rows]


async def in_state(tx: Transaction, state: TenantState) -> list[UUID]:
    """The ids of all such tenants; in any transaction."""
    rows = await tx.all("SELECT tenant_id FROM tenants_in(%(state)s)", {"state": state.value})
    return [row["tenant_id"] for row in rows]


def tenant(row: Row) -> Tenant:
    return Tenant(row["id"], row["slug"], row["name"], Tier(row["tier"]), TenantState(row["state"]), row["created_at"])


def standing(row: Row) -> TenantStanding:
    left = row["left_state"]
    return TenantStanding(
        tenant(row),
        None if left is None else TenantState(left),
        row["purge_at"],
        row["billing_reference"],
        row["overage_cap"],
    )
