"""What tenants use of their plans: counted from what they have, and recorded per UTC day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from alphapulse.domain.plans import LimitName
from alphapulse.ports.database import Transaction


@dataclass(frozen=True, slots=True)
class DayUse:
    """quantity: the most at once, or the sum of calls. amount: price of ``overage`` units, never above the cap."""

    limit: LimitName
    quantity: int
    overage: int
    amount: Decimal


async def serialise(tx: Transaction, tenant_id: UUID) -> None:
    """Whoever counts and then adds waits here for who came before, until that transaction ends."""
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended(%(id)s::text, 2))", {"id": tenant_id})


async def positions(tx: Transaction, tenant_id: UUID, *, apart_from: UUID | None = None) -> int:
    """Open positions of all funds but ``apart_from``, and symbols that live purchases will open."""
    row = await tx.one(
        "SELECT count(*) AS many FROM ("
        " SELECT p.fund_id, p.symbol FROM positions p WHERE p.tenant_id = %(tenant_id)s AND p.quantity > 0"
        " AND p.fund_id IS DISTINCT FROM %(fund_id)s::uuid"
        " UNION SELECT o.fund_id, o.symbol FROM orders o WHERE o.tenant_id = %(tenant_id)s AND o.side = 'buy'"
        " AND o.status IN ('intended', 'unknown', 'open', 'partially_filled')"
        " AND o.fund_id IS DISTINCT FROM %(fund_id)s::uuid) AS held",
        {"tenant_id": tenant_id, "fund_id": apart_from},
    )
    return 0 if row is None else row["many"]


async def agents_and_venues(
    tx: Transaction, tenant_id: UUID, *, apart_from: UUID | None = None
) -> tuple[set[str], set[str]]:
    """Different agents that are enabled, and venues, in the configurations in force of all funds but ``apart_from``."""
    rows = await tx.all(
        "SELECT c.config ->> 'venue' AS venue, ARRAY("
        " SELECT a ->> 'name' FROM jsonb_array_elements(c.config -> 'agents') AS a"
        " WHERE coalesce((a ->> 'enabled')::boolean, true)) AS agents"
        " FROM funds f JOIN fund_configs c"
        " ON c.tenant_id = f.tenant_id AND c.fund_id = f.id AND c.version = f.config_version"
        " WHERE f.tenant_id = %(tenant_id)s AND f.id IS DISTINCT FROM %(fund_id)s::uuid",
        {"tenant_id": tenant_id, "fund_id": apart_from},
    )
    return {name for row in rows for name in row["agents"]}, {row["venue"] for row in rows}


async def today(tx: Transaction, tenant_id: UUID, day: datetime) -> Mapping[LimitName, DayUse]:
    rows = await tx.all(
        'SELECT "limit", quantity, overage, amount FROM plan_usage WHERE tenant_id = %(tenant_id)s AND day = %(day)s',
        {"tenant_id": tenant_id, "day": day},
    )
    found = [DayUse(LimitName(row["limit"]), row["quantity"], row["overage"], row["amount"]) for row in rows]
    return {each.limit: each for each in found}


async def spent(tx: Transaction, tenant_id: UUID, month: datetime) -> Mapping[LimitName, Decimal]:
    """What the overage of each limit costs from the start of the month on."""
    rows = await tx.all(
        'SELECT "limit", sum(amount) AS amount FROM plan_usage'
        ' WHERE tenant_id = %(tenant_id)s AND day >= %(month)s GROUP BY "limit"',
        {"tenant_id": tenant_id, "month": month},
    )
    return {LimitName(row["limit"]): row["amount"] for row in rows}


async def put(tx: Transaction, tenant_id: UUID, day: datetime, use: DayUse) -> None:
    """The day's row of one limit as it is now."""
    await tx.run(
        'INSERT INTO plan_usage (tenant_id, "limit", day, quantity, overage, amount)'
        " VALUES (%(tenant_id)s, %(limit)s, %(day)s, %(quantity)s, %(overage)s, %(amount)s)"
        ' ON CONFLICT (tenant_id, "limit", day) DO UPDATE SET quantity = excluded.quantity,'
        " overage = excluded.overage, amount = excluded.amount",
        {
            "tenant_id": tenant_id,
            "limit": use.limit.value,
            "day": day,
            "quantity": use.quantity,
            "overage": use.overage,
            "amount": use.amount,
        },
    )
