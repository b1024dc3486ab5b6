"""Decisions: written once, read to explain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from alphapulse.domain.decisions import Decision
from alphapulse.domain.wire import decode, encode
from alphapulse.ports.database import Transaction


async def insert(tx: Transaction, decision: Decision, now: datetime) -> bool:
    """False when the fund has a decision for this bar already, which stands."""
    return bool(
        await tx.run(
            "INSERT INTO decisions (tenant_id, id, fund_id, at, state, config_version, detail, recorded_at)"
            " VALUES (%(tenant_id)s, %(id)s, %(fund_id)s, %(at)s, %(state)s, %(config_version)s, %(detail)s::jsonb,"
            " %(now)s) ON CONFLICT DO NOTHING",
            {
                "tenant_id": tx.tenant_id,
                "id": decision.id,
                "fund_id": decision.fund_id,
                "at": decision.at,
                "state": decision.state.value,
                "config_version": decision.config_version,
                "detail": orjson.dumps(encode(decision)).decode(),
                "now": now,
            },
        )
    )


async def newest(tx: Transaction, fund_id: UUID, limit: int) -> list[Decision]:
    rows = await tx.all(
        "SELECT detail FROM decisions WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s"
        " ORDER BY at DESC LIMIT %(limit)s",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id, "limit": limit},
    )
    return [decode(Decision, row["detail"]) for row in rows]


async def get(tx: Transaction, decision_id: UUID) -> Decision | None:
    row = await tx.one(
        "SELECT detail FROM decisions WHERE tenant_id = %(tenant_id)s AND id = %(id)s",
        {"tenant_id": tx.tenant_id, "id": decision_id},
    )
    return None if row is None else decode(Decision, row["detail"])


@dataclass(frozen=True, slots=True)
class Start:
    """Where a fund's benchmark begins: the first decision that was made, and the universe it was made for."""

    at: datetime
    universe: tuple[str, ...]


async def first(tx: Transaction, fund_id: UUID) -> Start | None:
    row = await tx.one(
        "SELECT d.at, c.config->'universe' AS universe FROM decisions d JOIN fund_configs c"
        " ON c.tenant_id = d.tenant_id AND c.fund_id = d.fund_id AND c.version = d.config_version"
        " WHERE d.tenant_id = %(tenant_id)s AND d.fund_id = %(fund_id)s AND d.state = 'made' ORDER BY d.at LIMIT 1",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id},
    )
    return None if row is None else Start(row["at"], tuple(row["universe"]))


@dataclass(frozen=True, slots=True)
class Counts:
    """How much happened in a fund so far. denied orders are part of orders."""

    decisions: int
    orders: int
    denied: int
    fills: int


async def counts(tx: Transaction, fund_id: UUID) -> Counts:
    row = await tx.one(
        "SELECT (SELECT count(*) FROM decisions WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s"
        " AND state = 'made') AS decisions,"
        " (SELECT count(*) FROM orders WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s) AS orders,"
        " (SELECT count(*) FROM orders WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s"
        " AND status = 'denied') AS denied,"
        " (SELECT count(*) FROM fills WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s) AS fills",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id},
    )
    assert row is not None
    return Counts(**row)
