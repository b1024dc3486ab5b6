"""The books of a fund: ledger, balances, positions, equity; and everything a decision has to know, in one statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString, cast
from uuid import UUID

from alphapulse.domain.decisions import Decision
from alphapulse.domain.portfolio import Account, Entry, EntryKind, EquityPoint, Position, Posting
from alphapulse.domain.risk import Openings
from alphapulse.domain.wire import decode
from alphapulse.ports.database import Row, Transaction
from alphapulse.trading.fund_store import unknown
from alphapulse.trading.order_store import packed
from alphapulse.trading.settlement import Booking

#: Wallet and positions of fund ``f`` as JSON, money as text. Shared by every read of a fund's books.
WALLET: LiteralString = (
    "(SELECT jsonb_object_agg(b.asset, b.amount::text) FROM balances b"
    " WHERE b.tenant_id = f.tenant_id AND b.fund_id = f.id) AS wallet,"
    " (SELECT jsonb_agg(jsonb_build_array(p.symbol, p.quantity::text, p.cost::text, p.realised::text, p.fees::text)"
    " ORDER BY p.symbol) FROM positions p WHERE p.tenant_id = f.tenant_id AND p.fund_id = f.id) AS positions"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a fund stands. live: how many orders may still trade. halts: one line each, of every scope, and one for a
    tenant whose state leaves no new risk. openings: see ``trading/ceiling.py``, which adds it.

    decided: the decision stored for the bar asked about. last_at: close of the newest bar of its equity.
    """

    config_version: int
    balances: dict[str, Decimal]
    positions: dict[str, Position]
    halts: tuple[str, ...]
    live: int
    replaying: bool
    last_at: datetime | None
    decided: Decision | None
    openings: Openings | None = None


async def standing(tx: Transaction, fund_id: UUID, at: datetime) -> Standing:
    """at: the bar whose decision is looked for. Raises NotFound."""
    row = await tx.one(
        "SELECT f.config_version, " + WALLET + ","
        " ARRAY(SELECT 'scope=platform reason=' || h.reason FROM platform_halts h WHERE h.lifted_at IS NULL"
        " UNION ALL"
        " SELECT CASE WHEN h.fund_id IS NULL THEN 'scope=tenant reason=' ELSE 'scope=fund reason=' END || h.reason"
        " FROM halts h WHERE h.tenant_id = f.tenant_id AND h.lifted_at IS NULL"
        " AND (h.fund_id IS NULL OR h.fund_id = f.id)"
        " UNION ALL SELECT 'scope=tenant state=' || t.state FROM tenants t"
        " WHERE t.id = f.tenant_id AND t.state NOT IN ('active', 'past_due')) AS halts,"
        " (SELECT count(*) FROM orders o WHERE o.tenant_id = f.tenant_id AND o.fund_id = f.id"
        " AND o.status IN ('intended', 'unknown', 'open', 'partially_filled')) AS live,"
        " EXISTS (SELECT FROM replays r WHERE r.tenant_id = f.tenant_id AND r.fund_id = f.id"
        " AND r.state = 'running') AS replaying,"
        " (SELECT max(e.at) FROM equity e WHERE e.tenant_id = f.tenant_id AND e.fund_id = f.id) AS last_at,"
        " (SELECT d.detail FROM decisions d WHERE d.tenant_id = f.tenant_id AND d.fund_id = f.id AND d.at = %(at)s)"
        " AS decided"
        " FROM funds f WHERE f.tenant_id = %(tenant_id)s AND f.id = %(fund_id)s",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id, "at": at},
    )
    if row is None:
        raise unknown(str(fund_id))
    return Standing(
        config_version=row["config_version"],
        balances=read_wallet(row["wallet"]),
        positions=read_positions(row["positions"]),
        halts=tuple(row["halts"]),
        live=row["live"],
        replaying=row["replaying"],
        last_at=row["last_at"],
        decided=None if row["decided"] is None else decode(Decision, row["decided"]),
    )


def read_wallet(document: dict[str, str] | None) -> dict[str, Decimal]:
    return {asset: Decimal(amount) for asset, amount in (document or {}).items()}


def read_positions(document: list[list[str]] | None) -> dict[str, Position]:
    return {
        symbol: Position(symbol, Decimal(quantity), Decimal(cost), Decimal(realised), Decimal(fees))
        for symbol, quantity, cost, realised, fees in document or []
    }


async def books(tx: Transaction, fund_id: UUID) -> tuple[dict[str, Decimal], dict[str, Position]]:
    """Balance per asset and position per symbol, as stored. Raises NotFound for an unknown fund."""
    row = await tx.one(
        "SELECT " + WALLET + " FROM funds f WHERE f.tenant_id = %(tenant_id)s AND f.id = %(fund_id)s",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id},
    )
    if row is None:
        raise unknown(str(fund_id))
    return read_wallet(row["wallet"]), read_positions(row["positions"])


