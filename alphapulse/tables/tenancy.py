"""Tenants, users, memberships, API keys, sessions.

Users are global: one person may be a member of several tenants. ``tenants`` is guarded by its own id,
``users`` by the bound user, ``api_keys`` and ``sessions`` by either.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, LargeBinary, Table, UniqueConstraint

from alphapulse.tables.columns import METADATA, SCHEMA, identity, moment, tenant_id, text

#: The organisations on this platform.
TENANTS = Table(
    "tenants",
    METADATA,
    identity(primary_key=True),
    text("slug"),
    text("name"),
    text("tier"),
    text("state"),
    moment("created_at"),
    UniqueConstraint("slug"),
)

#: People and the platform's own keys' owners, across tenants.
USERS = Table(
    "users",
    METADATA,
    identity(primary_key=True),
    text("email"),
    text("password_hash", nullable=True),
    Column("is_platform_admin", Boolean, nullable=False),
    moment("created_at"),
    UniqueConstraint("email"),
)

#: Who belongs to which tenant, as what.
MEMBERSHIPS = Table(
    "memberships",
    METADATA,
    tenant_id(primary_key=True),
    Column("user_id", ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), primary_key=True),
    text("role"),
    text("password_hash", nullable=True),
    moment("created_at"),
    Index(None, "user_id", "tenant_id"),
)

#: tenant_id is null for a key of the platform.
API_KEYS = Table(
    "api_keys",
    METADATA,
    identity(primary_key=True),
    Column("tenant_id", ForeignKey(f"{SCHEMA}.tenants.id", ondelete="CASCADE"), nullable=True),
    Column("user_id", ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), nullable=False),
    text("name"),
    text("prefix"),
    Column("secret_hash", LargeBinary, nullable=False),
    text("role"),
    moment("created_at"),
    moment("expires_at", nullable=True),
    moment("revoked_at", nullable=True),
    UniqueConstraint("prefix"),
    Index(None, "tenant_id", "id"),
)

#: One row per login; the token carries its id. tenant_id is null for a platform admin's.
SESSIONS = Table(
    "sessions",
    METADATA,
    identity(primary_key=True),
    Column("tenant_id", ForeignKey(f"{SCHEMA}.tenants.id", ondelete="CASCADE"), nullable=True),
    Column("user_id", ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), nullable=False),
    moment("created_at"),
    moment("expires_at"),
    moment("revoked_at", nullable=True),
    Index(None, "tenant_id", "id"),
    Index(None, "user_id", "id"),
)
