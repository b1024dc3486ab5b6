"""The cycle: 1,000 funds of 20 tenants, 10 symbols and 2 agents each, decided, traded and booked; and a replay."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np

from alphapulse.adapters.database import migrations
from alphapulse.adapters.database.embedded import EmbeddedPostgres
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.exchange.paper import PaperExchange
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.agents.registry import load_registry
from alphapulse.agents.service import Agents
from alphapulse.clock import SystemClock
from alphapulse.daemon.assembly.tenants import open_plans
from alphapulse.domain.funds import AgentChoice, Fund, FundConfig, FundMode
from alphapulse.domain.market import Series, Timeframe
from alphapulse.domain.risk import RiskLimits
from alphapulse.market.catalogue import Catalogue
from alphapulse.market.service import Market
from alphapulse.quant.window import Window, to_ms
from alphapulse.tenancy.metering import Metering
from alphapulse.trading.account import orders_of_account
from alphapulse.trading.books import Books
from alphapulse.trading.ceiling import Ceiling
from alphapulse.trading.cycle import Cycle
from alphapulse.trading.desk import Desk
from alphapulse.trading.funds import Funds
from alphapulse.trading.quota import Quota
from alphapulse.trading.replay import Replays
from tests.benchmarks.figures import Figure, at_least, at_most

FUNDS, TENANTS, SYMBOLS = 1_000, 20, 10
#: Different agent settings among the funds; every other fund shares them.
SETTINGS = 4
_BARS = 700
_REPLAYED = 400
_AT_ONCE = 8
_VENUE = "bench"
_TIMEFRAME = Timeframe.H4
_START = datetime(2024, 1, 1, tzinfo=UTC)
_END = _START + _BARS * _TIMEFRAME.length


def run() -> list[Figure]:
    """The figures of this benchmark; starts and stops a durable server of its own."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-bench-") as directory, _server(Path(directory)) as url:
        return asyncio.run(_measure(url, Path(directory) / "candles"))


@contextmanager
def _server(directory: Path) -> Generator[str]:
    postgres = EmbeddedPostgres(directory / "postgres")
    try:
        urls = postgres.start()
        migrations.upgrade(urls)
        yield urls.app
    finally:
        postgres.stop()


class _House:
    """The parts of a daemon that trade."""

    def __init__(self, database: PostgresDatabase, candles: Path) -> None:
        clock, telemetry = SystemClock(), NoTelemetry()
        self.market = Market(catalogue=Catalogue(candles), sources={}, instruments={}, clock=clock)
        self.agents = Agents(
            database=database, market=self.market, clock=clock, telemetry=telemetry, registry=load_registry({})
        )
        paper = PaperExchange(self.market.candles, self.market.instruments, partial(orders_of_account, database))
        plans = open_plans(database, clock)
        metering = Metering(database=database, clock=clock, plans=plans)
        desk = Desk(
            database=database,
            exchanges={"paper": paper},
            market=self.market,
            clock=clock,
            telemetry=telemetry,
            ceiling=Ceiling(plans=plans, metering=metering),
        )
        self.cycle = Cycle(
            database=database, market=self.market, agents=self.agents, desk=desk, clock=clock, telemetry=telemetry
        )
        self.funds = Funds(
            database=database,
            market=self.market,
            agents=self.agents,
            clock=clock,
            quota=Quota(plans=plans, metering=metering),
        )
        self.replays = Replays(database=database, cycle=self.cycle, market=self.market, clock=clock)
        self.books = Books(database=database, market=self.market, clock=clock)


async def _measure(url: str, candles: Path) -> list[Figure]:
    symbols = [f"C{number}/USDT" for number in range(SYMBOLS)]
    for seed, symbol in enumerate(symbols):
        Catalogue(candles).merge(Series(_VENUE, symbol, _TIMEFRAME), _window(seed), "import")
    database = await PostgresDatabase.open(url, pool_size=_AT_ONCE + 2)
    try:
        tenants = [await _tenant(database, number) for number in range(TENANTS)]
        house = _House(database, candles)
        funds = [
            await _fund(house, tenants[number % TENANTS], f"fund-{number}", _config(number, symbols))
            for number in range(FUNDS)
        ]
        return [*await _cycles(house, funds), await _replay(house, tenants[0], symbols[:4])]
    finally:
        await database.close()


