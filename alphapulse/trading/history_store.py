"""Reading back, page by page: orders, fills, and the history of one order."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from alphapulse.domain.orders import FillRecord, Order, OrderEventRecord, OrderStatus
from alphapulse.domain.risk import Check
from alphapulse.ports.database import Transaction
from alphapulse.trading.order_store import COLUMNS, FILL, read_checks, read_fill, read_order

# Conditions are added only where they are asked for: with "or it is null" the planner could not use the index.


async def orders(
    tx: Transaction,
    *,
    fund_id: UUID | None,
    status: OrderStatus | None,
    limit: int,
    before: tuple[datetime, UUID] | None,
) -> list[Order]:
    """Newest first. before: (at, id) of the last order of the page above."""
    sql: LiteralString = "SELECT " + COLUMNS + " FROM orders o WHERE o.tenant_id = %(tenant_id)s"
    if fund_id is not None:
        sql += " AND o.fund_id = %(fund_id)s"
    if status is not None:
        sql += " AND o.status = %(status)s"
    if before is not None:
        sql += " AND (o.at, o.id) < (%(at)s, %(id)s)"
    rows = await tx.all(
        sql + " ORDER BY o.at DESC, o.id DESC LIMIT %(limit)s",
        {
            "tenant_id": tx.tenant_id,
            "fund_id": fund_id,
            "status": status and status.value,
            "at": before and before[0],
            "id": before and before[1],
            "limit": limit,
        },
    )
    return [read_order(row) for row in rows]


async def fills(
    tx: Transaction,
    *,
    fund_id: UUID | None = None,
    order_id: UUID | None = None,
    limit: int | None = None,
    before: tuple[datetime, UUID, str] | None = None,
) -> list[FillRecord]:
    """Newest first. before: (at, order id, venue fill id) of the last fill of the page above. limit None: all."""
    sql: LiteralString = FILL + " WHERE tenant_id = %(tenant_id)s"
    if fund_id is not None:
        sql += " AND fund_id = %(fund_id)s"
    if order_id is not None:
        sql += " AND order_id = %(order_id)s"
    if before is not None:
        sql += " AND (at, order_id, venue_fill_id) < (%(at)s, %(last)s, %(fill)s)"
    rows = await tx.all(
        sql + " ORDER BY at DESC, order_id DESC, venue_fill_id DESC LIMIT %(limit)s",
        {
            "tenant_id": tx.tenant_id,
            "fund_id": fund_id,
            "order_id": order_id,
            "limit": limit,
            "at": before and before[0],
            "last": before and before[1],
            "fill": before and before[2],
        },
    )
    return [read_fill(row) for row in rows]


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