async def add_entries(tx: Transaction, fund_id: UUID, entries: Iterable[Entry], now: datetime) -> None:
    """Raises AlreadyExists for an entry that is booked already: an order's fills are booked under the fund's lock."""
    rows = [
        {
            "entry_id": entry.id,
            "line": line,
            "kind": entry.kind,
            "account": posting.account,
            "asset": posting.asset,
            "amount": posting.amount,
            "at": entry.at,
        }
        for entry in entries
        for line, posting in enumerate(entry.postings, 1)
    ]
    await tx.run(
        "INSERT INTO ledger (tenant_id, entry_id, line, fund_id, kind, account, asset, amount, at, recorded_at)"
        " SELECT %(tenant_id)s, entry_id, line, %(fund_id)s, kind, account, asset, amount, at, %(now)s"
        " FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (entry_id uuid, line int, kind text, account text, asset text,"
        " amount numeric, at timestamptz)",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id, "now": now, "rows": packed(rows)},
    )


async def write(tx: Transaction, fund_id: UUID, booking: Booking, now: datetime) -> None:
    """Ledger entries of ``booking`` and the balances and positions that they changed."""
    await add_entries(tx, fund_id, booking.entries, now)
    await set_balances(tx, fund_id, {asset: booking.balances[asset] for asset in booking.changed_balances})
    await tx.run(
        "INSERT INTO positions (tenant_id, fund_id, symbol, quantity, cost, realised, fees, updated_at)"
        " SELECT %(tenant_id)s, %(fund_id)s, symbol, quantity, cost, realised, fees, %(now)s"
        " FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (symbol text, quantity numeric, cost numeric,"
        " realised numeric, fees numeric)"
        " ON CONFLICT (tenant_id, fund_id, symbol) DO UPDATE SET quantity = excluded.quantity, cost = excluded.cost,"
        " realised = excluded.realised, fees = excluded.fees, updated_at = excluded.updated_at",
        {
            "tenant_id": tx.tenant_id,
            "fund_id": fund_id,
            "now": now,
            "rows": packed(
                cast("list[Any]", [booking.positions[symbol] for symbol in sorted(booking.changed_positions)])
            ),
        },
    )


async def set_balances(tx: Transaction, fund_id: UUID, amounts: dict[str, Decimal]) -> None:
    await tx.run(
        "INSERT INTO balances (tenant_id, fund_id, asset, amount)"
        " SELECT %(tenant_id)s, %(fund_id)s, asset, amount"
        " FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (asset text, amount numeric)"
        " ON CONFLICT (tenant_id, fund_id, asset) DO UPDATE SET amount = excluded.amount",
        {
            "tenant_id": tx.tenant_id,
            "fund_id": fund_id,
            "rows": packed([{"asset": asset, "amount": amount} for asset, amount in sorted(amounts.items())]),
        },
    )


async def entries(tx: Transaction, fund_id: UUID) -> list[Entry]:
    """The whole ledger. An entry whose stored postings do not sum to zero raises Defect: see ``unbalanced``."""
    rows = await tx.all(
        "SELECT entry_id, kind, at, array_agg(account ORDER BY line) AS accounts,"
        " array_agg(asset ORDER BY line) AS assets, array_agg(amount ORDER BY line) AS amounts FROM ledger"
        " WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s GROUP BY entry_id, kind, at ORDER BY at, entry_id",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id},
    )
    return [_entry(row) for row in rows]


def _entry(row: Row) -> Entry:
    postings = tuple(
        Posting(Account(account), asset, amount)
        for account, asset, amount in zip(row["accounts"], row["assets"], row["amounts"], strict=True)
    )
    return Entry(row["entry_id"], EntryKind(row["kind"]), row["at"], postings)


async def unbalanced(tx: Transaction, fund_id: UUID) -> list[str]:
    """One line per ledger entry and asset whose postings do not sum to zero."""
    rows = await tx.all(
        "SELECT entry_id, asset, sum(amount) AS total FROM ledger"
        " WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s GROUP BY entry_id, asset HAVING sum(amount) <> 0",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id},
    )
    return [f"ledger entry {row['entry_id']}: {row['asset']} sums to {row['total']}, not to zero" for row in rows]


async def mark(tx: Transaction, fund_id: UUID, point: EquityPoint, now: datetime) -> bool:
    """Store an equity point; False when the bar has one already, which stands."""
    return bool(
        await tx.run(
            "INSERT INTO equity (tenant_id, fund_id, at, equity, cash, benchmark, recorded_at)"
            " VALUES (%(tenant_id)s, %(fund_id)s, %(at)s, %(equity)s, %(cash)s, %(benchmark)s, %(now)s)"
            " ON CONFLICT (tenant_id, fund_id, at) DO NOTHING",
            {
                "tenant_id": tx.tenant_id,
                "fund_id": fund_id,
                "at": point.at,
                "equity": point.equity,
                "cash": point.cash,
                "benchmark": point.benchmark,
                "now": now,
            },
        )
    )


async def equity(
    tx: Transaction, fund_id: UUID, *, since: datetime | None = None, limit: int | None = None
) -> list[EquityPoint]:
    """Oldest first: from ``since`` on, else the newest ``limit`` (all without a limit)."""
    order: LiteralString = "DESC" if since is None else "ASC"
    rows = await tx.all(
        "SELECT at, equity, cash, benchmark FROM equity WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s"
        " AND (%(since)s::timestamptz IS NULL OR at >= %(since)s) ORDER BY at " + order + " LIMIT %(limit)s",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id, "since": since, "limit": limit},
    )
    points = [EquityPoint(**row) for row in rows]
    return points if since is not None else points[::-1]
