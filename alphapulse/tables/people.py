"""Invitations, the links that mails carry, and who accepted which privacy policy.

``invitations`` belong to the tenant; the other two to the user, whatever tenants they belong to.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, LargeBinary, Table, UniqueConstraint
from sqlalchemy import text as literal

from alphapulse.tables.columns import METADATA, SCHEMA, document, identity, moment, tenant_id, text

#: Memberships on offer. token_hash: SHA-256 of the token in the link. by_mail: the link left by mail only.
INVITATIONS = Table(
    "invitations",
    METADATA,
    identity(primary_key=True),
    tenant_id(),
    text("email"),
    text("role"),
    text("invited_by"),
    Column("token_hash", LargeBinary, nullable=False),
    Column("by_mail", Boolean, nullable=False),
    moment("created_at"),
    moment("expires_at"),
    moment("accepted_at", nullable=True),
    moment("withdrawn_at", nullable=True),
    UniqueConstraint("token_hash"),
    Index(None, "tenant_id", "id"),
    Index(
        "invitations_tenant_id_email_open_idx",
        "tenant_id",
        "email",
        unique=True,
        postgresql_where=literal("accepted_at IS NULL AND withdrawn_at IS NULL"),
    ),
)

#: Links mailed to a user: to confirm the address, to set a new password, to go on with a sign-up.
ACCOUNT_LINKS = Table(
    "account_links",
    METADATA,
    identity(primary_key=True),
    Column("user_id", ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), nullable=False),
    text("purpose"),
    Column("token_hash", LargeBinary, nullable=False),
    Column("by_mail", Boolean, nullable=False),
    document("request"),
    moment("created_at"),
    moment("expires_at"),
    moment("used_at", nullable=True),
    UniqueConstraint("token_hash"),
    Index(None, "user_id", "purpose"),
)

#: Who accepted which version of the privacy policy, and when.
POLICY_ACCEPTANCES = Table(
    "policy_acceptances",
    METADATA,
    Column("user_id", ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), primary_key=True),
    text("version", primary_key=True),
    moment("accepted_at"),
)
