"""The audit log: rows chained by hashes, one chain per tenant and one for the platform; audit/chain.py verifies it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from alphapulse.audit.key_store import key_ids_of, stored_keys
from alphapulse.audit.personal import key_ids, open_text, prefix
from alphapulse.domain.audit import AuditEvent, AuditKind, ChainedEvent, PublishedHead
from alphapulse.errors import Defect
from alphapulse.ports.database import Row, Transaction

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Longest text kept of a field that a client chooses, such as a path.
_LONGEST: Final = 2_000
#: Fields that may hold sealed text.
_SEALABLE: Final = ("actor", "address", "path", "subject", "reason", "changes")
_LATEST = datetime.max.replace(tzinfo=UTC)


async def append(tx: Transaction, events: Sequence[AuditEvent]) -> None:
    """Add the events to the chains of their tenants, in their order; any transaction may, whatever it is bound to.

    They are stored as they stand: what is personal was sealed before. Call it last in a use case: it holds the
    chains' locks until the commit.
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
    support: bool = False,
    limit: int = 100,
    before: int | None = None,
) -> list[ChainedEvent]:
    """The bound tenant's newest events first, readable. since, until: half-open, of ``at``.

    before: below this sequence. actor: an e-mail address or ``key:PREFIX``. support: of support sessions only.
    """
    mine = None
    if actor is not None and "@" in actor:
        mine = [prefix(key_id) for key_id in await key_ids_of(tx, actor.lower())]
    rows = await tx.all(
        "SELECT * FROM audit_events WHERE tenant_id = %(tenant_id)s"
        " AND (%(actor)s::text IS NULL OR actor = %(actor)s OR left(actor, 41) = ANY(%(mine)s::text[]))"
        " AND (%(action)s::text IS NULL OR action = %(action)s)"
        " AND (%(since)s::timestamptz IS NULL OR (at >= %(since)s"
        "   AND month >= date_trunc('month', %(since)s::timestamptz AT TIME ZONE 'UTC')::date))"
        " AND (%(until)s::timestamptz IS NULL OR at < %(until)s)"
        " AND (NOT %(support)s OR support <> '')"
        " AND (%(before)s::bigint IS NULL OR sequence < %(before)s)"
        " ORDER BY sequence DESC LIMIT %(limit)s",
        {
            "tenant_id": bound(tx),
            "actor": actor,
            "mine": mine,
            "action": action,
            "since": since,
            "until": until,
            "support": support,
            "before": before,
            "limit": limit,
        },
    )
    return await _readable(tx, rows)


async def events_after(
    tx: Transaction, sequence: int, *, since: datetime | None, until: datetime | None, limit: int
) -> list[ChainedEvent]:
    """The bound tenant's events above ``sequence``, oldest first, readable."""
    rows = await tx.all(
        "SELECT * FROM audit_events WHERE tenant_id = %(tenant_id)s AND sequence > %(sequence)s"
        " AND at >= %(since)s AND at < %(until)s ORDER BY sequence LIMIT %(limit)s",
        {
            "tenant_id": bound(tx),
            "sequence": sequence,
            "since": since or _EPOCH,
            "until": until or _LATEST,
            "limit": limit,
        },
    )
    return await _readable(tx, rows)


async def rows_after(tx: Transaction, sequence: int, last: int, limit: int) -> list[ChainedEvent]:
    """The bound tenant's rows above ``sequence`` up to ``last``, oldest first, as they are stored."""
    rows = await tx.all(
        "SELECT * FROM audit_events WHERE tenant_id = %(tenant_id)s AND sequence > %(sequence)s"
        " AND sequence <= %(last)s ORDER BY sequence LIMIT %(limit)s",
        {"tenant_id": bound(tx), "sequence": sequence, "last": last, "limit": limit},
    )
    return [chained(row) for row in rows]


async def first_sequence(tx: Transaction) -> int | None:
    """Of the oldest row that the bound tenant's chain still has."""
    row = await tx.one(
        "SELECT min(sequence) AS first FROM audit_events WHERE tenant_id = %(tenant_id)s", {"tenant_id": bound(tx)}
    )
    return None if row is None else row["first"]


async def row_outside(tx: Transaction, length: int) -> int | None:
    """Sequence of a row below 1, or above ``length`` and above the head as it is now."""
    row = await tx.one(
        "SELECT sequence FROM audit_events WHERE tenant_id = %(tenant_id)s AND (sequence < 1 OR (sequence > %(length)s"
        " AND sequence > (SELECT coalesce(max(sequence), 0) FROM audit_heads WHERE tenant_id = %(tenant_id)s)))"
        " LIMIT 1",
        {"tenant_id": bound(tx), "length": length},
    )
    return None if row is None else int(row["sequence"])


