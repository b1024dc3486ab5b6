"""The audit log: rows chained by hashes, one chain per tenant and one for the platform.

The chain shows that a row was changed, removed or put in between. It cannot show that the whole chain was
rewritten: for that, publish the head's hash outside the database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from alphapulse.domain.audit import AuditEvent, ChainedEvent, ChainVerdict
from alphapulse.errors import Defect
from alphapulse.ports.database import Row, Transaction

#: What the first row of every chain follows.
GENESIS = bytes(32)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PAGE = 2_000
#: Longest text kept of a field that a client chooses, such as a path.
_LONGEST = 2_000


async def append(tx: Transaction, events: Sequence[AuditEvent]) -> None:
    """Add the events to the chains of their tenants, in their order; any transaction may, whatever it is bound to.

    Call it last in a use case: it holds the chains' locks until the commit.
    """
    if events:
        await tx.one(
            "SELECT audit.append(%(events)s::jsonb)",
            {"events": orjson.dumps([_written(event) for event in events]).decode()},
        )


async def list_events(
    tx: Transaction,
    *,
    actor: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
    before: int | None = None,
) -> list[ChainedEvent]:
    """The bound tenant's newest events first. since, until: half-open, of ``at``. before: below this sequence."""
    rows = await tx.all(
        "SELECT * FROM audit_events WHERE tenant_id = %(tenant_id)s"
        " AND (%(actor)s::text IS NULL OR actor = %(actor)s)"
        " AND (%(action)s::text IS NULL OR action = %(action)s)"
        " AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)"
        " AND (%(until)s::timestamptz IS NULL OR at < %(until)s)"
        " AND (%(before)s::bigint IS NULL OR sequence < %(before)s)"
        " ORDER BY sequence DESC LIMIT %(limit)s",
        {
            "tenant_id": _bound(tx),
            "actor": actor,
            "action": action,
            "since": since,
            "until": until,
            "before": before,
            "limit": limit,
        },
    )
    return [_chained(row) for row in rows]


async def verify(tx: Transaction) -> ChainVerdict:
    """Walk the bound tenant's chain from its first row and hash every row again. Reads page by page."""
    tenant_id = _bound(tx)
    # The head first: rows that are appended meanwhile are above it and left for the next time.
    head = await tx.one(
        "SELECT sequence, hash FROM audit_heads WHERE tenant_id = %(tenant_id)s", {"tenant_id": tenant_id}
    )
    length, claimed = (0, GENESIS) if head is None else (int(head["sequence"]), bytes(head["hash"]))
    sequence, previous = 0, GENESIS
    while sequence < length:
        rows = await tx.all(
            "SELECT * FROM audit_events WHERE tenant_id = %(tenant_id)s AND sequence > %(after)s"
            " AND sequence <= %(length)s ORDER BY sequence LIMIT %(page)s",
            {"tenant_id": tenant_id, "after": sequence, "length": length, "page": _PAGE},
        )
        if not rows:
            return ChainVerdict(
                tenant_id, length, claimed, sequence + 1, f"rows {sequence + 1} to {length} are missing"
            )
        for row in rows:
            sequence += 1
            problem = _problem(_chained(row), sequence, previous)
            if problem:
                return ChainVerdict(tenant_id, length, claimed, sequence, problem)
            previous = bytes(row["hash"])
    if previous != claimed:
        return ChainVerdict(tenant_id, length, claimed, length, "the head does not point at the last row")
    extra = await tx.one(
        "SELECT sequence FROM audit_events WHERE tenant_id = %(tenant_id)s AND (sequence < 1 OR (sequence > %(length)s"
        " AND sequence > (SELECT coalesce(max(sequence), 0) FROM audit_heads WHERE tenant_id = %(tenant_id)s)))"
        " LIMIT 1",
        {"tenant_id": tenant_id, "length": length},
    )
    if extra is not None:
        return ChainVerdict(tenant_id, length, claimed, int(extra["sequence"]), "a row stands outside the chain")
    return ChainVerdict(tenant_id, length, claimed, None)


def chain_hash(previous: bytes, sequence: int, event: AuditEvent) -> bytes:
    """SHA-256 over the previous hash and every field, each as ``length:value,``; as audit.append computes it."""
    fields = (
        event.tenant_id,
        sequence,
        event.actor,
        event.action,
        event.path,
        event.status,
        event.outcome,
        event.request_id,
        event.address,
        event.duration_ms,
        _microseconds(event.at),
    )
    parts = [previous]
    for field in fields:
        value = str(field).encode()
        parts.append(b"%d:%b," % (len(value), value))
    return hashlib.sha256(b"".join(parts)).digest()


def _problem(row: ChainedEvent, sequence: int, previous: bytes) -> str:
    if row.sequence != sequence:
        return f"row {sequence} is missing"
    if row.previous_hash != previous:
        return "the row does not follow the one before it"
    if row.hash != chain_hash(previous, sequence, row.event):
        return "the row was changed after it was written"
    return ""


def _written(event: AuditEvent) -> dict[str, Any]:
    return {
        "tenant_id": str(event.tenant_id),
        "actor": _clean(event.actor),
        "action": _clean(event.action),
        "path": _clean(event.path),
        "status": event.status,
        "outcome": _clean(event.outcome),
        "request_id": _clean(event.request_id),
        "address": _clean(event.address),
        "duration_ms": event.duration_ms,
        "at": _microseconds(event.at),
    }


def _clean(value: str) -> str:
    """What PostgreSQL can store: no NUL, no lone surrogate, bounded. A hostile path must not lose its audit row."""
    return value[:_LONGEST].replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _bound(tx: Transaction) -> UUID:
    if tx.tenant_id is None:
        raise Defect("an audit chain belongs to a tenant or to PLATFORM, and this transaction is bound to neither")
    return tx.tenant_id


def _chained(row: Row) -> ChainedEvent:
    return ChainedEvent(
        sequence=row["sequence"],
        event=AuditEvent(
            tenant_id=row["tenant_id"],
            actor=row["actor"],
            action=row["action"],
            path=row["path"],
            status=row["status"],
            outcome=row["outcome"],
            request_id=row["request_id"],
            at=row["at"],
            address=row["address"],
            duration_ms=row["duration_ms"],
        ),
        previous_hash=bytes(row["previous_hash"]),
        hash=bytes(row["hash"]),
    )
