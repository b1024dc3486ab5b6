"""Verifying a chain of the audit log: every row hashed again from what is stored, by a second implementation.

The chain shows that a row was changed, removed or put in between. That the whole chain was rewritten shows only
against heads that were published outside the database (audit/heads.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from alphapulse.audit import store
from alphapulse.domain.audit import AuditEvent, ChainedEvent, ChainVerdict, PublishedHead
from alphapulse.ports.database import Transaction

#: What the first row of every chain follows.
GENESIS: Final = bytes(32)
_PAGE: Final = 1_000


async def verify(tx: Transaction, published: Sequence[PublishedHead] = ()) -> ChainVerdict:
    """Walk the bound tenant's chain and hash every row again, page by page.

    It begins at the first row, or behind a checkpoint once old months were dropped. published: heads of this chain,
    each of which its row has to agree with; those below the beginning are left out, nothing can be said of them.
    """
    head = await store.head_of(tx)
    # The head first: rows that are appended meanwhile are above it and left for the next time.
    length, claimed = (0, GENESIS) if head is None else head
    checkpoints = await store.checkpoints_of(tx)
    start = await _start(tx, length, checkpoints)
    whole = ChainVerdict(store.bound(tx), length, claimed, None, start=start)
    if start > 0 and start not in checkpoints:
        return replace(whole, broken_at=1, problem=f"rows 1 to {start} are missing", start=0)
    expected = {item.sequence: item.hash for item in published if item.sequence >= start} | checkpoints
    claims = {item.sequence for item in published if item.sequence >= start}
    previous = checkpoints.get(start, GENESIS)
    if expected.get(start, previous) != previous:
        return replace(whole, broken_at=start, problem="the checkpoint is not what was published")
    sequence = start
    while sequence < length:
        rows = await store.rows_after(tx, sequence, length, _PAGE)
        if not rows:
            return replace(whole, broken_at=sequence + 1, problem=f"rows {sequence + 1} to {length} are missing")
        for row in rows:
            sequence += 1
            problem = _problem(row, sequence, previous, expected.get(sequence))
            if problem:
                return replace(whole, broken_at=sequence, problem=problem)
            previous = row.hash
    return await _end(tx, replace(whole, compared=len(claims)), previous, max(claims, default=0))


async def _start(tx: Transaction, length: int, checkpoints: dict[int, bytes]) -> int:
    """The row behind which the chain begins: 0, or the one before the first that is still there."""
    first = await store.first_sequence(tx)
    if first is None:
        return length if length in checkpoints else 0
    return max(first - 1, 0)


async def _end(tx: Transaction, whole: ChainVerdict, last: bytes, furthest: int) -> ChainVerdict:
    if last != whole.head:
        return replace(whole, broken_at=whole.length, problem="the head does not point at the last row")
    outside = await store.row_outside(tx, whole.length)
    if outside is not None:
        return replace(whole, broken_at=outside, problem="a row stands outside the chain")
    if furthest > whole.length:
        problem = f"rows {whole.length + 1} to {furthest} were published and are missing"
        return replace(whole, broken_at=whole.length + 1, problem=problem)
    return whole


def chain_hash(previous: bytes, sequence: int, event: AuditEvent) -> bytes:
    """SHA-256 over the previous hash and every field, each as ``length:value,``; as audit.append computes it."""
    fields = (
        event.tenant_id,
        sequence,
        event.kind.value,
        event.actor,
        event.action,
        event.path,
        event.status,
        event.outcome,
        event.request_id,
        event.address,
        event.duration_ms,
        event.subject,
        store.written_changes(event),
        event.reason,
        event.support,
        event.count,
        store.in_microseconds(event.at),
    )
    parts = [previous]
    for field in fields:
        value = str(field).encode()
        parts.append(b"%d:%b," % (len(value), value))
    return hashlib.sha256(b"".join(parts)).digest()


def _problem(row: ChainedEvent, sequence: int, previous: bytes, published: bytes | None) -> str:
    if row.sequence != sequence:
        return f"row {sequence} is missing"
    if row.previous_hash != previous:
        return "the row does not follow the one before it"
    if row.hash != chain_hash(previous, sequence, row.event):
        return "the row was changed after it was written"
    if published is not None and row.hash != published:
        return "the row is not the one that was published: the chain was rewritten"
    return ""