async def head_of(tx: Transaction) -> tuple[int, bytes] | None:
    """Sequence and hash of the last row of the bound tenant's chain."""
    row = await tx.one(
        "SELECT sequence, hash FROM audit_heads WHERE tenant_id = %(tenant_id)s", {"tenant_id": bound(tx)}
    )
    return None if row is None else (int(row["sequence"]), bytes(row["hash"]))


async def checkpoints_of(tx: Transaction) -> dict[int, bytes]:
    """Hashes by sequence, of every checkpoint of the bound tenant's chain."""
    rows = await tx.all(
        "SELECT sequence, hash FROM audit_checkpoints WHERE tenant_id = %(tenant_id)s", {"tenant_id": bound(tx)}
    )
    return {int(row["sequence"]): bytes(row["hash"]) for row in rows}


async def all_heads(tx: Transaction, at: datetime) -> list[PublishedHead]:
    """Of every chain, by its id. tx: of ``Database.platform``."""
    rows = await tx.all("SELECT tenant_id, sequence, hash FROM audit_heads WHERE sequence > 0 ORDER BY tenant_id")
    return [PublishedHead(row["tenant_id"], int(row["sequence"]), bytes(row["hash"]), at) for row in rows]


async def chains_before(tx: Transaction, month: date) -> list[UUID]:
    """Which have rows in earlier months. tx: of ``Database.platform``."""
    rows = await tx.all(
        "SELECT DISTINCT tenant_id FROM audit_events WHERE month < %(month)s ORDER BY 1", {"month": month}
    )
    return [row["tenant_id"] for row in rows]


async def checkpoint(tx: Transaction, before: date) -> tuple[int, bytes, bool] | None:
    """Publish the bound chain's last row of the months before one: its sequence, its hash, and whether it is news."""
    row = await tx.one("SELECT sequence, hash, fresh FROM audit.checkpoint(%(before)s)", {"before": before})
    return None if row is None else (int(row["sequence"]), bytes(row["hash"]), bool(row["fresh"]))


async def add_month(tx: Transaction, month: date) -> None:
    """Make room for a month, unless there is."""
    await tx.one("SELECT audit.add_month(%(month)s)", {"month": month})


async def drop_months(tx: Transaction, before: date) -> list[date]:
    """Drop the months before one; the database refuses where a chain has no checkpoint behind them (Defect)."""
    rows = await tx.all("SELECT month FROM audit.drop_months(%(before)s) AS month", {"before": before})
    return [row["month"] for row in rows]


def in_microseconds(at: datetime) -> int:
    """Since 1970, as the hashes take it."""
    return (at - _EPOCH) // _MICROSECOND


def written_changes(event: AuditEvent) -> str:
    """As they are stored and hashed: text, because a database's own JSON would come back in another order."""
    return orjson.dumps(event.changes).decode() if event.changes else ""


def bound(tx: Transaction) -> UUID:
    """Raises Defect when the transaction is bound to no chain."""
    if tx.tenant_id is None:
        raise Defect("an audit chain belongs to a tenant or to PLATFORM, and this transaction is bound to neither")
    return tx.tenant_id


def chained(row: Row) -> ChainedEvent:
    """The row as it is stored."""
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
            kind=AuditKind(row["kind"]),
            subject=row["subject"],
            changes=orjson.loads(row["changes"]) if row["changes"] else {},
            reason=row["reason"],
            support=row["support"],
            count=row["count"],
        ),
        previous_hash=bytes(row["previous_hash"]),
        hash=bytes(row["hash"]),
    )


async def _readable(tx: Transaction, rows: Iterable[Row]) -> list[ChainedEvent]:
    rows = list(rows)
    ids = key_ids(row[name] for row in rows for name in _SEALABLE)
    keys = None if tx.seal is None else await stored_keys(tx, tx.seal, ids)
    return [chained({**row, **{name: open_text(row[name], keys) for name in _SEALABLE}}) for row in rows]


def _written(event: AuditEvent) -> dict[str, Any]:
    return {
        "tenant_id": str(event.tenant_id),
        "kind": event.kind.value,
        "actor": _clean(event.actor),
        "action": _clean(event.action),
        "path": _clean(event.path),
        "status": event.status,
        "outcome": _clean(event.outcome),
        "request_id": _clean(event.request_id),
        "address": _clean(event.address),
        "duration_ms": event.duration_ms,
        "subject": _clean(event.subject),
        "changes": written_changes(event),
        "reason": _clean(event.reason),
        "support": event.support,
        "count": event.count,
        "at": in_microseconds(event.at),
    }


def _clean(value: str) -> str:
    """What PostgreSQL can store: no NUL, no lone surrogate, bounded. A hostile path must not lose its audit row."""
    return value[:_LONGEST].replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
