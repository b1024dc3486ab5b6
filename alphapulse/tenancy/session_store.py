"""Rows of sessions: one per log-in, the family of all tokens that come of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from alphapulse.domain.access import Session
from alphapulse.domain.lifecycle import TenantState
from alphapulse.domain.permissions import Role
from alphapulse.ports.database import Row, Transaction


@dataclass(frozen=True, slots=True)
class InForce:
    """A session that was not revoked. slug, state: of its tenant; None for the platform's own.

    confirmed: whether the user has a second factor. created_at: of the log-in. seen_at: when it was last noted.
    """

    email: str
    role: Role
    slug: str | None
    state: TenantState | None
    generation: int
    created_at: datetime
    expires_at: datetime
    seen_at: datetime
    confirmed: bool


async def insert(tx: Transaction, session: Session, *, generation: int = 0) -> None:
    await tx.run(
        "INSERT INTO sessions (id, tenant_id, user_id, created_at, expires_at, generation, seen_at, address, program)"
        " VALUES (%(id)s, %(tenant_id)s, %(user_id)s, %(created_at)s, %(expires_at)s, %(generation)s, %(seen_at)s,"
        " %(address)s, %(program)s)",
        {
            "id": session.id,
            "tenant_id": session.tenant_id,
            "user_id": session.user_id,
            "created_at": session.created_at,
            "expires_at": session.expires_at,
            "generation": generation,
            "seen_at": session.seen_at,
            "address": session.address,
            "program": session.program,
        },
    )


async def of_member(tx: Transaction, tenant_id: UUID, session_id: UUID) -> InForce | None:
    """None when it was revoked or never was, or the user is no member any more. Whatever the tenant's state."""
    row = await tx.one(
        "SELECT s.created_at, s.expires_at, s.seen_at, s.generation, u.email, m.role, t.slug, t.state,"
        " true AS confirmed FROM sessions s"
        " JOIN memberships m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id"
        " JOIN users u ON u.id = s.user_id JOIN tenants t ON t.id = s.tenant_id"
        " WHERE s.tenant_id = %(tenant_id)s AND s.id = %(id)s AND s.revoked_at IS NULL",
        {"tenant_id": tenant_id, "id": session_id},
    )
    return None if row is None else _in_force(row)


async def of_platform_admin(tx: Transaction, session_id: UUID) -> InForce | None:
    """The same of a platform admin's session, in a transaction bound to that user."""
    row = await tx.one(
        "SELECT s.created_at, s.expires_at, s.seen_at, s.generation, u.email, %(role)s AS role, NULL AS slug,"
        " NULL AS state, f.confirmed_at IS NOT NULL AS confirmed"
        " FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN second_factors f ON f.user_id = u.id"
        " WHERE s.id = %(id)s AND s.tenant_id IS NULL AND s.revoked_at IS NULL AND u.is_platform_admin",
        {"id": session_id, "role": Role.PLATFORM_ADMIN.value},
    )
    return None if row is None else _in_force(row)


async def seen(tx: Transaction, session_id: UUID, at: datetime) -> None:
    await tx.run("UPDATE sessions SET seen_at = %(at)s WHERE id = %(id)s", {"id": session_id, "at": at})


async def advance(
    tx: Transaction, session_id: UUID, generation: int, *, expires_at: datetime, at: datetime, address: str
) -> bool:
    """Take the refresh token of ``generation``: False when it is not the one that is good now."""
    changed = await tx.run(
        "UPDATE sessions SET generation = generation + 1, expires_at = %(expires_at)s, seen_at = %(at)s,"
        " address = %(address)s WHERE id = %(id)s AND generation = %(generation)s AND revoked_at IS NULL",
        {"id": session_id, "generation": generation, "expires_at": expires_at, "at": at, "address": address},
    )
    return changed > 0


async def revoke(tx: Transaction, session_id: UUID, at: datetime) -> Row | None:
    """tenant_id and user_id of one that ended now; None when there was none to end."""
    return await tx.one(
        "UPDATE sessions SET revoked_at = %(at)s WHERE id = %(id)s AND revoked_at IS NULL RETURNING tenant_id, user_id",
        {"id": session_id, "at": at},
    )


async def revoke_sessions(tx: Transaction, user_id: UUID, at: datetime, kept: UUID | None = None) -> list[UUID]:
    """End all of a user's, but ``kept``: the ids of those that ended. In a transaction bound to that user alone."""
    rows = await tx.all(
        "UPDATE sessions SET revoked_at = %(at)s"
        " WHERE user_id = %(user_id)s AND id IS DISTINCT FROM %(kept)s::uuid AND revoked_at IS NULL RETURNING id",
        {"user_id": user_id, "kept": kept, "at": at},
    )
    return [row["id"] for row in rows]


async def list_sessions(tx: Transaction, at: datetime, *, lifetime: timedelta) -> list[Session]:
    """Those that can still be used or refreshed at ``at``, as the transaction may see them; newest first.

    lifetime: how long a session can be refreshed.
    """
    rows = await tx.all(
        "SELECT s.id, s.tenant_id, s.user_id, u.email, t.slug, s.created_at, s.expires_at, s.seen_at, s.address,"
        " s.program FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN tenants t ON t.id = s.tenant_id"
        " WHERE s.revoked_at IS NULL AND s.created_at > %(since)s ORDER BY s.created_at DESC, s.id",
        {"since": at - lifetime},
    )
    return [Session(**row) for row in rows]


async def delete_old(tx: Transaction, older: timedelta) -> int:
    """Of the bound tenant; how many."""
    return await tx.run("DELETE FROM sessions WHERE created_at < now() - %(older)s", {"older": older})


def _in_force(row: Row) -> InForce:
    return InForce(
        email=row["email"],
        role=Role(row["role"]),
        slug=row["slug"],
        state=None if row["state"] is None else TenantState(row["state"]),
        generation=row["generation"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        seen_at=row["seen_at"],
        confirmed=row["confirmed"],
    )
