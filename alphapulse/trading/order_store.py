"""Orders, their history and their fills."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

import orjson

from alphapulse.domain.market import Series, Timeframe
from alphapulse.domain.orders import (
    Fill,
    FillRecord,
    Order,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
)
from alphapulse.domain.risk import Check, Verdict
from alphapulse.domain.wire import decode, encode
from alphapulse.ports.database import Row, Transaction
from alphapulse.trading.settlement import Absorbed, Step, Tracked

COLUMNS: LiteralString = (
    "o.id, o.fund_id, o.client_order_id, o.decision_id, o.leg, o.venue, o.symbol, o.side, o.type, o.quantity,"
    " o.limit_price, o.timeframe, o.status, o.filled_quantity, o.average_price, o.venue_order_id, o.reason, o.checks,"
    " o.at, o.cancel_requested_at"
)
_TRACKED: LiteralString = (
    "SELECT " + COLUMNS + ", o.recorded_at,"
    " ARRAY(SELECT f.venue_fill_id FROM fills f WHERE f.tenant_id = o.tenant_id AND f.order_id = o.id) AS booked,"
    " (SELECT max(e.sequence) FROM order_events e WHERE e.tenant_id = o.tenant_id AND e.order_id = o.id) AS steps"
    " FROM orders o WHERE o.tenant_id = %(tenant_id)s"
)

FILL_COLUMNS: LiteralString = "order_id, fund_id, symbol, side, venue_fill_id, price, quantity, fee, fee_asset, at"


async def insert(tx: Transaction, placed: Sequence[tuple[Order, Verdict]], now: datetime) -> None:
    """New orders of one fund, denied ones too, with every check that was made of them.

    Numbered on from the fund's last order in the order of ``placed``, under the fund's lock.
    """
    rows = [
        {
            "id": order.id,
            "fund_id": order.fund_id,
            "client_order_id": order.client_order_id,
            "decision_id": order.decision_id,
            "leg": order.request.leg,
            "venue": order.request.venue,
            "symbol": order.request.symbol,
            "side": order.request.side,
            "type": order.request.type,
            "quantity": order.request.quantity,
            "limit_price": order.request.limit_price,
            "timeframe": order.timeframe,
            "fingerprint": order.request.fingerprint(),
            "status": order.status,
            "filled_quantity": order.filled_quantity,
            "reason": order.reason,
            "checks": verdict.checks,
            "at": order.at,
        }
        for order, verdict in placed
    ]
    await tx.run(
        "INSERT INTO orders (tenant_id, id, fund_id, sequence, client_order_id, decision_id, leg, venue, symbol, side,"
        " type, quantity, limit_price, timeframe, fingerprint, status, filled_quantity, reason, checks, at,"
        " recorded_at, updated_at)"
        " SELECT %(tenant_id)s, id, fund_id, n + (SELECT coalesce(max(o.sequence), 0) FROM orders o"
        " WHERE o.tenant_id = %(tenant_id)s AND o.fund_id = r.fund_id), client_order_id, decision_id, leg, venue,"
        " symbol, side, type, quantity, limit_price, timeframe, fingerprint, status, filled_quantity, reason, checks,"
        " at, %(now)s, %(now)s"
        " FROM ROWS FROM (jsonb_to_recordset(%(rows)s::jsonb) AS (id uuid, fund_id uuid, client_order_id text,"
        " decision_id uuid, leg text, venue text, symbol text, side text, type text, quantity numeric,"
        " limit_price numeric, timeframe text, fingerprint text, status text, filled_quantity numeric, reason text,"
        " checks jsonb, at timestamptz)) WITH ORDINALITY"
        " AS r (id, fund_id, client_order_id, decision_id, leg, venue, symbol, side, type, quantity, limit_price,"
        " timeframe, fingerprint, status, filled_quantity, reason, checks, at, n)",
        {"tenant_id": tx.tenant_id, "now": now, "rows": packed(rows)},
    )


async def add_steps(tx: Transaction, steps: Iterable[tuple[UUID, int, Step]], at: datetime, now: datetime) -> None:
    """History rows: (order id, sequence within the order, what happened)."""
    rows = [
        {
            "order_id": order_id,
            "sequence": sequence,
            "event": step.event,
            "before": step.before,
            "after": step.after,
            "detail": step.detail,
        }
        for order_id, sequence, step in steps
    ]
    await tx.run(
        "INSERT INTO order_events (tenant_id, order_id, sequence, event, status_before, status_after, detail, at,"
        " recorded_at)"
        " SELECT %(tenant_id)s, order_id, sequence, event, before, after, detail, %(at)s, %(now)s"
        " FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (order_id uuid, sequence int, event text, before text,"
        " after text, detail text)",
        {"tenant_id": tx.tenant_id, "at": at, "now": now, "rows": packed(rows)},
    )


async def update(tx: Transaction, orders: Iterable[Order], now: datetime) -> None:
    """What an order's life changes: status, fills so far, the venue's id, the reason, a wish to cancel."""
    rows = [
        {
            "id": order.id,
            "status": order.status,
            "filled_quantity": order.filled_quantity,
            "average_price": order.average_price,
            "venue_order_id": order.venue_order_id,
            "reason": order.reason,
            "cancel_requested_at": order.cancel_requested_at,
        }
        for order in orders
    ]
    await tx.run(
        "UPDATE orders o SET status = r.status, filled_quantity = r.filled_quantity, average_price = r.average_price,"
        " venue_order_id = r.venue_order_id, reason = r.reason, cancel_requested_at = r.cancel_requested_at,"
        " updated_at = %(now)s"
        " FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (id uuid, status text, filled_quantity numeric,"
        " average_price numeric, venue_order_id text, reason text, cancel_requested_at timestamptz)"
        " WHERE o.tenant_id = %(tenant_id)s AND o.id = r.id",
        {"tenant_id": tx.tenant_id, "now": now, "rows": packed(rows)},
    )


async def add_fills(tx: Transaction, fund_id: UUID, absorbed: Iterable[Absorbed], now: datetime) -> None:
    """Numbered on from the fund's last fill, under the fund's lock: positions are re-derived in this order."""
    rows = [
        {
            "order_id": each.order.id,
            "symbol": each.order.request.symbol,
            "side": each.order.request.side,
            "venue_fill_id": fill.venue_fill_id,
            "price": fill.price,
            "quantity": fill.quantity,
            "fee": fill.fee,
            "fee_asset": fill.fee_asset,
            "at": fill.at,
        }
        for each in absorbed
        for fill in each.fills
    ]
    await tx.run(
        "INSERT INTO fills (tenant_id, order_id, fund_id, sequence, symbol, side, venue_fill_id, price, quantity, fee,"
        " fee_asset, at, recorded_at)"
        " SELECT %(tenant_id)s, order_id, %(fund_id)s, n + (SELECT coalesce(max(f.sequence), 0) FROM fills f"
        " WHERE f.tenant_id = %(tenant_id)s AND f.fund_id = %(fund_id)s), symbol, side, venue_fill_id, price, quantity,"
        " fee, fee_asset, at, %(now)s"
        " FROM ROWS FROM (jsonb_to_recordset(%(rows)s::jsonb) AS (order_id uuid, symbol text, side text,"
        " venue_fill_id text, price numeric, quantity numeric, fee numeric, fee_asset text, at timestamptz))"
        " WITH ORDINALITY AS r (order_id, symbol, side, venue_fill_id, price, quantity, fee, fee_asset, at, n)",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id, "now": now, "rows": packed(rows)},
    )


async def filled(tx: Transaction, fund_id: UUID) -> dict[UUID, Decimal]:
    """Quantity filled by order, as the orders say; orders without any are left out."""
    rows = await tx.all(
        "SELECT id, filled_quantity FROM orders"
        " WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s AND filled_quantity <> 0",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id},
    )
    return {row["id"]: row["filled_quantity"] for row in rows}


async def booked(tx: Transaction, fund_id: UUID) -> list[FillRecord]:
    """Every fill of the fund in the order in which it was booked."""
    rows = await tx.all(
        "SELECT " + FILL_COLUMNS + " FROM fills"
        " WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s ORDER BY sequence",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id},
    )
    return [read_fill(row) for row in rows]


async def competing(tx: Transaction, fund_id: UUID) -> list[tuple[Series, UUID, Fill]]:
    """Booked fills that share bars with the fund's live orders, oldest first: those orders' own, and those of other
    orders in the same symbol since the oldest live one was placed.
    """
    rows = await tx.all(
        "WITH live AS (SELECT symbol, min(at) AS since FROM orders WHERE tenant_id = %(tenant_id)s"
        " AND fund_id = %(fund_id)s AND status IN ('intended', 'unknown', 'open', 'partially_filled') GROUP BY symbol)"
        " SELECT o.venue, o.timeframe, f.* FROM live"
        " JOIN fills f ON f.tenant_id = %(tenant_id)s AND f.fund_id = %(fund_id)s AND f.symbol = live.symbol"
        " AND f.at >= live.since"
        " JOIN orders o ON o.tenant_id = f.tenant_id AND o.id = f.order_id ORDER BY f.at, f.sequence",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id},
    )
    return [
        (
            Series(row["venue"], row["symbol"], Timeframe(row["timeframe"])),
            row["order_id"],
            Fill(row["venue_fill_id"], row["price"], row["quantity"], row["fee"], row["fee_asset"], row["at"]),
        )
        for row in rows
    ]


async def live(tx: Transaction, fund_id: UUID) -> list[Tracked]:
    """The fund's orders that may still trade, oldest first."""
    rows = await tx.all(
        _TRACKED + " AND o.fund_id = %(fund_id)s"
        " AND o.status IN ('intended', 'unknown', 'open', 'partially_filled') ORDER BY o.sequence",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id},
    )
    return [tracked(row) for row in rows]


