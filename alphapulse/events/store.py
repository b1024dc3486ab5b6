"""Events: appended in the transaction of their cause, read from a sequence number (D5).

The row of ``event_heads`` is locked from an append until its transaction ends, so a tenant's sequence numbers
appear in commit order and without holes: who has read up to N misses nothing by asking for what is above N.
Append last in a use case; whoever appends next for this tenant waits for the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from alphapulse.domain.events import Event, EventKind
from alphapulse.domain.wire import encode
from alphapulse.errors import Defect
from alphapulse.ports.database import Row, Transaction

#: The channel that is notified with the tenant's id whenever it has new events.
CHANNEL = "events"

#: kind, subject, at (market time), recorded_at (wall time), payload.
NewEvent = tuple[EventKind, str, datetime, datetime, dict[str, Any]]


async def append(
    tx: Transaction,
    kind: EventKind,
    subject: str,
    at: datetime,
    recorded_at: datetime,
    payload: dict[str, Any],
) -> int:
    """Store one event of the bound tenant and wake its readers at commit. Gives its sequence number."""
    return await append_many(tx, [(kind, subject, at, recorded_at, payload)])


async def append_many(tx: Transaction, events: Sequence[NewEvent]) -> int:
    """The same for several, in their order and in one round trip. Gives the last one's sequence number, 0 for none.

    payload: JSON-ready, or anything ``domain.wire.encode`` takes.
    """
    if not events:
        return 0
    row = await tx.one(
        "WITH head AS ("
        "  INSERT INTO event_heads AS h (tenant_id, sequence) VALUES (%(tenant_id)s, %(many)s)"
        "  ON CONFLICT (tenant_id) DO UPDATE SET sequence = h.sequence + %(many)s RETURNING sequence"
        "), stored AS ("
        "  INSERT INTO events (tenant_id, sequence, kind, subject, at, recorded_at, payload)"
        "  SELECT %(tenant_id)s, head.sequence - %(many)s + n, kind, subject, at, recorded_at, payload::jsonb"
        "  FROM head, unnest(%(kinds)s::text[], %(subjects)s::text[], %(at)s::timestamptz[],"
        "    %(recorded_at)s::timestamptz[], %(payloads)s::text[])"
        "    WITH ORDINALITY AS new (kind, subject, at, recorded_at, payload, n)"
        ") SELECT sequence, pg_notify('events', %(tenant_id)s::text) FROM head",
        {
            "tenant_id": _bound(tx),
            "many": len(events),
            "kinds": [str(event[0]) for event in events],
            "subjects": [event[1] for event in events],
            "at": [event[2] for event in events],
            "recorded_at": [event[3] for event in events],
            "payloads": [orjson.dumps(encode(event[4])).decode() for event in events],
        },
    )
    assert row is not None
    return int(row["sequence"])


async def read(tx: Transaction, since: int, limit: int) -> list[Event]:
    """At most ``limit`` events of the bound tenant with a sequence above ``since``, the oldest first."""
    rows = await tx.all(
        "SELECT tenant_id, sequence, kind, subject, at, recorded_at, payload FROM events"
        " WHERE tenant_id = %(tenant_id)s AND sequence > %(since)s ORDER BY sequence LIMIT %(limit)s",
        {"tenant_id": _bound(tx), "since": since, "limit": limit},
    )
    return [_event(row) for row in rows]


async def latest(tx: Transaction) -> int:
    """The bound tenant's newest sequence number; 0 before its first event."""
    row = await tx.one("SELECT sequence FROM event_heads WHERE tenant_id = %(tenant_id)s", {"tenant_id": _bound(tx)})
    return 0 if row is None else int(row["sequence"])


def _bound(tx: Transaction) -> UUID:
    if tx.tenant_id is None:
        raise Defect("events belong to a tenant, and this transaction is bound to none")
    return tx.tenant_id


def _event(row: Row) -> Event:
    return Event(
        tenant_id=row["tenant_id"],
        sequence=row["sequence"],
        kind=EventKind(row["kind"]),
        subject=row["subject"],
        at=row["at"],
        recorded_at=row["recorded_at"],
        payload=row["payload"],
    )
