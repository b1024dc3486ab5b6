"""A trading floor on a real database: every real part, wired as the daemon wires them, over made-up candles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import LiteralString
from uuid import UUID

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.exchange.paper import PaperExchange
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.agents.registry import Registry
from alphapulse.agents.service import Agents
from alphapulse.clock import ManualClock
from alphapulse.daemon.assembly.tenants import open_plans
from alphapulse.domain.funds import AgentChoice, Fund, FundConfig, FundMode
from alphapulse.domain.market import Instrument, Series, Timeframe
from alphapulse.domain.orders import OrderRequest, OrderType, Side
from alphapulse.domain.risk import RiskLimits
from alphapulse.market.catalogue import Catalogue
from alphapulse.market.service import Market
from alphapulse.ports.database import Row
from alphapulse.ports.exchange import Exchange
from alphapulse.quant.simulation import PaperRules
from alphapulse.quant.window import Window
from alphapulse.tenancy.metering import Metering
from alphapulse.trading.account import orders_of_account
from alphapulse.trading.books import Books
from alphapulse.trading.ceiling import Ceiling
from alphapulse.trading.cycle import Cycle
from alphapulse.trading.desk import Desk
from alphapulse.trading.funds import Funds
from alphapulse.trading.halts import Halts
from alphapulse.trading.quota import Quota
from alphapulse.trading.replay import Replays
from tests.fakes.agents import Weathervane
from tests.fakes.candles import START, wander

VENUE = "paperville"
SYMBOLS = ("BTC/USDT", "ETH/USDT")
BARS = 48
#: Close of the first bar at which volatility is known.
FIRST = START + timedelta(hours=8)
TABLES = ("decisions", "orders", "order_events", "fills", "ledger", "balances", "positions", "equity", "events")
#: Wall time, and names that are drawn anew in each run.
_PASSING = frozenset({"tenant_id", "recorded_at", "updated_at", "created_at"})


def instruments() -> dict[str, Instrument]:
    step = Decimal("0.001")
    return {symbol: Instrument(VENUE, symbol, Decimal("0.01"), step, step, Decimal(5)) for symbol in SYMBOLS}


def wandering() -> dict[str, Window]:
    return {symbol: wander(seed, BARS, price=100.0 / seed) for seed, symbol in enumerate(SYMBOLS, 1)}


@dataclass
class Floor:
    """exchange: instead of the paper venue. Each floor on one database stands for a process of its own."""

    database: PostgresDatabase
    tenant_id: UUID
    root: Path
    rules: PaperRules = field(default_factory=PaperRules)
    exchange: Exchange | None = None
    clock: ManualClock = field(default_factory=lambda: ManualClock(START + timedelta(days=400)))

    def __post_init__(self) -> None:
        telemetry = NoTelemetry()
        database, clock = self.database, self.clock
        self.market = Market(
            catalogue=Catalogue(self.root), sources={}, instruments={VENUE: instruments()}, clock=self.clock
        )
        self.agents = Agents(
            database=database,
            clock=clock,
            market=self.market,
            telemetry=telemetry,
            registry=Registry({"weathervane": Weathervane()}),
        )
        self.paper = PaperExchange(
            self.market.candles, self.market.instruments, partial(orders_of_account, database), self.rules
        )
        self.plans = open_plans(database, clock)
        metering = Metering(database=database, clock=clock, plans=self.plans)
        self.desk = Desk(
            database=database,
            clock=clock,
            exchanges={"paper": self.exchange or self.paper},
            market=self.market,
            telemetry=telemetry,
            ceiling=Ceiling(plans=self.plans, metering=metering),
            look_up_pause=timedelta(0),
        )
        self.cycle = Cycle(
            database=database, clock=clock, market=self.market, agents=self.agents, desk=self.desk, telemetry=telemetry
        )
        self.funds = Funds(
            database=database,
            clock=clock,
            market=self.market,
            agents=self.agents,
            quota=Quota(plans=self.plans, metering=metering),
        )
        self.halts = Halts(database=database, clock=clock)
        self.replays = Replays(database=database, clock=clock, cycle=self.cycle, market=self.market)
        self.books = Books(database=database, clock=clock, market=self.market)

    def store(self, windows: Mapping[str, Window] | None = None) -> None:
        """Put candles into the catalogue, as an import would."""
        for symbol, window in (windows or wandering()).items():
            Catalogue(self.root).merge(Series(VENUE, symbol, window.timeframe), window, "import")

    async def fund(self, name: str = "alpha", *, capital: str = "10000", config: FundConfig | None = None) -> Fund:
        return await self.funds.create(
            self.tenant_id, name, FundMode.PAPER, Decimal(capital), config or configuration(), "ann@example.com"
        )

    async def rows(self, fund: Fund, table: LiteralString) -> list[Row]:
        """What the fund left in a table, without wall times and without what is drawn anew in each run."""
        own: LiteralString = "" if table in {"order_events", "events"} else " WHERE fund_id = %(fund_id)s"
        async with self.database.transaction(self.tenant_id) as tx:
            found = await tx.all("SELECT * FROM " + table + own, {"fund_id": fund.id})
        kept = [{name: value for name, value in row.items() if name not in _PASSING} for row in found]
        return sorted(kept, key=lambda row: [str(value) for value in row.values()])

    async def all_rows(self, fund: Fund) -> dict[str, list[Row]]:
        return {table: await self.rows(fund, table) for table in TABLES}


def configuration(
    *, limits: RiskLimits | None = None, universe: tuple[str, ...] = SYMBOLS, strength: float = 1.0
) -> FundConfig:
    return FundConfig(
        venue=VENUE,
        timeframe=Timeframe.H1,
        base_currency="USDT",
        universe=universe,
        agents=(AgentChoice("weathervane", {"strength": strength}),),
        limits=limits or RiskLimits(),
        allocator_parameters={"volatility_bars": 5.0},
    )


def buy(quantity: str, *, symbol: str = "BTC/USDT", limit: str | None = None) -> OrderRequest:
    return _request(Side.BUY, quantity, symbol, limit)


def sell(quantity: str, *, symbol: str = "BTC/USDT", limit: str | None = None) -> OrderRequest:
    return _request(Side.SELL, quantity, symbol, limit)


def _request(side: Side, quantity: str, symbol: str, limit: str | None) -> OrderRequest:
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    price = None if limit is None else Decimal(limit)
    return OrderRequest(VENUE, symbol, side, kind, Decimal(quantity), price)


def hours(first: datetime, count: int) -> list[datetime]:
    return [first + number * timedelta(hours=1) for number in range(count)]
