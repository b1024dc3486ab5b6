"""The event stream and the audit log."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table
from sqlalchemy.dialects.postgresql import UUID

from alphapulse.tables.columns import METADATA, document, moment, tenant_id, text

#: Next sequence per tenant; its row lock makes the sequence free of holes.
EVENT_HEADS = Table(
    "event_heads",
    METADATA,
    tenant_id(primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)

#: What happened to a tenant, for streams and readers; resumed by sequence.
EVENTS = Table(
    "events",
    METADATA,
    tenant_id(primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    text("kind"),
    text("subject"),
    document("payload"),
    moment("at"),
    moment("recorded_at"),
)

#: tenant_id is the zero UUID for the platform's own chain, hence no foreign key.
AUDIT_HEADS = Table(
    "audit_heads",
    METADATA,
    Column("tenant_id", UUID(as_uuid=True), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

#: Every request and who made it, as a hash chain per tenant; nothing in it is ever changed.
AUDIT_EVENTS = Table(
    "audit_events",
    METADATA,
    Column("tenant_id", UUID(as_uuid=True), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    text("actor"),
    text("action"),
    text("path"),
    Column("status", Integer, nullable=False),
    text("outcome"),
    text("request_id"),
    text("address"),
    Column("duration_ms", Integer, nullable=False),
    moment("at"),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index(None, "tenant_id", "at"),
    Index(None, "tenant_id", "previous_hash", unique=True),
)
