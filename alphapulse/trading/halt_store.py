"""Halts: latched rows. A halt of a fund or a tenant belongs to the tenant, the platform's to everybody."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from alphapulse.domain.risk import Halt, HaltScope
from alphapulse.ports.database import Row, Transaction

_TENANT: LiteralString = (
    "SELECT h.id, h.fund_id, f.name AS fund, h.reason, h.actor, h.recorded_at, h.lifted_at, h.lifted_by,"
    " CASE WHEN h.fund_id IS NULL THEN 'tenant' ELSE 'fund' END AS scope"
    " FROM halts h LEFT JOIN funds f ON f.tenant_id = h.tenant_id AND f.id = h.fund_id"
    " WHERE h.tenant_id = %(tenant_id)s"
)
_PLATFORM: LiteralString = (
    "SELECT id, NULL::uuid AS fund_id, NULL::text AS fund, reason, actor, recorded_at, lifted_at, lifted_by,"
    " 'platform' AS scope FROM platform_halts"
)


async def insert(tx: Transaction, halt: Halt) -> None:
    parameters = {
        "id": halt.id,
        "reason": halt.reason,
        "actor": halt.actor,
        "recorded_at": halt.recorded_at,
        "tenant_id": tx.tenant_id,
        "fund_id": halt.fund_id,
    }
    if halt.scope is HaltScope.PLATFORM:
        await tx.run(
            "INSERT INTO platform_halts (id, reason, actor, recorded_at, lifted_at, lifted_by)"
            " VALUES (%(id)s, %(reason)s, %(actor)s, %(recorded_at)s, NULL, '')",
            parameters,
        )
    else:
        await tx.run(
            "INSERT INTO halts (tenant_id, id, fund_id, reason, actor, recorded_at, lifted_at, lifted_by)"
            " VALUES (%(tenant_id)s, %(id)s, %(fund_id)s, %(reason)s, %(actor)s, %(recorded_at)s, NULL, '')",
            parameters,
        )


async def in_force(tx: Transaction, scope: HaltScope, fund_id: UUID | None = None) -> list[Halt]:
    """Newest first, of exactly this scope."""
    if scope is HaltScope.PLATFORM:
        rows = await tx.all(_PLATFORM + " WHERE lifted_at IS NULL ORDER BY recorded_at DESC")
    else:
        rows = await tx.all(
            _TENANT + " AND h.lifted_at IS NULL AND h.fund_id IS NOT DISTINCT FROM %(fund_id)s"
            " ORDER BY h.recorded_at DESC",
            {"tenant_id": tx.tenant_id, "fund_id": fund_id},
        )
    return [_halt(row) for row in rows]


async def all_in_force(tx: Transaction) -> list[Halt]:
    """The platform's, and the bound tenant's of both scopes; newest first."""
    halts = await in_force(tx, HaltScope.PLATFORM)
    if tx.tenant_id is not None:
        rows = await tx.all(
            _TENANT + " AND h.lifted_at IS NULL ORDER BY h.recorded_at DESC", {"tenant_id": tx.tenant_id}
        )
        halts += [_halt(row) for row in rows]
    return halts


async def lift(tx: Transaction, scope: HaltScope, fund_id: UUID | None, actor: str, now: datetime) -> int:
    """How many halts of exactly this scope were lifted."""
    parameters = {"tenant_id": tx.tenant_id, "fund_id": fund_id, "actor": actor, "now": now}
    if scope is HaltScope.PLATFORM:
        return await tx.run(
            "UPDATE platform_halts SET lifted_at = %(now)s, lifted_by = %(actor)s WHERE lifted_at IS NULL", parameters
        )
    return await tx.run(
        "UPDATE halts SET lifted_at = %(now)s, lifted_by = %(actor)s WHERE tenant_id = %(tenant_id)s"
        " AND lifted_at IS NULL AND fund_id IS NOT DISTINCT FROM %(fund_id)s",
        parameters,
    )


def _halt(row: Row) -> Halt:
    return Halt(
        id=row["id"],
        scope=HaltScope(row["scope"]),
        reason=row["reason"],
        actor=row["actor"],
        recorded_at=row["recorded_at"],
        fund_id=row["fund_id"],
        fund=row["fund"],
        lifted_at=row["lifted_at"],
        lifted_by=row["lifted_by"],
    )
