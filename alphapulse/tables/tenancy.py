"""Tenants, users, memberships, API keys, sessions.

Users are global: one person may be a member of several tenants. ``tenants`` is guarded by its own id,
``users`` by the bound user, ``api_keys`` and ``sessions`` by either.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, UniqueConstraint
from sqlalchemy import text as literal
from sqlalchemy.dialects.postgresql import ARRAY

from alphapulse.tables.columns import METADATA, SCHEMA, identity, moment, money, tenant_id, text

#: The organisations on this platform. left_state: where a closed one stood. overage_cap: a month's; null: none wanted.
TENANTS = Table(
    "tenants",
    METADATA,
    identity(primary_key=True),
    text("slug"),
    text("name"),
    text("tier"),
    text("state"),
    moment("created_at"),
    text("state_reason", nullable=True),
    moment("state_changed_at", nullable=True),
    text("left_state", nullable=True),
    moment("purge_at", nullable=True),
    moment("trial_ends_at", nullable=True),
    text("billing_reference", nullable=True),
    money("overage_cap", nullable=True),
    UniqueConstraint("slug"),
    Index("tenants_state_idx", "state"),
    Index("tenants_looks_idx", literal("app.looks(slug)"), unique=True),
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
    moment("confirmed_at", nullable=True),
    UniqueConstraint("email"),
)

#: Who belongs to which tenant, as what.
MEMBERSHIPS = Table(
    "memberships",
    METADATA,
    tenant_id(primary_key=True),
    Column("user_id", ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), primary_key=True),
    text("role"),
    moment("created_at"),
    Index(None, "user_id", "tenant_id"),
)

#: tenant_id is null for a key of the platform. scopes null: all that the role grants.
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
    Column("scopes", ARRAY(Text), nullable=True),
    moment("last_used_at", nullable=True),
    identity("replaces", nullable=True),
    UniqueConstraint("prefix"),
    Index(None, "tenant_id", "id"),
)

#: One row per login; the token carries its id. tenant_id is null for a platform admin's. generation: of the refresh
#: token that is good now.
SESSIONS = Table(
    "sessions",
    METADATA,
    identity(primary_key=True),
    Column("tenant_id", ForeignKey(f"{SCHEMA}.tenants.id", ondelete="CASCADE"), nullable=True),
    Column("user_id", ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), nullable=False),
    moment("created_at"),
    moment("expires_at"),
    moment("revoked_at", nullable=True),
    Column("generation", Integer, nullable=False),
    moment("seen_at"),
    text("address"),
    text("program"),
    Index(None, "tenant_id", "id"),
    Index(None, "user_id", "id"),
)
