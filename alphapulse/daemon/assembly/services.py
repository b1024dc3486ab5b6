"""The services on top of the opened parts: the same wiring for the daemon, its workers and the tests of its routes."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from alphapulse.adapters.exchange.paper import PaperExchange
from alphapulse.agents.registry import load_registry
from alphapulse.agents.service import Agents
from alphapulse.audit.recorder import Recorder
from alphapulse.clock import Clock
from alphapulse.daemon.health import Health, room_in
from alphapulse.daemon.jobs.service import Jobs
from alphapulse.daemon.schedule import Schedule
from alphapulse.daemon.services import Services
from alphapulse.daemon.stream import Stream
from alphapulse.domain.funds import FundMode
from alphapulse.market.service import Market
from alphapulse.packaged import packaged_config
from alphapulse.ports.database import Database
from alphapulse.ports.queue import Queue
from alphapulse.ports.telemetry import Telemetry
from alphapulse.quant.simulation import PaperRules
from alphapulse.sealing import Seal
from alphapulse.tenancy.logins import Logins
from alphapulse.tenancy.passwords import Passwords
from alphapulse.tenancy.service import Tenancy
from alphapulse.tenancy.tokens import Signer
from alphapulse.trading.account import orders_of_account
from alphapulse.trading.books import Books
from alphapulse.trading.cycle import Cycle
from alphapulse.trading.desk import Desk
from alphapulse.trading.funds import Funds
from alphapulse.trading.halts import Halts
from alphapulse.trading.replay import Replays

if TYPE_CHECKING:
    from alphapulse.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What was opened before: adapters behind their ports, the clock and the clockwork. Who opened them closes them."""

    database: Database
    clock: Clock
    telemetry: Telemetry
    market: Market
    queue: Queue
    schedule: Schedule
    passwords: Passwords
    seal: Seal


def build_services(settings: Settings, parts: Parts) -> Services:
    database, clock, telemetry, market = parts.database, parts.clock, parts.telemetry, parts.market
    logins = Logins(
        database=database,
        clock=clock,
        signer=Signer.from_file(settings.signing_key_file or settings.data_directory / "signing.key"),
        passwords=parts.passwords,
        token_lifetime=settings.token_lifetime,
        session_lifetime=settings.session_lifetime,
    )
    recorder = Recorder(database)
    registry = load_registry(tomllib.loads((packaged_config() / "agents.toml").read_text(encoding="utf-8")))
    agents = Agents(database=database, market=market, clock=clock, telemetry=telemetry, registry=registry)
    paper = PaperExchange(
        market.candles, market.instruments, partial(orders_of_account, database), _paper_rules(settings)
    )
    desk = Desk(database=database, exchanges={FundMode.PAPER: paper}, market=market, clock=clock, telemetry=telemetry)
    cycle = Cycle(database=database, market=market, agents=agents, desk=desk, clock=clock, telemetry=telemetry)
    stream = Stream(
        database=database,
        logins=logins,
        recorder=recorder,
        clock=clock,
        telemetry=telemetry,
        allowed_origins=settings.allowed_origins,
    )
    return Services(
        database=database,
        clock=clock,
        telemetry=telemetry,
        recorder=recorder,
        tenancy=Tenancy(database=database, clock=clock, passwords=parts.passwords),
        logins=logins,
        market=market,
        agents=agents,
        funds=Funds(database=database, market=market, agents=agents, clock=clock),
        desk=desk,
        cycle=cycle,
        books=Books(database=database, market=market, clock=clock),
        halts=Halts(database=database, clock=clock),
        replays=Replays(database=database, cycle=cycle, market=market, clock=clock),
        queue=parts.queue,
        jobs=Jobs(database=database, queue=parts.queue, schedule=parts.schedule, clock=clock),
        stream=stream,
        health=Health({"database": database.ping, "disk": room_in(settings.data_directory)}),
    )


def _paper_rules(settings: Settings) -> PaperRules:
    paper = settings.paper
    return PaperRules(
        half_spread=paper.half_spread,
        slippage=paper.slippage,
        fee_rate=paper.fee_rate,
        volume_share=paper.volume_share,
    )
