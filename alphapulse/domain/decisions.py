"""Why a fund did what it did at one bar, complete enough to be walked back months later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from alphapulse.domain.orders import FillRecord, Order, OrderEventRecord, OrderRequest
from alphapulse.domain.risk import Check, Verdict
from alphapulse.domain.signals import Consensus, Vote


class DecisionState(StrEnum):
    MADE = "made"
    MISSED = "missed"  # the daemon was down when the bar closed; nothing was decided


@dataclass(frozen=True, slots=True)
class SymbolView:
    """What the agents said of one symbol and what the allocator made of it.

    volatility: standard deviation of log returns per bar, as the allocator used it; None when unknown.
    weight: target fraction of equity. price: last close, quote currency; None when there is none.
    problem: why the symbol took no part (for example missing candles); empty otherwise.
    """

    symbol: str
    price: Decimal | None
    votes: tuple[Vote, ...]
    consensus: Consensus
    volatility: float | None
    weight: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """order_id: the stored order, denied or not; None in a plan that was only printed."""

    request: OrderRequest
    verdict: Verdict
    order_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One fund at one closed bar. at: the bar's close. equity: base currency, before the orders."""

    id: UUID
    fund_id: UUID
    at: datetime
    state: DecisionState
    config_version: int
    equity: Decimal
    allocator: str
    symbols: tuple[SymbolView, ...]
    orders: tuple[PlannedOrder, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """An order walked back to its cause. fund: its name. decision: None for an order that a person placed.

    checks: every risk check of the order, passed or not. history and fills: oldest first.
    """

    order: Order
    fund: str
    decision: Decision | None
    checks: tuple[Check, ...]
    history: tuple[OrderEventRecord, ...]
    fills: tuple[FillRecord, ...]
