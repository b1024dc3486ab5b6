"""Rows of tiers and overrides."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from alphapulse.domain.plans import LimitName, Override, Tier
from alphapulse.errors import NotFound
from alphapulse.ports.database import Row, Transaction


async def tier_and_cap(tx: Transaction, tenant_id: UUID) -> tuple[Tier, Decimal | None]:
    """cap: the most that a month's overage may cost. Raises NotFound."""
    row = await tx.one("SELECT tier, overage_cap FROM tenants WHERE id = %(id)s", {"id": tenant_id})
    if row is None:
        raise NotFound(f"no tenant {tenant_id}")
    return Tier(row["tier"]), row["overage_cap"]


async def trial_end(tx: Transaction, tenant_id: UUID) -> datetime | None:
    row = await tx.one("SELECT trial_ends_at FROM tenants WHERE id = %(id)s", {"id": tenant_id})
    return None if row is None else row["trial_ends_at"]


async def overrides(tx: Transaction, tenant_id: UUID) -> list[Override]:
    """Those that have expired too, by limit."""
    rows = await tx.all(
        'SELECT "limit", value, expires_at, reason, actor, created_at FROM tenant_overrides'
        ' WHERE tenant_id = %(tenant_id)s ORDER BY "limit"',
        {"tenant_id": tenant_id},
    )
    return [_override(row) for row in rows]


async def put_override(tx: Transaction, tenant_id: UUID, override: Override) -> None:
    """Replaces the tenant's override of the same limit."""
    await tx.run(
        'INSERT INTO tenant_overrides (tenant_id, "limit", value, expires_at, reason, actor, created_at)'
        " VALUES (%(tenant_id)s, %(limit)s, %(value)s, %(expires_at)s, %(reason)s, %(actor)s, %(created_at)s)"
        ' ON CONFLICT (tenant_id, "limit") DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at,'
        " reason = excluded.reason, actor = excluded.actor, created_at = excluded.created_at",
        {
            "tenant_id": tenant_id,
            "limit": override.limit.value,
            "value": override.value,
            "expires_at": override.expires_at,
            "reason": override.reason,
            "actor": override.actor,
            "created_at": override.created_at,
        },
    )


async def delete_override(tx: Transaction, tenant_id: UUID, limit_name: LimitName) -> bool:
    """Whether there was one."""
    gone = await tx.run(
        'DELETE FROM tenant_overrides WHERE tenant_id = %(tenant_id)s AND "limit" = %(limit)s',
        {"tenant_id": tenant_id, "limit": limit_name.value},
    )
    return gone > 0


async def delete_overrides(tx: Transaction, tenant_id: UUID) -> int:
    """All of the tenant's; how many there were."""
    return await tx.run("DELETE FROM tenant_overrides WHERE tenant_id = %(tenant_id)s", {"tenant_id": tenant_id})


def _override(row: Row) -> Override:
    return Override(
        LimitName(row["limit"]), row["value"], row["expires_at"], row["reason"], row["actor"], row["created_at"]
    )