async def _cycles(house: _House, funds: list[Fund]) -> list[Figure]:
    gate = asyncio.Semaphore(_AT_ONCE)
    orders = fills = 0

    async def one(fund: Fund) -> int:
        async with gate:
            return len((await house.cycle.run(fund, _END)).orders)

    started = time.perf_counter()
    orders = sum(await asyncio.gather(*(one(fund) for fund in funds)))
    took = time.perf_counter() - started
    for fund in funds[:: FUNDS // 10]:
        assert not await house.books.verify(fund.tenant_id, fund.name)
        fills += (await house.books.performance(fund.tenant_id, fund.name)).fills
    distinct = SETTINGS * 2 * SYMBOLS
    return [
        at_least(
            "funds decided, traded and booked per minute",
            60 * len(funds) / took,
            FUNDS,
            "funds/min",
            symbols=SYMBOLS,
            agents=2,
            seconds=round(took, 2),
            orders=orders,
            fills_of_ten_funds=fills,
        ),
        at_most(
            "signal computations per distinct configuration",
            house.agents.computations / distinct,
            1.0,
            "ratio",
            computations=house.agents.computations,
            distinct=distinct,
            asked=FUNDS * SYMBOLS * 2,
        ),
    ]


async def _replay(house: _House, tenant_id: UUID, symbols: list[str]) -> Figure:
    await _fund(house, tenant_id, "replayed", _config(0, symbols))
    replay = await house.replays.start(tenant_id, "replayed", bars=_REPLAYED)
    started = time.perf_counter()
    done = await house.replays.run(tenant_id, replay.id)
    took = time.perf_counter() - started
    result = await house.books.performance(tenant_id, "replayed")
    assert result.ledger_balanced
    return at_least(
        "bars replayed per second", done.bars_done / took, 20, "bars/s", symbols=len(symbols), orders=result.orders
    )


async def _fund(house: _House, tenant_id: UUID, name: str, config: FundConfig) -> Fund:
    return await house.funds.create(tenant_id, name, FundMode.PAPER, Decimal(100_000), config, "bench")


def _config(number: int, symbols: list[str]) -> FundConfig:
    """One of a few agent settings, with limits of its own: signals are shared, decisions are not."""
    setting = float(number % SETTINGS)
    return FundConfig(
        venue=_VENUE,
        timeframe=_TIMEFRAME,
        base_currency="USDT",
        universe=tuple(symbols),
        agents=(
            AgentChoice("trend", {"fast": 8.0 + setting}, weight=1.0 + number % 7),
            AgentChoice("mean_reversion", {"bars": 20.0 + setting}),
        ),
        limits=RiskLimits(max_position_fraction=Decimal("0.3") + Decimal(number % 100) / 1000),
    )


def _window(seed: int) -> Window:
    generator = np.random.default_rng(seed)
    drift = 0.002 * np.sin(np.arange(_BARS) / 40 + seed)
    steps = generator.normal(0, 0.01, _BARS) + drift
    close = np.round(100 * np.exp(np.cumsum(steps)), 2).astype(np.float64)
    opened = np.concatenate([close[:1], close[:-1]])
    opens = to_ms(_START) + np.arange(_BARS, dtype=np.int64) * _TIMEFRAME.milliseconds
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return Window(_TIMEFRAME, opens, opened, high, low, close, np.full(_BARS, 1e6))


async def _tenant(database: PostgresDatabase, number: int) -> UUID:
    tenant_id = uuid4()
    async with database.transaction(tenant_id) as tx:
        await tx.run(
            "INSERT INTO tenants (id, slug, name, tier, state, created_at)"
            " VALUES (%(id)s, %(slug)s, %(slug)s, 'enterprise', 'active', now())",
            {"id": tenant_id, "slug": f"tenant-{number}"},
        )
    return tenant_id
