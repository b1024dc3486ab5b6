"""Everything a route may call, built once by the assembly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    # Only named here: the desk is the door for orders, and to hold it is not to open it.
    from alphapulse.agents.service import Agents
    from alphapulse.alerts.delivery import Delivery
    from alphapulse.audit.heads import HeadFiles
    from alphapulse.audit.recorder import Recorder
    from alphapulse.clock import Clock
    from alphapulse.daemon.health import Health
    from alphapulse.daemon.jobs.service import Jobs
    from alphapulse.daemon.limits import RateLimits
    from alphapulse.daemon.metering import CallMeter
    from alphapulse.daemon.stream import Stream
    from alphapulse.market.service import Market
    from alphapulse.ports.cache import Cache
    from alphapulse.ports.database import Database
    from alphapulse.ports.queue import Queue
    from alphapulse.ports.telemetry import Telemetry
    from alphapulse.tenancy.accounts import Accounts
    from alphapulse.tenancy.api_keys import ApiKeys
    from alphapulse.tenancy.exports import Exports
    from alphapulse.tenancy.lifecycle import Lifecycle
    from alphapulse.tenancy.logins import Logins
    from alphapulse.tenancy.members import Members
    from alphapulse.tenancy.metering import Metering
    from alphapulse.tenancy.people import People
    from alphapulse.tenancy.plans import Plans
    from alphapulse.tenancy.policies import Policies
    from alphapulse.tenancy.privacy import Privacy
    from alphapulse.tenancy.provisioning import Provisioning
    from alphapulse.tenancy.second_factors import SecondFactors
    from alphapulse.tenancy.service import Tenancy
    from alphapulse.tenancy.sessions import Sessions
    from alphapulse.tenancy.signing_keys import SigningKeys
    from alphapulse.tenancy.support import Support
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
    head_files: HeadFiles
    tenancy: Tenancy
    support: Support
    provisioning: Provisioning
    lifecycle: Lifecycle
    plans: Plans
    metering: Metering
    meter: CallMeter
    people: People
    accounts: Accounts
    members: Members
    policies: Policies
    logins: Logins
    keys: ApiKeys
    sessions: Sessions
    second_factors: SecondFactors
    signing_keys: SigningKeys
    market: Market
    uploads: Path
    agents: Agents
    funds: Funds
    desk: Desk
    cycle: Cycle
    cache: Cache
    limits: RateLimits
    books: Books
    halts: Halts
    replays: Replays
    queue: Queue
    jobs: Jobs
    delivery: Delivery
    exports: Exports
    privacy: Privacy
    stream: Stream
    health: Health
