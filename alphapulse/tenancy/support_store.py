"""Rows of support sessions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from alphapulse.domain.support import SupportSession
from alphapulse.ports.database import Row, Transaction

_MOST = 200


async def insert(tx: Transaction, session: SupportSession) -> None:
    await tx.run(
        "INSERT INTO support_sessions (tenant_id, id, user_id, actor, reason, ticket, opened_at, expires_at)"
        " VALUES (%(tenant_id)s, %(id)s, %(user_id)s, %(actor)s, %(reason)s, %(ticket)s, %(opened_at)s,"
        " %(expires_at)s)",
        {
            "tenant_id": session.tenant_id,
            "id": session.id,
            "user_id": session.user_id,
            "actor": session.actor,
            "reason": session.reason,
            "ticket": session.ticket,
            "opened_at": session.opened_at,
            "expires_at": session.expires_at,
        },
    )


async def in_force(tx: Transaction, tenant_id: UUID, user_id: UUID, now: datetime) -> SupportSession | None:
    """The user's session in the tenant that ends last."""
    row = await tx.one(
        "SELECT * FROM support_sessions WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s"
        " AND closed_at IS NULL AND expires_at > %(now)s ORDER BY expires_at DESC LIMIT 1",
        {"tenant_id": tenant_id, "user_id": user_id, "now": now},
    )
    return None if row is None else _session(row)


async def close(tx: Transaction, tenant_id: UUID, user_id: UUID, now: datetime) -> list[SupportSession]:
    """Those of the user that were in force, now closed."""
    rows = await tx.all(
        "UPDATE support_sessions SET closed_at = %(now)s WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s"
        " AND closed_at IS NULL AND expires_at > %(now)s RETURNING *",
        {"tenant_id": tenant_id, "user_id": user_id, "now": now},
    )
    return [_session(row) for row in rows]


async def newest(tx: Transaction, tenant_id: UUID) -> list[SupportSession]:
    """Of the tenant, the newest first."""
    rows = await tx.all(
        "SELECT * FROM support_sessions WHERE tenant_id = %(tenant_id)s ORDER BY opened_at DESC, id LIMIT %(most)s",
        {"tenant_id": tenant_id, "most": _MOST},
    )
    return [_session(row) for row in rows]


def _session(row: Row) -> SupportSession:
    return SupportSession(
        row["id"],
        row["tenant_id"],
        row["user_id"],
        row["actor"],
        row["reason"],
        row["ticket"],
        row["opened_at"],
        row["expires_at"],
        row["closed_at"],
    )
