"""The outbox: mails committed with their cause, delivered by a job."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, Table
from sqlalchemy import text as sql

from alphapulse.tables.columns import METADATA, SCHEMA, identity, moment, text

#: tenant_id is null for a mail to a person that is about no tenant. sealed_values: encrypted, gone once sent.
MAILS = Table(
    "mails",
    METADATA,
    identity(primary_key=True),
    Column("tenant_id", ForeignKey(f"{SCHEMA}.tenants.id", ondelete="CASCADE"), nullable=True),
    text("recipient"),
    text("template"),
    Column("sealed_values", LargeBinary, nullable=True),
    text("state"),  # queued, sent, failed
    Column("attempts", Integer, nullable=False),
    text("error"),
    moment("written_at"),
    moment("next_attempt_at"),
    moment("sent_at", nullable=True),
    Index("mails_due_idx", "next_attempt_at", postgresql_where=sql("state = 'queued'")),
    Index(None, "tenant_id", "written_at"),
    Index(None, "recipient"),
)
