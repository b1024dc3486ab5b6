"""What the audit log records, and how its chain is hashed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One thing that somebody did. tenant_id: PLATFORM for what belongs to no tenant.

    action: ``noun.verb`` or the route's name. path: method and path, without query. status: HTTP status.
    outcome: ``ok`` or the error's code. duration_ms: time until the answer was ready.
    """

    tenant_id: UUID
    actor: str
    action: str
    path: str
    status: int
    outcome: str
    request_id: str
    at: datetime
    address: str = ""
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class ChainedEvent:
    """An event with its place in the tenant's chain. hash covers previous_hash and every field."""

    sequence: int
    event: AuditEvent
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """broken_at: sequence of the first row whose hash or link is wrong; None when the chain is whole."""

    tenant_id: UUID
    length: int
    head: bytes
    broken_at: int | None
    problem: str = ""
