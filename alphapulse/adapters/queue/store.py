"""The rows behind ``jobs list``, written in the transaction of what they tell, and the engine's own orphans.

Every function but ``orphans`` runs in a transaction bound to the job's tenant, or to nobody for a job of the platform.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from uuid import UUID

from alphapulse.ports.database import Row, Transaction

#: First key of the advisory lock that a live worker holds; the second is its number.
LIVENESS = 0x4150
#: Takes it, for as long as the connection lives.
HOLD = "SELECT pg_advisory_lock(%s, %s)"


async def insert(
    tx: Transaction, job_id: UUID, name: str, tenant_id: UUID | None, arguments: Mapping[str, str], queue_id: int
) -> None:
    await tx.run(
        """INSERT INTO jobs (id, name, tenant_id, arguments, state, attempts, error, queued_at, queue_id)
        VALUES (%(id)s, %(name)s, %(tenant_id)s, %(arguments)s::jsonb, 'queued', 0, '', now(), %(queue_id)s)""",
        {
            "id": job_id,
            "name": name,
            "tenant_id": tenant_id,
            "arguments": json.dumps(dict(arguments)),
            "queue_id": queue_id,
        },
    )


async def claim(tx: Transaction, job_id: UUID, queue_id: int) -> Row | None:
    """Begin an attempt: name, arguments, attempts. None when this delivery is stale: done, given up, or queued anew."""
    return await tx.one(
        """UPDATE jobs SET state = 'running', attempts = attempts + 1, started_at = now(), finished_at = NULL
        WHERE id = %(id)s AND queue_id = %(queue_id)s AND state IN ('queued', 'running')
        RETURNING name, arguments, attempts""",
        {"id": job_id, "queue_id": queue_id},
    )


async def finish(tx: Transaction, job_id: UUID, state: str, error: str) -> None:
    """state: done or failed."""
    await tx.run(
        "UPDATE jobs SET state = %(state)s, error = %(error)s, finished_at = now() WHERE id = %(id)s",
        {"id": job_id, "state": state, "error": error},
    )


async def put_back(tx: Transaction, job_id: UUID, error: str) -> None:
    """Back to queued after a failed attempt."""
    await tx.run(
        "UPDATE jobs SET state = 'queued', error = %(error)s WHERE id = %(id)s", {"id": job_id, "error": error}
    )


async def line_up(tx: Transaction, job_id: UUID, queue_id: int) -> None:
    """Back to queued under another delivery, because there is more to do. What it did counts: attempts begin anew."""
    await tx.run(
        "UPDATE jobs SET state = 'queued', attempts = 0, error = '', queue_id = %(queue_id)s WHERE id = %(id)s",
        {"id": job_id, "queue_id": queue_id},
    )


async def take_back(tx: Transaction, job_id: UUID) -> None:
    """Back to queued because the worker stops: the attempt does not count."""
    await tx.run(
        "UPDATE jobs SET state = 'queued', attempts = attempts - 1 WHERE id = %(id)s AND state = 'running'",
        {"id": job_id},
    )


async def find(tx: Transaction, job_id: UUID) -> Row | None:
    """state and tenant_id, locked until the transaction ends."""
    return await tx.one("SELECT state, tenant_id FROM jobs WHERE id = %(id)s FOR UPDATE", {"id": job_id})


async def revive(tx: Transaction, job_id: UUID, queue_id: int) -> None:
    await tx.run(
        """UPDATE jobs SET state = 'queued', attempts = 0, error = '', queued_at = now(), started_at = NULL,
            finished_at = NULL, queue_id = %(queue_id)s
        WHERE id = %(id)s""",
        {"id": job_id, "queue_id": queue_id},
    )


async def orphans(tx: Transaction, silence_s: float) -> int:
    """Give the jobs of dead workers back to the queue. Returns how many.

    A worker is dead when nobody holds its advisory lock (its process or its connection ended), or when it has not
    sent a heartbeat for ``silence_s`` seconds (its machine is cut off and the lock not yet released).
    """
    row = await tx.one(
        """WITH orphan AS MATERIALIZED (
            SELECT job.id FROM procrastinate_jobs job
            LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
            WHERE job.status = 'doing' AND (
                worker.id IS NULL
                OR worker.last_heartbeat < now() - make_interval(secs => %(silence)s)
                OR NOT EXISTS (
                    SELECT FROM pg_locks held
                    WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 2
                    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND held.classid = %(liveness)s::int::oid AND held.objid = worker.id::int::oid
                )
            )
            FOR UPDATE OF job SKIP LOCKED
        ), freed AS MATERIALIZED (
            SELECT procrastinate_retry_job_v2(id, now(), NULL, NULL, NULL) FROM orphan
        )
        SELECT count(*) AS freed FROM freed""",
        {"silence": silence_s, "liveness": LIVENESS},
    )
    return 0 if row is None else int(row["freed"])
