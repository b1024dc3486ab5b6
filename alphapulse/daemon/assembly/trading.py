"""The services that trade, on the venues that are open."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from alphapulse.adapters.exchange.paper import PaperExchange
from alphapulse.agents.registry import load_registry
from alphapulse.agents.service import Agents
from alphapulse.clock import Clock
from alphapulse.domain.funds import FundMode
from alphapulse.market.service import Market
from alphapulse.packaged import packaged_config
from alphapulse.ports.cache import Cache
from alphapulse.ports.database import Database
from alphapulse.ports.telemetry import Telemetry
from alphapulse.quant.simulation import PaperRules
from alphapulse.tenancy.metering import Metering
from alphapulse.tenancy.plans import Plans
from alphapulse.trading.account import orders_of_account
from alphapulse.trading.books import Books
from alphapulse.trading.ceiling import Ceiling
from alphapulse.trading.cycle import Cycle
from alphapulse.trading.desk import Desk
from alphapulse.trading.funds import Funds
from alphapulse.trading.halts import Halts
from alphapulse.trading.quota import Quota
from alphapulse.trading.replay import Replays

if TYPE_CHECKING:
    from alphapulse.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Trading:
    """As ``Services`` names them."""

    agents: Agents
    funds: Funds
    desk: Desk
    cycle: Cycle
    books: Books
    halts: Halts
    replays: Replays


def build_trading(
    settings: Settings,
    *,
    database: Database,
    clock: Clock,
    telemetry: Telemetry,
    market: Market,
    cache: Cache,
    plans: Plans,
    metering: Metering,
) -> Trading:
    registry = load_registry(tomllib.loads((packaged_config() / "agents.toml").read_text(encoding="utf-8")))
    agents = Agents(database=database, market=market, clock=clock, telemetry=telemetry, registry=registry)
    paper = PaperExchange(
        market.candles, market.instruments, partial(orders_of_account, database), _paper_rules(settings)
    )
    desk = Desk(
        database=database,
        exchanges={FundMode.PAPER: paper},
        market=market,
        clock=clock,
        telemetry=telemetry,
        ceiling=Ceiling(plans=plans, metering=metering),
    )
    cycle = Cycle(database=database, market=market, agents=agents, desk=desk, clock=clock, telemetry=telemetry)
    return Trading(
        agents=agents,
        funds=Funds(
            database=database,
            market=market,
            agents=agents,
            clock=clock,
            quota=Quota(plans=plans, metering=metering),
        ),
        desk=desk,
        cycle=cycle,
        books=Books(database=database, market=market, clock=clock, cache=cache),
        halts=Halts(database=database, clock=clock),
        replays=Replays(database=database, cycle=cycle, market=market, clock=clock),
    )


def _paper_rules(settings: Settings) -> PaperRules:
    paper = settings.paper
    return PaperRules(
        half_spread=paper.half_spread,
        slippage=paper.slippage,
        fee_rate=paper.fee_rate,
        volume_share=paper.volume_share,
    )
