"""A source that holds its answers in memory, with fixed figures, and counts what it was asked."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from alphapulse.client.stream import Link, LinkState
from alphapulse.domain.decisions import Decision, DecisionState, PlannedOrder, SymbolView
from alphapulse.domain.events import Event, EventKind
from alphapulse.domain.funds import AgentChoice, Fund, FundConfig, FundMode, FundState
from alphapulse.domain.market import Series, Timeframe
from alphapulse.domain.orders import Order, OrderRequest, OrderStatus, OrderType, Side, decision_id, derived_id
from alphapulse.domain.portfolio import EquityPoint, Holding, PortfolioSummary
from alphapulse.domain.risk import Check, Halt, HaltScope, RiskLimits, Verdict
from alphapulse.domain.signals import Signal, Vote, consensus
from alphapulse.domain.tenancy import Role, Whoami
from alphapulse.errors import AlphaPulseError, NotFound

NOW = datetime(2026, 3, 2, 12, 7, 30, tzinfo=UTC)
CLOSE = datetime(2026, 3, 2, 12, tzinfo=UTC)
TENANT = UUID(int=7)
D = Decimal


def fund(name: str, capital: str = "100000", state: FundState = FundState.RUNNING) -> Fund:
    config = FundConfig(
        venue="binance",
        timeframe=Timeframe.H4,
        base_currency="USDT",
        universe=("BTC/USDT", "ETH/USDT", "SOL/USDT"),
        agents=(AgentChoice("trend"), AgentChoice("mean_reversion")),
        limits=RiskLimits(),
    )
    created = datetime(2025, 12, 1, tzinfo=UTC)
    return Fund(derived_id("fund", name), TENANT, name, FundMode.PAPER, state, D(capital), 1, config, created)


def curve(capital: int, bars: int = 180) -> tuple[EquityPoint, ...]:
    """A rise with two falls, the benchmark slower and rougher. Rounded, so that every machine draws the same."""
    points: list[EquityPoint] = []
    for i in range(bars):
        own = capital * (1 + 0.0007 * i + 0.025 * math.sin(i / 14) - (0.03 if 120 < i < 140 else 0))
        held = capital * (1 + 0.0003 * i + 0.035 * math.sin(i / 23 + 1))
        at = CLOSE - timedelta(hours=4) * (bars - 1 - i)
        points.append(EquityPoint(at, D(f"{own:.2f}"), D(f"{own * 0.2:.2f}"), D(f"{held:.2f}")))
    return tuple(points)


def holding(of: Fund, symbol: str, quantity: str, cost: str, price: str) -> Holding:
    value = D(quantity) * D(price)
    unrealised = value - D(quantity) * D(cost)
    return Holding(
        of.id, symbol, D(quantity), D(cost), D(price), CLOSE, value, unrealised, realised=D("310.5"), fees=D("41.2")
    )


def summary(name: str, of: Fund | None, holdings: Sequence[Holding], equity: Decimal) -> PortfolioSummary:
    gross = sum((item.value for item in holdings), D(0))
    return PortfolioSummary(
        fund_id=of.id if of else None,
        name=name,
        base_currency="USDT",
        equity=equity,
        cash=equity - gross,
        gross_exposure=gross,
        unrealised=sum((item.unrealised for item in holdings), D(0)),
        realised=D("931.5"),
        fees=D("123.60"),
        positions=tuple(holdings),
        unpriced=(),
        as_of=CLOSE,
    )


def vote(agent: str, symbol: str, conviction: float | None, rationale: str) -> Vote:
    series = Series("binance", symbol, Timeframe.H4)
    return Vote(Signal(agent, "{}", series, CLOSE, conviction, 0.8 if conviction is not None else 0.0, rationale), 1.0)


def view(symbol: str, price: str, weight: float, *votes: Vote) -> SymbolView:
    return SymbolView(symbol, D(price), votes, consensus(votes), 0.012, weight)


def planned(symbol: str, side: Side, quantity: str, *failed: Check) -> PlannedOrder:
    request = OrderRequest("binance", symbol, side, OrderType.MARKET, D(quantity), leg=symbol)
    return PlannedOrder(request, Verdict(failed or (Check("POSITION_LIMIT", True, "position=1 max=2"),)))


def decisions(of: Fund) -> tuple[Decision, ...]:
    before, missed = CLOSE - timedelta(hours=4), CLOSE - timedelta(hours=8)
    newest = Decision(
        decision_id(of.id, CLOSE),
        of.id,
        CLOSE,
        DecisionState.MADE,
        1,
        D("112483.31"),
        "inverse_volatility",
        (
            view(
                "BTC/USDT",
                "64250.1",
                0.412,
                vote("trend", "BTC/USDT", 0.62, "EMA 12 lies 1.8 % above EMA 26 and both rise"),
                vote("mean_reversion", "BTC/USDT", -0.15, "price is 0.4 deviations above its mean of 20 bars"),
            ),
            view(
                "ETH/USDT",
                "3310.55",
                0.305,
                vote("trend", "ETH/USDT", 0.41, "EMA 12 lies 0.9 % above EMA 26"),
                vote("mean_reversion", "ETH/USDT", None, "needs 20 bars, has 12"),
            ),
            view("SOL/USDT", "171.2", 0.0, vote("trend", "SOL/USDT", -0.30, "EMA 12 lies 1.1 % below EMA 26")),
        ),
        (
            planned("BTC/USDT", Side.BUY, "0.0421"),
            planned("SOL/USDT", Side.SELL, "14.2", Check("NOTIONAL_BELOW_MINIMUM", False, "notional=4.1 minimum=5")),
        ),
    )
    older = replace(newest, id=decision_id(of.id, before), at=before, orders=(), symbols=newest.symbols[:1])
    gone = replace(newest, id=decision_id(of.id, missed), at=missed, state=DecisionState.MISSED, orders=(), symbols=())
    return (newest, older, gone)


def order(of: Fund, symbol: str, side: Side, quantity: str, limit: str | None, status: OrderStatus) -> Order:
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    price = None if limit is None else D(limit)
    request = OrderRequest("binance", symbol, side, kind, D(quantity), price)
    filled = D(quantity) / 4 if status is OrderStatus.PARTIALLY_FILLED else D(0)
    identity = derived_id("order", of.id, symbol)
    return Order(identity, of.id, str(identity), request, status, CLOSE, filled_quantity=filled)


class MemorySource:
    """Answers like a daemon. failures: by the name of a question, raised instead of the answer until removed.

    followed: the ``since`` of every connection. ``say`` sends on the open connection, ``drop`` breaks it.
    """

    def __init__(self, *names: str, role: Role = Role.TENANT_ADMIN) -> None:
        self.role = role
        self.all_funds = [fund(name) for name in names or ("momentum",)]
        self.all_halts: list[Halt] = []
        self.failures: dict[str, AlphaPulseError] = {}
        self.halted: list[tuple[HaltScope, str, str | None]] = []
        self.resumed: list[tuple[HaltScope, str, str | None]] = []
        self.asked: list[str] = []
        self.followed: list[int] = []
        self.newest = 41
        self.books = {item.name: self._books(item) for item in self.all_funds}
        self._lines: asyncio.Queue[Event | Link | AlphaPulseError] = asyncio.Queue()

    @staticmethod
    def _books(of: Fund) -> PortfolioSummary:
        held = [
            holding(of, "BTC/USDT", "0.8421", "61204.1", "64250.1"),
            holding(of, "ETH/USDT", "9.5", "3402.75", "3310.55"),
            holding(of, "SOL/USDT", "14.2", "150.9", "171.2"),
        ]
        return summary(of.name, of, held, curve(100_000)[-1].equity)

    def say(self, *items: Event | Link | AlphaPulseError) -> None:
        """Events and words of the connection; an error is raised where the stream is read."""
        for item in items:
            self._lines.put_nowait(item)

    def event(self, kind: EventKind, **payload: str) -> Event:
        self.newest += 1
        return Event(TENANT, self.newest, kind, "x", CLOSE, NOW, dict(payload))

    def _answer(self, question: str) -> None:
        self.asked.append(question)
        if question in self.failures:
            raise self.failures[question]

    def _fund(self, name: str) -> Fund:
        found = next((item for item in self.all_funds if item.name == name), None)
        if found is None:
            raise NotFound(f"no fund {name}")
        return found

    async def whoami(self) -> Whoami:
        self._answer("whoami")
        return Whoami("ann@acme.example", self.role, "acme", TENANT, UUID(int=9), NOW + timedelta(hours=1))

    async def head(self) -> int:
        self._answer("head")
        return self.newest

    async def funds(self) -> Sequence[Fund]:
        self._answer("funds")
        return list(self.all_funds)

    async def summary(self, fund: str | None) -> PortfolioSummary:
        self._answer("summary")
        if fund is not None:
            return self.books[self._fund(fund).name]
        everything = [item for books in self.books.values() for item in books.positions]
        return summary("all", None, everything, sum((books.equity for books in self.books.values()), D(0)))

    async def history(self, fund: str, limit: int) -> Sequence[EquityPoint]:
        self._answer("history")
        return curve(int(self._fund(fund).capital))[-limit:]

    async def live_orders(self, fund: str | None) -> Sequence[Order]:
        self._answer("live_orders")
        return [
            built
            for item in self.all_funds
            if fund in {None, item.name}
            for built in (
                order(item, "BTC/USDT", Side.BUY, "0.05", "62000", OrderStatus.PARTIALLY_FILLED),
                order(item, "SOL/USDT", Side.SELL, "4", None, OrderStatus.UNKNOWN),
            )
        ]

    async def decisions(self, fund: str, limit: int) -> Sequence[Decision]:
        self._answer("decisions")
        return decisions(self._fund(fund))[:limit]

    async def halts(self) -> Sequence[Halt]:
        self._answer("halts")
        return list(self.all_halts)

    async def halt(self, scope: HaltScope, reason: str, fund: str | None) -> Halt:
        self.halted.append((scope, reason, fund))
        self._answer("halt")
        of = self._fund(fund).id if fund else None
        made = Halt(derived_id("halt", len(self.all_halts)), scope, reason, "ann@acme.example", NOW, of, fund)
        self.all_halts.append(made)
        return made

    async def resume(self, scope: HaltScope, reason: str, fund: str | None) -> Halt:
        self.resumed.append((scope, reason, fund))
        self._answer("resume")
        lifted = next(item for item in self.all_halts if (item.scope, item.fund) == (scope, fund))
        self.all_halts.remove(lifted)
        return replace(lifted, lifted_at=NOW, lifted_by="ann@acme.example")

    async def follow(self, since: int) -> AsyncIterator[Event | Link]:
        self.followed.append(since)
        self._answer("follow")
        yield Link(LinkState.UP)
        while True:
            item = await self._lines.get()
            if isinstance(item, AlphaPulseError):
                raise item
            yield item

    async def close(self) -> None:
        self.asked.append("close")
