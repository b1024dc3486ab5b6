"""Rows of tenants, users, memberships, sessions and API keys.

What is looked up before a tenant is known goes through the definer functions of the schema, which answer with ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from alphapulse.domain.tenancy import ApiKey, Member, Role, Tenant, TenantState
from alphapulse.ports.database import Row, Transaction


async def find(
    tx: Transaction, *, email: str | None = None, slug: str | None = None
) -> tuple[UUID | None, UUID | None]:
    """The ids of the user with this address and of the tenant with this slug; None for what there is not."""
    row = await tx.one(
        "SELECT user_by_email(%(email)s) AS user_id, tenant_by_slug(%(slug)s) AS tenant_id",
        {"email": email, "slug": slug},
    )
    return (row["user_id"], row["tenant_id"]) if row else (None, None)


async def find_key(tx: Transaction, prefix: str) -> Row | None:
    """key_id, tenant_id (or None) and user_id."""
    return await tx.one("SELECT key_id, tenant_id, user_id FROM api_key_by_prefix(%(prefix)s)", {"prefix": prefix})


# -- tenants ---------------------------------------------------------------------------------------------------------


async def insert_tenant(tx: Transaction, tenant: Tenant) -> None:
    await tx.run(
        "INSERT INTO tenants (id, slug, name, tier, state, created_at)"
        " VALUES (%(id)s, %(slug)s, %(name)s, %(tier)s, %(state)s, %(created_at)s)",
        {
            "id": tenant.id,
            "slug": tenant.slug,
            "name": tenant.name,
            "tier": tenant.tier,
            "state": tenant.state.value,
            "created_at": tenant.created_at,
        },
    )


async def get_tenant(tx: Transaction, tenant_id: UUID) -> Tenant | None:
    row = await tx.one(
        "SELECT id, slug, name, tier, state, created_at FROM tenants WHERE id = %(id)s", {"id": tenant_id}
    )
    return None if row is None else _tenant(row)


async def list_tenants(tx: Transaction) -> list[Tenant]:
    """Of all tenants that the transaction may see, by slug."""
    rows = await tx.all("SELECT id, slug, name, tier, state, created_at FROM tenants ORDER BY slug")
    return [_tenant(row) for row in rows]


# -- users and members -----------------------------------------------------------------------------------------------


async def insert_user(
    tx: Transaction, user_id: UUID, email: str, password_hash: str | None, *, platform_admin: bool, at: datetime
) -> None:
    await tx.run(
        "INSERT INTO users (id, email, password_hash, is_platform_admin, created_at)"
        " VALUES (%(id)s, %(email)s, %(password_hash)s, %(platform_admin)s, %(at)s)",
        {
            "id": user_id,
            "email": email,
            "password_hash": password_hash,
            "platform_admin": platform_admin,
            "at": at,
        },
    )


async def get_user(tx: Transaction, user_id: UUID) -> Row | None:
    """email, password_hash and is_platform_admin."""
    return await tx.one("SELECT email, password_hash, is_platform_admin FROM users WHERE id = %(id)s", {"id": user_id})


async def password_hash(tx: Transaction, tenant_id: UUID | None, user_id: UUID) -> str | None:
    """Of the user as a member of the tenant; without a tenant, as a platform admin."""
    if tenant_id is None:
        row = await tx.one("SELECT password_hash FROM users WHERE id = %(user_id)s", {"user_id": user_id})
    else:
        row = await tx.one(
            "SELECT password_hash FROM memberships WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s",
            {"tenant_id": tenant_id, "user_id": user_id},
        )
    return None if row is None else row["password_hash"]


async def replace_password(
    tx: Transaction, tenant_id: UUID | None, user_id: UUID, old_hash: str | None, new_hash: str
) -> bool:
    """False when another change came first."""
    values = {"tenant_id": tenant_id, "user_id": user_id, "old": old_hash, "new": new_hash}
    if tenant_id is None:
        changed = await tx.run(
            "UPDATE users SET password_hash = %(new)s WHERE id = %(user_id)s AND password_hash = %(old)s", values
        )
    else:
        changed = await tx.run(
            "UPDATE memberships SET password_hash = %(new)s"
            " WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND password_hash = %(old)s",
            values,
        )
    return changed > 0


async def memberships_of(tx: Transaction, user_id: UUID) -> list[Row]:
    """tenant_id, slug, role and password_hash of the active tenants that the user belongs to.

    In a transaction bound to that user and to no tenant.
    """
    return await tx.all(
        "SELECT m.tenant_id, m.role, m.password_hash, t.slug FROM memberships m JOIN tenants t ON t.id = m.tenant_id"
        " WHERE m.user_id = %(user_id)s AND t.state = %(active)s ORDER BY t.slug",
        {"user_id": user_id, "active": TenantState.ACTIVE.value},
    )


async def insert_member(tx: Transaction, member: Member, hashed: str | None) -> None:
    """hashed: of the password that opens this tenant to the user. Raises AlreadyExists when the user is a member."""
    await tx.run(
        "INSERT INTO memberships (tenant_id, user_id, role, password_hash, created_at)"
        " VALUES (%(tenant_id)s, %(user_id)s, %(role)s, %(hashed)s, %(created_at)s)",
        {
            "tenant_id": member.tenant_id,
            "user_id": member.user_id,
            "role": member.role.value,
            "hashed": hashed,
            "created_at": member.created_at,
        },
    )


async def list_members(tx: Transaction, tenant_id: UUID) -> list[Member]:
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


async def delete_member(tx: Transaction, tenant_id: UUID, user_id: UUID, at: datetime) -> None:
    """Also ends the user's sessions and keys in this tenant."""
    values = {"tenant_id": tenant_id, "user_id": user_id, "at": at}
    await tx.run(
        "UPDATE sessions SET revoked_at = %(at)s"
        " WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND revoked_at IS NULL",
        values,
    )
    await tx.run(
        "UPDATE api_keys SET revoked_at = %(at)s"
        " WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND revoked_at IS NULL",
        values,
    )
    await tx.run("DELETE FROM memberships WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s", values)


