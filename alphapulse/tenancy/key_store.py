"""Rows of API keys."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from alphapulse.domain.tenancy import ApiKey, Permission, Role
from alphapulse.ports.database import Row, Transaction


async def find_key(tx: Transaction, prefix: str) -> Row | None:
    """key_id, tenant_id (or None) and user_id; before a tenant is known."""
    return await tx.one("SELECT key_id, tenant_id, user_id FROM api_key_by_prefix(%(prefix)s)", {"prefix": prefix})


async def insert_key(tx: Transaction, key: ApiKey, user_id: UUID, secret_hash: bytes) -> None:
    await tx.run(
        "INSERT INTO api_keys (id, tenant_id, user_id, name, prefix, secret_hash, role, scopes, created_at, expires_at,"
        " replaces) VALUES (%(id)s, %(tenant_id)s, %(user_id)s, %(name)s, %(prefix)s, %(secret_hash)s, %(role)s,"
        " %(scopes)s, %(created_at)s, %(expires_at)s, %(replaces)s)",
        {
            "id": key.id,
            "tenant_id": key.tenant_id,
            "user_id": user_id,
            "name": key.name,
            "prefix": key.prefix,
            "secret_hash": secret_hash,
            "role": key.role.value,
            "scopes": None if key.scopes is None else [scope.value for scope in key.scopes],
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "replaces": key.replaces,
        },
    )


async def get_key(tx: Transaction, key_id: UUID) -> Row | None:
    """What admits it: secret_hash, role, scopes, expires_at, revoked_at, last_used_at; slug and state of its tenant
    (None for the platform's); owner_role: of the member who made it, None when they are none (any more); of_platform:
    whether they are a platform admin.

    When the transaction may see the key.
    """
    return await tx.one(
        "SELECT k.secret_hash, k.role, k.scopes, k.expires_at, k.revoked_at, k.last_used_at, t.slug, t.state,"
        " m.role AS owner_role, coalesce(u.is_platform_admin, false) AS of_platform"
        " FROM api_keys k LEFT JOIN tenants t ON t.id = k.tenant_id LEFT JOIN users u ON u.id = k.user_id"
        " LEFT JOIN memberships m ON m.tenant_id = k.tenant_id AND m.user_id = k.user_id WHERE k.id = %(id)s",
        {"id": key_id},
    )


async def lock_key(tx: Transaction, tenant_id: UUID | None, key_id: UUID) -> ApiKey | None:
    """The key, which no other transaction changes until this one ends. tenant_id None: the platform's, of the user."""
    row = await tx.one(
        "SELECT id, tenant_id, name, prefix, role, created_at, expires_at, revoked_at, scopes, last_used_at, replaces"
        " FROM api_keys WHERE id = %(id)s AND tenant_id IS NOT DISTINCT FROM %(tenant_id)s::uuid FOR UPDATE",
        {"id": key_id, "tenant_id": tenant_id},
    )
    return None if row is None else _key(row)


async def list_keys(tx: Transaction, tenant_id: UUID | None) -> list[ApiKey]:
    """Newest first. tenant_id None: the platform's keys of the bound user."""
    rows = await tx.all(
        "SELECT id, tenant_id, name, prefix, role, created_at, expires_at, revoked_at, scopes, last_used_at, replaces"
        " FROM api_keys WHERE tenant_id IS NOT DISTINCT FROM %(tenant_id)s::uuid ORDER BY created_at DESC, id",
        {"tenant_id": tenant_id},
    )
    return [_key(row) for row in rows]


async def revoke_key(tx: Transaction, key_id: UUID, at: datetime) -> None:
    await tx.run(
        "UPDATE api_keys SET revoked_at = %(at)s WHERE id = %(id)s AND revoked_at IS NULL", {"id": key_id, "at": at}
    )


async def end_at(tx: Transaction, key_id: UUID, at: datetime) -> None:
    """Bring the key's end forward to ``at``; one that ends before stays as it is."""
    await tx.run(
        "UPDATE api_keys SET expires_at = least(expires_at, %(at)s) WHERE id = %(id)s", {"id": key_id, "at": at}
    )


async def used(tx: Transaction, key_id: UUID, at: datetime) -> None:
    await tx.run("UPDATE api_keys SET last_used_at = %(at)s WHERE id = %(id)s", {"id": key_id, "at": at})


def _key(row: Row) -> ApiKey:
    scopes = row["scopes"]
    return ApiKey(
        id=row["id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        prefix=row["prefix"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        scopes=None if scopes is None else tuple(Permission(scope) for scope in scopes),
        last_used_at=row["last_used_at"],
        replaces=row["replaces"],
    )
