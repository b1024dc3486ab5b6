"""Reading back, page by page: orders, fills, and the history of one order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from alphapulse.domain.orders import FillRecord, Order, OrderEventRecord, OrderFilter
from alphapulse.domain.risk import Check
from alphapulse.ports.database import Row, Transaction
from alphapulse.trading.order_store import COLUMNS, FILL_COLUMNS, read_checks, read_fill, read_order

# Conditions are added only where they are asked for: with "or it is null" the planner could not use the index.


class Place(NamedTuple):
    """Where a row stands in the order of creation: by number within its fund, by wall time across funds."""

    recorded_at: datetime
    fund_id: UUID
    sequence: int


async def orders(
    tx: Transaction,
    *,
    fund_id: UUID | None,
    status: OrderFilter | None,
    limit: int,
    before: Place | None,
) -> tuple[list[Order], Place | None]:
    """The newest created first, and the place of the last one. before: that place, for the page below."""
    sql: LiteralString = (
        "SELECT " + COLUMNS + ", o.recorded_at, o.sequence FROM orders o WHERE o.tenant_id = %(tenant_id)s"
    )
    if status == "live":
        sql += " AND o.status IN ('intended', 'unknown', 'open', 'partially_filled')"
    elif status is not None:
        sql += " AND o.status = %(status)s"
    rows = await _newest(tx, sql, fund_id, limit, before, {"status": status})
    return [read_order(row) for row in rows], _last(rows)


async def fills(
    tx: Transaction,
    *,
    fund_id: UUID | None = None,
    order_id: UUID | None = None,
    limit: int | None = None,
    before: Place | None = None,
) -> tuple[list[FillRecord], Place | None]:
    """The newest booked first, and the place of the last one. before: that place. limit None: all."""
    sql: LiteralString = (
        "SELECT " + FILL_COLUMNS + ", recorded_at, sequence FROM fills o WHERE o.tenant_id = %(tenant_id)s"
    )
    if order_id is not None:
        sql += " AND o.order_id = %(order_id)s"
    rows = await _newest(tx, sql, fund_id, limit, before, {"order_id": order_id})
    return [read_fill(row) for row in rows], _last(rows)


async def _newest(
    tx: Transaction,
    sql: LiteralString,
    fund_id: UUID | None,
    limit: int | None,
    before: Place | None,
    values: dict[str, Any],
) -> list[Row]:
    """Within a fund the number alone says what came later, also when the clock was set back in between."""
    if fund_id is not None:
        sql += " AND o.fund_id = %(fund_id)s"
        if before is not None:
            sql += " AND o.sequence < %(sequence)s"
        sql += " ORDER BY o.sequence DESC"
    else:
        if before is not None:
            sql += " AND (o.recorded_at, o.fund_id, o.sequence) < (%(recorded_at)s, %(last_fund)s, %(sequence)s)"
        sql += " ORDER BY o.recorded_at DESC, o.fund_id DESC, o.sequence DESC"
    place: dict[str, Any] = {}
    if before is not None:
        place = {"recorded_at": before.recorded_at, "last_fund": before.fund_id, "sequence": before.sequence}
    return await tx.all(
        sql + " LIMIT %(limit)s", {"tenant_id": tx.tenant_id, "fund_id": fund_id, "limit": limit, **place, **values}
    )


def _last(rows: Sequence[Row]) -> Place | None:
    return Place(rows[-1]["recorded_at"], rows[-1]["fund_id"], rows[-1]["sequence"]) if rows else None


async def steps(tx: Transaction, order_id: UUID) -> list[OrderEventRecord]:
    """The life of one order, oldest first."""
    rows = await tx.all(
        "SELECT order_id, sequence, event, status_before, status_after, detail, at, recorded_at FROM order_events"
        " WHERE tenant_id = %(tenant_id)s AND order_id = %(order_id)s ORDER BY sequence",
        {"tenant_id": tx.tenant_id, "order_id": order_id},
    )
    return [OrderEventRecord(**row) for row in rows]


async def checks(tx: Transaction, order_id: UUID) -> tuple[Check, ...]:
    """Every risk check of the order, passed or not."""
    row = await tx.one(
        "SELECT checks FROM orders WHERE tenant_id = %(tenant_id)s AND id = %(id)s",
        {"tenant_id": tx.tenant_id, "id": order_id},
    )
    return read_checks(row["checks"]) if row else ()