# -- sessions --------------------------------------------------------------------------------------------------------


async def insert_session(tx: Transaction, session: Mapping[str, Any]) -> None:
    """session: id, tenant_id (or None), user_id, created_at, expires_at."""
    await tx.run(
        "INSERT INTO sessions (id, tenant_id, user_id, created_at, expires_at)"
        " VALUES (%(id)s, %(tenant_id)s, %(user_id)s, %(created_at)s, %(expires_at)s)",
        session,
    )


async def member_session(tx: Transaction, tenant_id: UUID, session_id: UUID) -> Row | None:
    """created_at, email, role and slug of a session that is in force; None when it was revoked or never was."""
    return await tx.one(
        "SELECT s.created_at, u.email, m.role, t.slug FROM sessions s"
        " JOIN memberships m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id"
        " JOIN users u ON u.id = s.user_id JOIN tenants t ON t.id = s.tenant_id"
        " WHERE s.tenant_id = %(tenant_id)s AND s.id = %(id)s AND s.revoked_at IS NULL AND t.state = %(active)s",
        {"tenant_id": tenant_id, "id": session_id, "active": TenantState.ACTIVE.value},
    )


async def platform_session(tx: Transaction, session_id: UUID) -> Row | None:
    """The same of a platform admin's session, in a transaction bound to that user."""
    return await tx.one(
        "SELECT s.created_at, u.email FROM sessions s JOIN users u ON u.id = s.user_id"
        " WHERE s.id = %(id)s AND s.tenant_id IS NULL AND s.revoked_at IS NULL AND u.is_platform_admin",
        {"id": session_id},
    )


async def extend_session(tx: Transaction, session_id: UUID, expires_at: datetime) -> None:
    await tx.run(
        "UPDATE sessions SET expires_at = %(expires_at)s WHERE id = %(id)s",
        {"id": session_id, "expires_at": expires_at},
    )


async def revoke_session(tx: Transaction, session_id: UUID, at: datetime) -> None:
    await tx.run(
        "UPDATE sessions SET revoked_at = %(at)s WHERE id = %(id)s AND revoked_at IS NULL",
        {"id": session_id, "at": at},
    )


async def revoke_other_sessions(tx: Transaction, user_id: UUID, kept: UUID, at: datetime) -> list[UUID]:
    """The ids of those that ended; in a transaction bound to the tenant, or to the user for those of the platform."""
    rows = await tx.all(
        "UPDATE sessions SET revoked_at = %(at)s"
        " WHERE user_id = %(user_id)s AND id <> %(kept)s AND revoked_at IS NULL RETURNING id",
        {"user_id": user_id, "kept": kept, "at": at},
    )
    return [row["id"] for row in rows]


# -- API keys --------------------------------------------------------------------------------------------------------


async def insert_key(tx: Transaction, key: ApiKey, user_id: UUID, secret_hash: bytes) -> None:
    await tx.run(
        "INSERT INTO api_keys (id, tenant_id, user_id, name, prefix, secret_hash, role, created_at, expires_at)"
        " VALUES (%(id)s, %(tenant_id)s, %(user_id)s, %(name)s, %(prefix)s, %(secret_hash)s, %(role)s,"
        " %(created_at)s, %(expires_at)s)",
        {
            "id": key.id,
            "tenant_id": key.tenant_id,
            "user_id": user_id,
            "name": key.name,
            "prefix": key.prefix,
            "secret_hash": secret_hash,
            "role": key.role.value,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
        },
    )


async def get_key(tx: Transaction, key_id: UUID) -> Row | None:
    """secret_hash, role, expires_at and revoked_at, when the transaction may see the key."""
    return await tx.one(
        "SELECT secret_hash, role, expires_at, revoked_at FROM api_keys WHERE id = %(id)s", {"id": key_id}
    )


async def list_keys(tx: Transaction, tenant_id: UUID | None) -> list[ApiKey]:
    """Newest first. tenant_id None: the platform's keys of the bound user."""
    rows = await tx.all(
        "SELECT id, tenant_id, name, prefix, role, created_at, expires_at, revoked_at FROM api_keys"
        " WHERE tenant_id IS NOT DISTINCT FROM %(tenant_id)s::uuid ORDER BY created_at DESC, id",
        {"tenant_id": tenant_id},
    )
    return [_key(row) for row in rows]


async def revoke_key(tx: Transaction, tenant_id: UUID | None, key_id: UUID, at: datetime) -> bool:
    """Whether there is such a key; one that was revoked stays as it is."""
    changed = await tx.run(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, %(at)s)"
        " WHERE id = %(id)s AND tenant_id IS NOT DISTINCT FROM %(tenant_id)s::uuid",
        {"id": key_id, "tenant_id": tenant_id, "at": at},
    )
    return changed > 0


def _tenant(row: Row) -> Tenant:
    return Tenant(row["id"], row["slug"], row["name"], row["tier"], TenantState(row["state"]), row["created_at"])


def _member(row: Row) -> Member:
    return Member(row["user_id"], row["tenant_id"], row["email"], Role(row["role"]), row["created_at"])


def _key(row: Row) -> ApiKey:
    return ApiKey(
        row["id"],
        row["tenant_id"],
        row["name"],
        row["prefix"],
        Role(row["role"]),
        row["created_at"],
        row["expires_at"],
        row["revoked_at"],
    )
