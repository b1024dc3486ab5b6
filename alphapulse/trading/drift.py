"""Do the stored books say what the fills say? Balances, positions, ledger and orders against a fresh derivation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from uuid import UUID

from alphapulse.domain.funds import Fund
from alphapulse.domain.money import ZERO, plain
from alphapulse.domain.orders import Fill, FillRecord
from alphapulse.domain.portfolio import Entry, Position, apply_fill, balances, capital_entry, fill_entry
from alphapulse.ports.database import Transaction
from alphapulse.trading import book_store, order_store


async def find(tx: Transaction, fund: Fund) -> list[str]:
    """One line per difference; empty when everything agrees. tx: of one moment, or of a database that stands still."""
    fills = await order_store.booked(tx, fund.id)
    filled = await order_store.filled(tx, fund.id)
    broken = await book_store.unbalanced(tx, fund.id)
    if broken:
        return broken
    stored = {entry.id: entry for entry in await book_store.entries(tx, fund.id)}
    wallet, positions = await book_store.books(tx, fund.id)
    derived = [capital_entry(fund.id, fund.config.base_currency, fund.capital, fund.created_at)]
    derived += [fill_entry(fill.order_id, fill.symbol, fill.side, _fill(fill)) for fill in fills]
    return [
        *_entries(stored, {entry.id: entry for entry in derived}),
        *_balances(wallet, balances(derived)),
        *_positions(positions, _derived_positions(fills)),
        *_orders(filled, fills),
    ]


def _fill(record: FillRecord) -> Fill:
    return Fill(record.venue_fill_id, record.price, record.quantity, record.fee, record.fee_asset, record.at)


def _derived_positions(fills: Iterable[FillRecord]) -> dict[str, Position]:
    found: dict[str, Position] = {}
    for record in fills:
        position = found.get(record.symbol, Position(record.symbol))
        found[record.symbol] = apply_fill(position, record.side, _fill(record))
    return found


def _entries(stored: Mapping[UUID, Entry], derived: Mapping[UUID, Entry]) -> list[str]:
    lines = [f"ledger entry {identity} is missing" for identity in derived.keys() - stored.keys()]
    lines += [f"ledger entry {identity} has no cause" for identity in stored.keys() - derived.keys()]
    lines += [
        f"ledger entry {identity} differs from its fill"
        for identity in derived.keys() & stored.keys()
        if derived[identity].postings != stored[identity].postings
    ]
    return sorted(lines)


def _balances(stored: Mapping[str, Decimal], derived: Mapping[str, Decimal]) -> list[str]:
    return [
        f"balance {asset}: stored {plain(stored.get(asset, ZERO))}, derived {plain(derived.get(asset, ZERO))}"
        for asset in sorted(stored.keys() | derived.keys())
        if stored.get(asset, ZERO) != derived.get(asset, ZERO)
    ]


def _positions(stored: Mapping[str, Position], derived: Mapping[str, Position]) -> list[str]:
    lines: list[str] = []
    for symbol in sorted(stored.keys() | derived.keys()):
        ours, fresh = stored.get(symbol, Position(symbol)), derived.get(symbol, Position(symbol))
        for name in ("quantity", "cost", "realised", "fees"):
            kept, found = getattr(ours, name), getattr(fresh, name)
            if kept != found:
                lines.append(f"position {symbol} {name}: stored {plain(kept)}, derived {plain(found)}")
    return lines


def _orders(filled: Mapping[UUID, Decimal], fills: Iterable[FillRecord]) -> list[str]:
    sums: defaultdict[UUID, Decimal] = defaultdict(Decimal)
    for fill in fills:
        sums[fill.order_id] += fill.quantity
    return [
        f"order {identity}: filled {plain(filled.get(identity, ZERO))}, its fills sum to {plain(sums[identity])}"
        for identity in sorted(filled.keys() | sums.keys())
        if filled.get(identity, ZERO) != sums[identity]
    ]
