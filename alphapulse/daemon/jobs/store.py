"""What the operators and the jobs themselves ask about jobs, and the look-ups of due work.

The ``jobs`` rows are written by the queue adapter. Look-ups answer with ids only and see every tenant.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from alphapulse.domain.jobs import JobRecord, JobState
from alphapulse.domain.market import Timeframe
from alphapulse.ports.database import Row, Transaction


async def list_jobs(
    tx: Transaction,
    *,
    tenant_id: UUID | None,
    state: JobState | None,
    name: str | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[JobRecord]:
    """Newest first. tenant_id None: everything the transaction may see. before: the last row of the page before."""
    rows = await tx.all(
        """SELECT id, name, state, attempts, error, queued_at, started_at, finished_at, tenant_id, arguments FROM jobs
        WHERE (%(tenant_id)s::uuid IS NULL OR tenant_id = %(tenant_id)s)
        AND (%(state)s::text IS NULL OR state = %(state)s)
        AND (%(name)s::text IS NULL OR name = %(name)s)
        AND (%(before_at)s::timestamptz IS NULL OR (queued_at, id) < (%(before_at)s, %(before_id)s::uuid))
        ORDER BY queued_at DESC, id DESC LIMIT %(limit)s""",
        {
            "tenant_id": tenant_id,
            "state": state,
            "name": name,
            "before_at": before and before[0],
            "before_id": before and before[1],
            "limit": limit,
        },
    )
    return [_record(row) for row in rows]


async def get_job(tx: Transaction, job_id: UUID) -> JobRecord | None:
    row = await tx.one(
        """SELECT id, name, state, attempts, error, queued_at, started_at, finished_at, tenant_id, arguments FROM jobs
        WHERE id = %(id)s""",
        {"id": job_id},
    )
    return None if row is None else _record(row)


async def delete_done(tx: Transaction, older_than: timedelta) -> int:
    """Of the bound tenant, or of the platform when none is bound. Failed jobs stay."""
    return await tx.run(
        """DELETE FROM jobs WHERE state = 'done' AND tenant_id IS NOT DISTINCT FROM %(tenant_id)s
        AND finished_at < now() - make_interval(secs => %(age)s)""",
        {"tenant_id": tx.tenant_id, "age": older_than.total_seconds()},
    )


async def pending(tx: Transaction, name: str, key: str, value: str) -> bool:
    """Whether a job of this name with this argument still waits or runs."""
    row = await tx.one(
        """SELECT 1 FROM jobs WHERE name = %(name)s AND state IN ('queued', 'running')
        AND arguments ->> %(key)s = %(value)s LIMIT 1""",
        {"name": name, "key": key, "value": value},
    )
    return row is not None


async def pending_any(tx: Transaction, name: str) -> bool:
    """Whether a job of this name waits. One that runs may have looked already."""
    row = await tx.one("SELECT 1 FROM jobs WHERE name = %(name)s AND state = 'queued' LIMIT 1", {"name": name})
    return row is not None


async def lock_running_replay(tx: Transaction, replay_id: UUID) -> bool:
    """Whether it still runs; its row stays locked until the transaction ends."""
    row = await tx.one("SELECT 1 FROM replays WHERE id = %(id)s AND state = 'running' FOR UPDATE", {"id": replay_id})
    return row is not None


async def due_funds(tx: Transaction, timeframe: Timeframe) -> list[tuple[UUID, UUID]]:
    """(tenant, fund) of every running fund that decides on these bars."""
    rows = await tx.all("SELECT tenant_id, fund_id FROM app.due_funds(%(timeframe)s)", {"timeframe": timeframe})
    return [(row["tenant_id"], row["fund_id"]) for row in rows]


async def funds_with_live_orders(tx: Transaction) -> list[tuple[UUID, UUID]]:
    """(tenant, fund) wherever an order is not final."""
    rows = await tx.all("SELECT tenant_id, fund_id FROM app.funds_with_live_orders()")
    return [(row["tenant_id"], row["fund_id"]) for row in rows]


async def running_replays(tx: Transaction) -> list[tuple[UUID, UUID]]:
    """(tenant, replay)."""
    rows = await tx.all("SELECT tenant_id, replay_id FROM app.running_replays()")
    return [(row["tenant_id"], row["replay_id"]) for row in rows]


async def tenant_ids(tx: Transaction) -> list[UUID]:
    return [row["tenant_id"] for row in await tx.all("SELECT tenant_id FROM app.tenants_ids()")]


async def has_running_replay(tx: Transaction, fund_id: UUID) -> bool:
    row = await tx.one(
        "SELECT 1 FROM replays WHERE fund_id = %(fund_id)s AND state = 'running' LIMIT 1", {"fund_id": fund_id}
    )
    return row is not None


async def reached(tx: Transaction, fund_id: UUID) -> datetime | None:
    """Market time that the fund's books have reached: its newest decision or order. None when it has neither."""
    row = await tx.one(
        """SELECT greatest((SELECT max(at) FROM decisions WHERE fund_id = %(fund_id)s),
            (SELECT max(at) FROM orders WHERE fund_id = %(fund_id)s)) AS at""",
        {"fund_id": fund_id},
    )
    return None if row is None else row["at"]


async def decided_until(tx: Transaction, fund_id: UUID) -> datetime | None:
    """Close of the newest bar with a decision, made or missed; None when there is none."""
    row = await tx.one("SELECT max(at) AS at FROM decisions WHERE fund_id = %(fund_id)s", {"fund_id": fund_id})
    return None if row is None else row["at"]


async def started_at(tx: Transaction, fund_id: UUID) -> datetime | None:
    """Wall time of the fund's last start; None when it was never started."""
    row = await tx.one(
        "SELECT max(recorded_at) AS at FROM events WHERE kind = 'fund.started' AND subject = %(fund_id)s",
        {"fund_id": str(fund_id)},
    )
    return None if row is None else row["at"]


def _record(row: Row) -> JobRecord:
    values: Row = {**row, "state": JobState(row["state"])}
    return JobRecord(**values)
