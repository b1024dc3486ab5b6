"""Replays: stored runs over past bars and how far they are."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from alphapulse.domain.funds import Replay, ReplayState
from alphapulse.domain.market import Timeframe
from alphapulse.ports.database import Row, Transaction

#: ``timeframe`` is the fund's: a replay runs in the slots of the fund's bars.
_REPLAY: LiteralString = (
    "SELECT r.id, r.fund_id, r.start_at, r.end_at, r.cursor, r.state, r.error, f.timeframe FROM replays r"
    " JOIN funds f ON f.tenant_id = r.tenant_id AND f.id = r.fund_id WHERE r.tenant_id = %(tenant_id)s"
)


async def insert(tx: Transaction, replay: Replay, now: datetime) -> None:
    await tx.run(
        "INSERT INTO replays (tenant_id, id, fund_id, start_at, end_at, cursor, state, error, recorded_at)"
        " VALUES (%(tenant_id)s, %(id)s, %(fund_id)s, %(start_at)s, %(end_at)s, NULL, %(state)s, '', %(now)s)",
        {
            "tenant_id": tx.tenant_id,
            "id": replay.id,
            "fund_id": replay.fund_id,
            "start_at": replay.start_at,
            "end_at": replay.end_at,
            "state": replay.state.value,
            "now": now,
        },
    )


async def get(tx: Transaction, replay_id: UUID, fund_id: UUID | None = None) -> Replay | None:
    row = await tx.one(
        _REPLAY + " AND r.id = %(id)s AND (%(fund_id)s::uuid IS NULL OR r.fund_id = %(fund_id)s)",
        {"tenant_id": tx.tenant_id, "id": replay_id, "fund_id": fund_id},
    )
    return None if row is None else _replay(row)


async def running(tx: Transaction, fund_id: UUID) -> bool:
    row = await tx.one(
        "SELECT id FROM replays WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s AND state = 'running'"
        " LIMIT 1",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id},
    )
    return row is not None


async def last_activity(tx: Transaction, fund_id: UUID) -> datetime | None:
    """Market time of the newest bar or order of the fund; a replay may only go on from there."""
    row = await tx.one(
        "SELECT greatest((SELECT max(at) FROM equity WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s),"
        " (SELECT max(at) FROM decisions WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s),"
        " (SELECT max(at) FROM orders WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s)) AS at",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id},
    )
    assert row is not None
    return row["at"]


async def advance(tx: Transaction, replay_id: UUID, at: datetime) -> bool:
    """Move the cursor to ``at``, finishing the run at its last bar. False when the run is not running any more.

    A cursor that another worker moved further stays where it is.
    """
    return bool(
        await tx.run(
            "UPDATE replays SET cursor = greatest(cursor, %(at)s),"
            " state = CASE WHEN %(at)s >= end_at THEN 'finished' ELSE state END"
            " WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND state = 'running'",
            {"tenant_id": tx.tenant_id, "id": replay_id, "at": at},
        )
    )


async def end(tx: Transaction, replay_id: UUID, state: ReplayState, error: str = "") -> bool:
    """state: failed or stopped. False when the run had ended before."""
    return bool(
        await tx.run(
            "UPDATE replays SET state = %(state)s, error = %(error)s"
            " WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND state = 'running'",
            {"tenant_id": tx.tenant_id, "id": replay_id, "state": state.value, "error": error},
        )
    )


def slots(start_at: datetime, end_at: datetime, timeframe: Timeframe) -> int:
    """How many bars close from ``start_at`` to ``end_at``, both included."""
    return max(0, (end_at - start_at) // timeframe.length + 1)


def _replay(row: Row) -> Replay:
    timeframe = Timeframe(row["timeframe"])
    cursor = row["cursor"]
    return Replay(
        id=row["id"],
        fund_id=row["fund_id"],
        start_at=row["start_at"],
        end_at=row["end_at"],
        cursor=cursor,
        state=ReplayState(row["state"]),
        error=row["error"],
        bars_total=slots(row["start_at"], row["end_at"], timeframe),
        bars_done=0 if cursor is None else slots(row["start_at"], cursor, timeframe),
    )
