"""Support sessions: when the platform was allowed to change a tenant, by whom and why."""

from __future__ import annotations

from sqlalchemy import Index, Table

from alphapulse.tables.columns import METADATA, identity, moment, tenant_id, text

#: user_id has no foreign key: what was done here is remembered longer than the user.
SUPPORT_SESSIONS = Table(
    "support_sessions",
    METADATA,
    tenant_id(primary_key=True),
    identity(primary_key=True),
    identity("user_id"),
    text("actor"),
    text("reason"),
    text("ticket"),
    moment("opened_at"),
    moment("expires_at"),
    moment("closed_at", nullable=True),
    Index(None, "tenant_id", "user_id", "expires_at"),
)
