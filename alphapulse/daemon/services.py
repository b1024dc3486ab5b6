"""Everything a route may call, built once by the assembly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Only named here: the desk is the door for orders, and to hold it is not to open it.
    from alphapulse.agents.service import Agents
    from alphapulse.audit.recorder import Recorder
    from alphapulse.clock import Clock
    from alphapulse.daemon.health import Health
    from alphapulse.daemon.jobs.service import Jobs
    from alphapulse.daemon.stream import Stream
    from alphapulse.market.service import Market
    from alphapulse.ports.database import Database
    from alphapulse.ports.queue import Queue
    from alphapulse.ports.telemetry import Telemetry
    from alphapulse.tenancy.logins import Logins
    from alphapulse.tenancy.service import Tenancy
    from alphapulse.trading.books import Books
    from alphapulse.trading.cycle import Cycle
    from alphapulse.trading.desk import Desk
    from alphapulse.trading.funds import Funds
    from alphapulse.trading.halts import Halts
    from alphapulse.trading.replay import Replays


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts as the routes see them. Who builds them starts and closes them."""

    database: Database
    clock: Clock
    telemetry: Telemetry
    recorder: Recorder
    tenancy: Tenancy
    logins: Logins
    market: Market
    agents: Agents
    funds: Funds
    desk: Desk
    cycle: Cycle
    books: Books
    halts: Halts
    replays: Replays
    queue: Queue
    jobs: Jobs
    stream: Stream
    health: Health
