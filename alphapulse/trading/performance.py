"""How a fund did, over all its equity points; and a copy of the answer, since dashboards ask again and again."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import numpy as np

from alphapulse.domain import wire
from alphapulse.domain.cache_keys import CacheKey, tenant_key
from alphapulse.domain.funds import Fund
from alphapulse.domain.money import ZERO
from alphapulse.domain.portfolio import Performance
from alphapulse.ports.cache import Cache
from alphapulse.ports.database import Transaction
from alphapulse.quant import metrics
from alphapulse.trading import book_store, decision_store, drift

#: The longest that the books may be taken as balanced without deriving them anew.
_KEPT_FOR = timedelta(minutes=1)


async def measure(tx: Transaction, fund: Fund) -> Performance:
    """Over every equity point. Returns are measured from the capital paid in."""
    points = await book_store.equity(tx, fund.id)
    counts = await decision_store.counts(tx, fund.id)
    _, positions = await book_store.books(tx, fund.id)
    lines = await drift.find(tx, fund)
    curve = np.array([float(fund.capital), *(float(point.equity) for point in points)])
    held = np.array([float(fund.capital), *(float(point.benchmark) for point in points)])
    return Performance(
        fund_id=fund.id,
        as_of=points[-1].at if points else None,
        bars=len(points),
        decisions=counts.decisions,
        orders=counts.orders,
        fills=counts.fills,
        denied=counts.denied,
        fees=sum((position.fees for position in positions.values()), ZERO),
        total_return=metrics.total_return(curve),
        benchmark_return=metrics.total_return(held),
        max_drawdown=metrics.max_drawdown(curve),
        sharpe=metrics.sharpe(curve, fund.config.timeframe),
        equity_start=fund.capital,
        equity_end=points[-1].equity if points else fund.capital,
        ledger_balanced=not lines,
    )


async def key_of(tx: Transaction, tenant_id: UUID, fund: Fund) -> CacheKey:
    """Another one as soon as anything happened that the answer tells of: a bar, a decision, an order, a fill."""
    newest = await book_store.equity(tx, fund.id, limit=1)
    counts = await decision_store.counts(tx, fund.id)
    state = (counts.decisions, counts.orders, counts.fills, counts.denied, newest[-1].at if newest else "")
    return tenant_key(tenant_id, "performance", fund.id, *state)


async def kept(cache: Cache, key: CacheKey) -> Performance | None:
    found = await cache.get(key)
    return None if found is None else wire.decode(Performance, json.loads(found))


async def keep(cache: Cache, key: CacheKey, found: Performance) -> None:
    """Books that do not balance are looked at anew each time."""
    if found.ledger_balanced:
        await cache.put(key, json.dumps(wire.encode(found)).encode(), _KEPT_FOR)
