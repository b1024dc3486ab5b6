"""What was scheduled and what ran. Arguments hold ids only; the engine's own tables live in schema ``queue``."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table
from sqlalchemy.dialects.postgresql import UUID

from alphapulse.tables.columns import METADATA, document, identity, moment, text

#: A firing is one row however many replicas fire it. slot: the period's start, floored from database time.
FIRINGS = Table(
    "firings",
    METADATA,
    text("job", primary_key=True),
    moment("slot", primary_key=True),
    moment("fired_at"),
)

#: tenant_id null: a job of the platform.
JOBS = Table(
    "jobs",
    METADATA,
    identity(primary_key=True),
    text("name"),
    Column("tenant_id", UUID(as_uuid=True), nullable=True),
    document("arguments"),
    text("state"),  # queued, running, done, failed
    Column("attempts", Integer, nullable=False),
    text("error"),
    moment("queued_at"),
    moment("started_at", nullable=True),
    moment("finished_at", nullable=True),
    Column("queue_id", BigInteger, nullable=True),
    Index(None, "state", "queued_at"),
    Index(None, "tenant_id", "queued_at"),
)

#: Jobs that an operator has paused.
JOB_CONTROLS = Table(
    "job_controls",
    METADATA,
    text("name", primary_key=True),
    Column("paused", Boolean, nullable=False),
    text("actor"),
    moment("recorded_at"),
)
