"""The event stream and the audit log."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Index, Integer, LargeBinary, Table, UniqueConstraint
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

#: The audit log's own tables follow. Their tenant_id is the zero UUID for the platform's chain, hence no foreign key.
AUDIT_HEADS = Table(
    "audit_heads",
    METADATA,
    Column("tenant_id", UUID(as_uuid=True), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("month", Date, nullable=False),
)

#: Where a chain stood at the end of a month that retention drops; verifying starts there.
AUDIT_CHECKPOINTS = Table(
    "audit_checkpoints",
    METADATA,
    Column("tenant_id", UUID(as_uuid=True), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    Column("month", Date, nullable=False),
    moment("recorded_at"),
)

#: One key per person and chain, sealed by the master key: personal fields of the log are sealed with it, so that
#: destroying the key erases them and leaves the chain whole. person: a user's id, or an address without a user.
AUDIT_KEYS = Table(
    "audit_keys",
    METADATA,
    Column("tenant_id", UUID(as_uuid=True), primary_key=True),
    Column("id", UUID(as_uuid=True), primary_key=True),
    text("person"),
    Column("sealed", LargeBinary, nullable=False),
    moment("created_at"),
    UniqueConstraint("tenant_id", "person"),
)

#: Requests and changes, and who made them, as a hash chain per tenant; nothing in it is ever changed.
AUDIT_EVENTS = Table(
    "audit_events",
    METADATA,
    Column("tenant_id", UUID(as_uuid=True), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("month", Date, primary_key=True),
    text("kind"),
    text("actor"),
    text("action"),
    text("path"),
    Column("status", Integer, nullable=False),
    text("outcome"),
    text("request_id"),
    text("address"),
    Column("duration_ms", Integer, nullable=False),
    text("subject"),
    text("changes"),
    text("reason"),
    text("support"),
    Column("count", Integer, nullable=False),
    moment("at"),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index(None, "tenant_id", "at"),
    postgresql_partition_by="RANGE (month)",
)