async def load(tx: Transaction, ids: Sequence[UUID]) -> list[Tracked]:
    """These orders, in the order of ``ids``; unknown ids are left out."""
    rows = await tx.all(_TRACKED + " AND o.id = ANY(%(ids)s::uuid[])", {"tenant_id": tx.tenant_id, "ids": list(ids)})
    found = {row["id"]: tracked(row) for row in rows}
    return [found[order_id] for order_id in ids if order_id in found]


def tracked(row: Row) -> Tracked:
    return Tracked(read_order(row), frozenset(row["booked"]), row["steps"] or 0, row["recorded_at"])


def read_order(row: Row) -> Order:
    return Order(
        id=row["id"],
        fund_id=row["fund_id"],
        client_order_id=row["client_order_id"],
        request=OrderRequest(
            row["venue"],
            row["symbol"],
            Side(row["side"]),
            OrderType(row["type"]),
            row["quantity"],
            row["limit_price"],
            row["leg"],
        ),
        status=OrderStatus(row["status"]),
        at=row["at"],
        decision_id=row["decision_id"],
        filled_quantity=row["filled_quantity"],
        average_price=row["average_price"],
        venue_order_id=row["venue_order_id"],
        cancel_requested_at=row["cancel_requested_at"],
        reason=row["reason"],
        denials=Verdict(read_checks(row["checks"])).denials,
        timeframe=Timeframe(row["timeframe"]),
    )


def read_checks(document: Any) -> tuple[Check, ...]:
    return decode(tuple[Check, ...], document)


def read_fill(row: Row) -> FillRecord:
    """Columns beyond those of the record are left out."""
    values: Row = {name: row[name] for name in FILL_COLUMNS.split(", ")}
    values["side"] = Side(row["side"])
    return FillRecord(**values)


def packed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as the JSON that ``jsonb_to_recordset`` reads; money travels as text and stays exact."""
    return orjson.dumps(encode(rows)).decode()
