"""Rows of users and of their memberships."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from alphapulse.domain.lifecycle import ADMITS
from alphapulse.domain.tenancy import Member, Role
from alphapulse.ports.database import Row, Transaction

# -- users: in a transaction bound to the user -----------------------------------------------------------------------


async def insert_user(
    tx: Transaction,
    user_id: UUID,
    email: str,
    password_hash: str | None,
    *,
    platform_admin: bool = False,
    confirmed: bool = False,
    at: datetime,
) -> None:
    """confirmed: whether the address was proved to be the user's. Raises AlreadyExists when the address is known."""
    await tx.run(
        "INSERT INTO users (id, email, password_hash, is_platform_admin, created_at, confirmed_at)"
        " VALUES (%(id)s, %(email)s, %(password_hash)s, %(platform_admin)s, %(at)s, %(confirmed_at)s)",
        {
            "id": user_id,
            "email": email,
            "password_hash": password_hash,
            "platform_admin": platform_admin,
            "at": at,
            "confirmed_at": at if confirmed else None,
        },
    )


async def get_user(tx: Transaction, user_id: UUID) -> Row | None:
    """email, password_hash, is_platform_admin and confirmed_at."""
    return await tx.one(
        "SELECT email, password_hash, is_platform_admin, confirmed_at FROM users WHERE id = %(id)s", {"id": user_id}
    )


async def password_hash(tx: Transaction, user_id: UUID) -> str | None:
    row = await tx.one("SELECT password_hash FROM users WHERE id = %(user_id)s", {"user_id": user_id})
    return None if row is None else row["password_hash"]


async def replace_password(tx: Transaction, user_id: UUID, old_hash: str | None, new_hash: str) -> bool:
    """False when another change came first."""
    changed = await tx.run(
        "UPDATE users SET password_hash = %(new)s"
        " WHERE id = %(user_id)s AND password_hash IS NOT DISTINCT FROM %(old)s",
        {"user_id": user_id, "old": old_hash, "new": new_hash},
    )
    return changed > 0


async def confirm(tx: Transaction, user_id: UUID, at: datetime) -> None:
    """The address is the user's. One that was confirmed before stays so since then."""
    await tx.run(
        "UPDATE users SET confirmed_at = coalesce(confirmed_at, %(at)s) WHERE id = %(user_id)s",
        {"user_id": user_id, "at": at},
    )


async def delete_user(tx: Transaction, user_id: UUID) -> None:
    """With all that hangs on the user."""
    await tx.run("DELETE FROM users WHERE id = %(user_id)s", {"user_id": user_id})


async def memberships_of(tx: Transaction, user_id: UUID) -> list[Row]:
    """tenant_id, slug, state and role of the user's tenants that admit members, by slug.

    In a transaction bound to that user and to no tenant.
    """
    return await tx.all(
        "SELECT m.tenant_id, m.role, t.slug, t.state FROM memberships m JOIN tenants t ON t.id = m.tenant_id"
        " WHERE m.user_id = %(user_id)s AND t.state = ANY(%(admits)s) ORDER BY t.slug",
        {"user_id": user_id, "admits": sorted(ADMITS)},
    )


# -- members: in a transaction bound to the tenant -------------------------------------------------------------------


async def insert_member(tx: Transaction, member: Member) -> None:
    """Raises AlreadyExists when the user is a member."""
    await tx.run(
        "INSERT INTO memberships (tenant_id, user_id, role, created_at)"
        " VALUES (%(tenant_id)s, %(user_id)s, %(role)s, %(created_at)s)",
        {
            "tenant_id": member.tenant_id,
            "user_id": member.user_id,
            "role": member.role.value,
            "created_at": member.created_at,
        },
    )


async def list_members(tx: Transaction, tenant_id: UUID) -> list[Member]:
    """By e-mail."""
    rows = await tx.all(
        "SELECT m.user_id, m.tenant_id, u.email, m.role, m.created_at"
        " FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.tenant_id = %(tenant_id)s ORDER BY u.email",
        {"tenant_id": tenant_id},
    )
    return [_member(row) for row in rows]


async def lock_members(tx: Transaction, tenant_id: UUID) -> dict[UUID, Role]:
    """Role by user; until the end of the transaction no other may change them."""
    rows = await tx.all(
        "SELECT user_id, role FROM memberships WHERE tenant_id = %(tenant_id)s ORDER BY user_id FOR UPDATE",
        {"tenant_id": tenant_id},
    )
    return {row["user_id"]: Role(row["role"]) for row in rows}


async def update_role(tx: Transaction, tenant_id: UUID, user_id: UUID, role: Role) -> None:
    await tx.run(
        "UPDATE memberships SET role = %(role)s WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s",
        {"tenant_id": tenant_id, "user_id": user_id, "role": role.value},
    )


async def revoke_keys_above(
    tx: Transaction, tenant_id: UUID, user_id: UUID, allowed: frozenset[Role], at: datetime
) -> list[UUID]:
    """Ends the user's keys of the tenant whose role is none of ``allowed``; their ids."""
    rows = await tx.all(
        "UPDATE api_keys SET revoked_at = %(at)s WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s"
        " AND revoked_at IS NULL AND role <> ALL(%(allowed)s) RETURNING id",
        {"tenant_id": tenant_id, "user_id": user_id, "allowed": sorted(allowed), "at": at},
    )
    return [row["id"] for row in rows]


async def delete_member(tx: Transaction, tenant_id: UUID, user_id: UUID, at: datetime) -> list[UUID]:
    """Also ends the user's sessions and keys in this tenant; their ids."""
    values = {"tenant_id": tenant_id, "user_id": user_id, "at": at}
    ended = await tx.all(
        "UPDATE sessions SET revoked_at = %(at)s"
        " WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND revoked_at IS NULL RETURNING id",
        values,
    )
    ended += await tx.all(
        "UPDATE api_keys SET revoked_at = %(at)s"
        " WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND revoked_at IS NULL RETURNING id",
        values,
    )
    await tx.run("DELETE FROM memberships WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s", values)
    return [row["id"] for row in ended]


def _member(row: Row) -> Member:
    return Member(row["user_id"], row["tenant_id"], row["email"], Role(row["role"]), row["created_at"])
