"""Copies of a tenant's data that were asked for, and the ledger of what was erased."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table
from sqlalchemy.dialects.postgresql import UUID

from alphapulse.tables.columns import METADATA, document, identity, moment, tenant_id, text

#: Copies of everything, one zip each. user_id: who asked, whose own data goes along.
EXPORTS = Table(
    "exports",
    METADATA,
    tenant_id(primary_key=True),
    identity(primary_key=True),
    Column("requested_by_id", UUID(as_uuid=True), nullable=False),
    text("requested_by"),
    text("state"),
    Column("tables", Integer, nullable=False),
    Column("tables_total", Integer, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    text("sha256"),
    text("error"),
    moment("requested_at"),
    moment("finished_at", nullable=True),
    moment("expires_at", nullable=True),
    Index("exports_ready_idx", "state", "expires_at"),
)

#: The erasure ledger. It outlives what it names, by ids alone. removed: what is gone so far, by table or place.
#: sealed_notice: whom the certificate goes to; gone once it went.
ERASURES = Table(
    "erasures",
    METADATA,
    identity("erased_id", primary_key=True),
    text("kind"),  # tenant, user
    text("reason"),
    document("removed"),
    Column("sealed_notice", LargeBinary, nullable=True),
    document("certificate", nullable=True),
    moment("begun_at"),
    moment("finished_at", nullable=True),
)
