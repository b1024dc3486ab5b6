"""Rows of exports."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from alphapulse.domain.privacy import Export, ExportState
from alphapulse.ports.database import Row, Transaction


async def insert(tx: Transaction, export: Export, requested_by_id: UUID) -> None:
    """For the bound tenant."""
    await tx.run(
        """INSERT INTO exports (tenant_id, id, requested_by_id, requested_by, state, tables, tables_total, rows, size,
            sha256, error, requested_at)
        VALUES (%(tenant_id)s, %(id)s, %(by_id)s, %(by)s, %(state)s, 0, 0, 0, 0, '', '', %(at)s)""",
        {
            "tenant_id": tx.tenant_id,
            "id": export.id,
            "by_id": requested_by_id,
            "by": export.requested_by,
            "state": export.state.value,
            "at": export.requested_at,
        },
    )


async def get(tx: Transaction, export_id: UUID) -> Export | None:
    row = await tx.one(
        "SELECT * FROM exports WHERE tenant_id = %(tenant_id)s AND id = %(id)s",
        {"tenant_id": tx.tenant_id, "id": export_id},
    )
    return None if row is None else _export(row)


async def newest(tx: Transaction, limit: int) -> list[Export]:
    """Of the bound tenant, newest first."""
    rows = await tx.all(
        "SELECT * FROM exports WHERE tenant_id = %(tenant_id)s ORDER BY requested_at DESC, id LIMIT %(limit)s",
        {"tenant_id": tx.tenant_id, "limit": limit},
    )
    return [_export(row) for row in rows]


async def unfinished(tx: Transaction) -> Export | None:
    """The one that waits or runs."""
    row = await tx.one(
        "SELECT * FROM exports WHERE tenant_id = %(tenant_id)s AND state IN ('queued', 'running') LIMIT 1",
        {"tenant_id": tx.tenant_id},
    )
    return None if row is None else _export(row)


async def lock_tenant(tx: Transaction) -> Row | None:
    """id, slug, name, tier and created_at of the bound tenant; two exports do not begin at once."""
    return await tx.one(
        "SELECT id, slug, name, tier, created_at FROM tenants WHERE id = %(tenant_id)s FOR UPDATE",
        {"tenant_id": tx.tenant_id},
    )


async def start(tx: Transaction, export_id: UUID, tables_total: int) -> Row | None:
    """requested_by and requested_by_id; None when it is over already."""
    return await tx.one(
        """UPDATE exports SET state = 'running', tables = 0, rows = 0, tables_total = %(total)s
        WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND state IN ('queued', 'running')
        RETURNING requested_by, requested_by_id""",
        {"tenant_id": tx.tenant_id, "id": export_id, "total": tables_total},
    )


async def progress(tx: Transaction, export_id: UUID, tables: int, rows: int) -> None:
    await tx.run(
        "UPDATE exports SET tables = %(tables)s, rows = %(rows)s"
        " WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND state = 'running'",
        {"tenant_id": tx.tenant_id, "id": export_id, "tables": tables, "rows": rows},
    )


async def finish(
    tx: Transaction, export_id: UUID, *, rows: int, size: int, sha256: str, at: datetime, expires_at: datetime
) -> bool:
    """False when it is not running any more."""
    return bool(
        await tx.run(
            """UPDATE exports SET state = 'ready', tables = tables_total, rows = %(rows)s, size = %(size)s,
                sha256 = %(sha256)s, finished_at = %(at)s, expires_at = %(expires_at)s, error = ''
            WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND state = 'running'""",
            {
                "tenant_id": tx.tenant_id,
                "id": export_id,
                "rows": rows,
                "size": size,
                "sha256": sha256,
                "at": at,
                "expires_at": expires_at,
            },
        )
    )


async def fail(tx: Transaction, export_id: UUID, error: str, at: datetime) -> None:
    await tx.run(
        "UPDATE exports SET state = 'failed', error = %(error)s, finished_at = %(at)s"
        " WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND state IN ('queued', 'running')",
        {"tenant_id": tx.tenant_id, "id": export_id, "error": error, "at": at},
    )


async def expire(tx: Transaction, export_id: UUID) -> None:
    await tx.run(
        "UPDATE exports SET state = 'expired' WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND state = 'ready'",
        {"tenant_id": tx.tenant_id, "id": export_id},
    )


async def ready_but(tx: Transaction, export_id: UUID) -> list[UUID]:
    """The bound tenant's ready ones except this."""
    rows = await tx.all(
        "SELECT id FROM exports WHERE tenant_id = %(tenant_id)s AND state = 'ready' AND id <> %(id)s",
        {"tenant_id": tx.tenant_id, "id": export_id},
    )
    return [row["id"] for row in rows]


async def over(tx: Transaction, until: datetime) -> list[tuple[UUID, UUID]]:
    """(tenant, export) of every tenant's exports whose time is over."""
    rows = await tx.all("SELECT tenant_id, export_id FROM app.exports_over(%(until)s)", {"until": until})
    return [(row["tenant_id"], row["export_id"]) for row in rows]


async def is_member(tx: Transaction, user_id: UUID) -> bool:
    """Whether the user belongs to the bound tenant."""
    row = await tx.one(
        "SELECT 1 FROM memberships WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s",
        {"tenant_id": tx.tenant_id, "user_id": user_id},
    )
    return row is not None


def _export(row: Row) -> Export:
    return Export(
        id=row["id"],
        state=ExportState(row["state"]),
        requested_by=row["requested_by"],
        requested_at=row["requested_at"],
        tables=row["tables"],
        tables_total=row["tables_total"],
        rows=row["rows"],
        size=row["size"],
        sha256=row["sha256"],
        error=row["error"],
        finished_at=row["finished_at"],
        expires_at=row["expires_at"],
    )
