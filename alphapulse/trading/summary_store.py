"""The read behind ``GET /portfolio``: a fund's books, or every fund's, in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import LiteralString
from uuid import UUID

from alphapulse.domain.market import Timeframe
from alphapulse.domain.portfolio import Position
from alphapulse.ports.database import Row, Transaction
from alphapulse.trading.book_store import WALLET, read_positions, read_wallet
from alphapulse.trading.fund_store import as_uuid, unknown

_BOOKS: LiteralString = (
    "SELECT f.id, f.name, f.timeframe, c.config->>'venue' AS venue, c.config->>'base_currency' AS base_currency,"
    " (SELECT coalesce(r.cursor, r.start_at) FROM replays r WHERE r.tenant_id = f.tenant_id AND r.fund_id = f.id"
    " AND r.state = 'running' LIMIT 1) AS replayed_to, " + WALLET + " FROM funds f JOIN fund_configs c"
    " ON c.tenant_id = f.tenant_id AND c.fund_id = f.id AND c.version = f.config_version"
    " WHERE f.tenant_id = %(tenant_id)s"
)


@dataclass(frozen=True, slots=True)
class Books:
    """replayed_to: market time of the fund while a replay runs, else None: its time is the present."""

    fund_id: UUID
    name: str
    venue: str
    timeframe: Timeframe
    base_currency: str
    replayed_to: datetime | None
    balances: dict[str, Decimal]
    positions: dict[str, Position]


async def of_fund(tx: Transaction, reference: str) -> Books:
    """reference: name or id. Raises NotFound."""
    row = await tx.one(
        _BOOKS + " AND (f.name = %(name)s OR f.id = %(id)s) ORDER BY f.name = %(name)s DESC LIMIT 1",
        {"tenant_id": tx.tenant_id, "name": reference, "id": as_uuid(reference)},
    )
    if row is None:
        raise unknown(reference)
    return _books(row)


async def of_all(tx: Transaction) -> list[Books]:
    """Every fund of the bound tenant, by name."""
    rows = await tx.all(_BOOKS + " ORDER BY f.name", {"tenant_id": tx.tenant_id})
    return [_books(row) for row in rows]


def _books(row: Row) -> Books:
    return Books(
        fund_id=row["id"],
        name=row["name"],
        venue=row["venue"],
        timeframe=Timeframe(row["timeframe"]),
        base_currency=row["base_currency"],
        replayed_to=row["replayed_to"],
        balances=read_wallet(row["wallet"]),
        positions=read_positions(row["positions"]),
    )
