"""The services on top of the opened parts: the same wiring for the daemon, its workers and the tests of its routes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from alphapulse.alerts.delivery import Delivery
from alphapulse.alerts.rendering import Letters
from alphapulse.audit.recorder import Recorder
from alphapulse.clock import Clock
from alphapulse.daemon import uploads
from alphapulse.daemon.assembly.access import Access, build_access
from alphapulse.daemon.assembly.audit import build_head_files
from alphapulse.daemon.assembly.limits import build_cache, build_limits
from alphapulse.daemon.assembly.people import PeopleRooms, build_accounts, build_people, open_policies
from alphapulse.daemon.assembly.privacy import build_exports, build_privacy
from alphapulse.daemon.assembly.tenants import Tenants, build_tenants, open_plans, quota_of
from alphapulse.daemon.assembly.trading import Trading, build_trading
from alphapulse.daemon.health import Health, room_in
from alphapulse.daemon.jobs.service import Jobs
from alphapulse.daemon.limits import RateLimits
from alphapulse.daemon.schedule import Schedule
from alphapulse.daemon.services import Services
from alphapulse.daemon.stream import Stream
from alphapulse.market.service import Market
from alphapulse.ports.database import Database
from alphapulse.ports.mail import Mailer
from alphapulse.ports.queue import Queue
from alphapulse.ports.snapshot import Snapshots
from alphapulse.ports.telemetry import Telemetry
from alphapulse.sealing import Seal
from alphapulse.tenancy.metering import Metering
from alphapulse.tenancy.passwords import Passwords
from alphapulse.tenancy.service import Tenancy
from alphapulse.tenancy.support import Support

if TYPE_CHECKING:
    from alphapulse.adapters.redis.connection import RedisServer
    from alphapulse.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What was opened before: adapters behind their ports, the clock and the clockwork. Who opened them closes them.

    redis: where the settings use one, for the cache and the rate limits.
    """

    database: Database
    clock: Clock
    telemetry: Telemetry
    market: Market
    queue: Queue
    schedule: Schedule
    passwords: Passwords
    seal: Seal
    mailer: Mailer
    snapshots: Snapshots
    redis: RedisServer | None = None


def build_services(settings: Settings, parts: Parts) -> Services:
    database, clock, telemetry, market = parts.database, parts.clock, parts.telemetry, parts.market
    policies = open_policies(settings)
    access = build_access(
        settings, database=database, clock=clock, passwords=parts.passwords, policies=policies, seal=parts.seal
    )
    rooms = build_people(
        settings, database=database, clock=clock, passwords=parts.passwords, policies=policies, seal=parts.seal
    )
    plans = open_plans(database, clock)
    cache = build_cache(settings, parts.redis, quota_of(plans), telemetry)
    limits = build_limits(settings, parts.redis, plans, telemetry)
    recorder = Recorder(database)
    metering = Metering(database=database, clock=clock, plans=plans)
    trading = build_trading(
        settings,
        database=database,
        clock=clock,
        telemetry=telemetry,
        market=market,
        cache=cache,
        plans=plans,
        metering=metering,
    )
    tenants = build_tenants(
        settings.data_directory,
        database=database,
        clock=clock,
        queue=parts.queue,
        plans=plans,
        metering=metering,
        people=rooms.people,
        cache=cache,
        seal=parts.seal,
        forget=access.logins.forget_tenant,
    )
    return Services(
        **_named(parts),
        **_named(access),
        **_named(rooms),
        **_named(tenants),
        **_named(trading),
        recorder=recorder,
        uploads=settings.data_directory / uploads.FOLDER,
        head_files=build_head_files(settings),
        tenancy=Tenancy(database=database),
        support=Support(database=database, clock=clock, seal=parts.seal, forget=access.logins.forget_user),
        plans=plans,
        metering=metering,
        accounts=build_accounts(settings, rooms, database=database, clock=clock, provisioning=tenants.provisioning),
        cache=cache,
        limits=limits,
        delivery=_delivery(settings, parts),
        exports=build_exports(settings, parts),
        privacy=build_privacy(settings, parts, cache, tenants),
        jobs=Jobs(database=database, queue=parts.queue, schedule=parts.schedule, clock=clock),
        stream=_stream(settings, parts, access, recorder, limits),
        health=_health(settings, parts),
    )


def _named(part: Parts | Access | PeopleRooms | Tenants | Trading) -> dict[str, Any]:
    """What of a room's parts ``Services`` has, which names them as the room does."""
    wanted = {field.name for field in fields(Services)}
    return {field.name: getattr(part, field.name) for field in fields(part) if field.name in wanted}


def _stream(settings: Settings, parts: Parts, access: Access, recorder: Recorder, limits: RateLimits) -> Stream:
    return Stream(
        database=parts.database,
        logins=access.logins,
        recorder=recorder,
        clock=parts.clock,
        telemetry=parts.telemetry,
        limits=limits,
        allowed_origins=settings.allowed_origins,
    )


def _health(settings: Settings, parts: Parts) -> Health:
    return Health(
        {"database": parts.database.ping, "disk": room_in(settings.data_directory)},
        optional={} if parts.redis is None else {"redis": parts.redis.ping},
    )


def _delivery(settings: Settings, parts: Parts) -> Delivery:
    return Delivery(
        database=parts.database,
        clock=parts.clock,
        seal=parts.seal,
        mailer=parts.mailer,
        letters=Letters(settings.public_url),
        telemetry=parts.telemetry,
    )
