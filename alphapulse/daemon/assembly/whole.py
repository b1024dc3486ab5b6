"""Builds everything from the settings: opens adapters by their file names, the services on them, closes in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alphapulse.adapters.database import gate, migrations
from alphapulse.adapters.database.embedded import EmbeddedPostgres
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.adapters.queue.procrastinate import ProcrastinateQueue, WorkRules
from alphapulse.clock import Clock, SystemClock
from alphapulse.daemon.assembly.audit import build_retention
from alphapulse.daemon.assembly.backup import backup_jobs
from alphapulse.daemon.assembly.database import configured_urls, embedded_server, running_urls
from alphapulse.daemon.assembly.limits import open_redis
from alphapulse.daemon.assembly.mail import open_mailer
from alphapulse.daemon.assembly.services import Parts, build_services
from alphapulse.daemon.assembly.tenants import tenant_jobs
from alphapulse.daemon.jobs.audit import AuditJobs
from alphapulse.daemon.jobs.cycle import CycleJob
from alphapulse.daemon.jobs.mail import Courier, MailJob
from alphapulse.daemon.jobs.maintenance import MaintenanceJob
from alphapulse.daemon.jobs.privacy import ExportJob, PrivacyJob
from alphapulse.daemon.jobs.provisioning import recover_provisionings
from alphapulse.daemon.jobs.reconcile import ReconcileJob, recover
from alphapulse.daemon.jobs.replay import ReplayJob
from alphapulse.daemon.schedule import Schedule
from alphapulse.daemon.services import Services
from alphapulse.domain.market import Instrument
from alphapulse.errors import AlphaPulseError, Misconfigured, TryAgain
from alphapulse.market.catalogue import Catalogue
from alphapulse.market.service import Market
from alphapulse.ports.market_data import MarketData
from alphapulse.ports.queue import JobFunction
from alphapulse.ports.telemetry import Telemetry
from alphapulse.sealing import Seal
from alphapulse.tenancy.passwords import Passwords

if TYPE_CHECKING:
    from alphapulse.adapters.redis.connection import RedisServer
    from alphapulse.settings import MarketRules, Settings

#: How often the embedded server is looked after.
_WATCH_S = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The open parts. services: what the routes call. functions: what a worker runs, by job name."""

    services: Services
    schedule: Schedule
    functions: Mapping[str, JobFunction]
    queue: ProcrastinateQueue
    concurrency: int

    async def work(self) -> None:
        """Take up what the last run left, then run jobs until cancelled."""
        while True:
            try:
                await recover(self.services.database, self.queue)
                await recover_provisionings(self.services.database, self.queue)
                break
            except TryAgain as error:
                _log.warning("cannot recover yet", extra={"reason": str(error)})
                await asyncio.sleep(_WATCH_S)
        await self.queue.work(self.functions, concurrency=self.concurrency, resumable=frozenset({"replay", "export"}))


@asynccontextmanager
async def open_assembly(
    settings: Settings, *, owns_server: bool = True, on_failure: Callable[[], None] = lambda: None
) -> AsyncGenerator[Assembly]:
    """Everything, opened; closed in the opposite order on leaving.

    owns_server: whether the embedded server is ours to start and stop; a worker uses the one that the daemon runs.
    on_failure: called when a part that must run ended, after it was logged. Raises Misconfigured, Unavailable or
    Conflict, each naming what to do.
    """
    async with AsyncExitStack() as stack:
        urls = await _open_server(stack, settings, owned=owns_server)
        telemetry = open_telemetry(settings.telemetry)
        await asyncio.to_thread(migrations.upgrade, urls)
        await gate.insist(urls.app)
        seal = Seal.from_file(settings.master_key_file or settings.data_directory / "master.key")
        database = await PostgresDatabase.open(
            urls.app, platform_url=urls.platform, pool_size=settings.pool_size, seal=seal
        )
        stack.push_async_callback(database.close)
        market = await _open_market(stack, settings, SystemClock())
        redis = open_redis(stack, settings)
        assembly = _assemble(settings, urls, database, market, telemetry, redis)
        await _keep_running(stack, "stream", assembly.services.stream.run(), on_failure)
        courier = Courier(database=database, queue=assembly.queue)
        await _keep_running(stack, "courier", courier.run(), on_failure)
        meter = assembly.services.meter
        await _keep_running(stack, "meter", meter.run(), on_failure, close=meter.close)
        recorder = assembly.services.recorder
        await _keep_running(stack, "recorder", recorder.run(), on_failure, close=recorder.close)
        yield assembly


def open_telemetry(name: str) -> Telemetry:
    match name:
        case "prometheus":
            from alphapulse.adapters.telemetry.prometheus import PrometheusTelemetry  # noqa: PLC0415 -- only if chosen

            return PrometheusTelemetry()
        case _:
            from alphapulse.adapters.telemetry.none import NoTelemetry  # noqa: PLC0415 -- only if chosen

            return NoTelemetry()


async def _open_server(stack: AsyncExitStack, settings: Settings, *, owned: bool) -> DatabaseUrls:
    configured = configured_urls(settings)
    if configured is not None:
        return configured
    server = embedded_server(settings)
    if not owned:
        return await asyncio.to_thread(running_urls, server)
    urls = await asyncio.to_thread(server.start)
    stack.push_async_callback(asyncio.to_thread, server.stop)
    watch = asyncio.create_task(_watch(server))
    stack.push_async_callback(_end, watch)
    return urls


async def _watch(server: EmbeddedPostgres) -> None:
    """Start the embedded server again whenever it is gone; requests meanwhile meet Unavailable."""
    while True:
        await asyncio.sleep(_WATCH_S)
        if server.pid() is not None:
            continue
        _log.error("the embedded database is gone; it is started again")
        try:
            await asyncio.to_thread(server.start)
        except AlphaPulseError as error:
            _log.error("the embedded database does not start", extra={"reason": str(error)})


async def _open_market(stack: AsyncExitStack, settings: Settings, clock: Clock) -> Market:
    sources: dict[str, MarketData] = {}
    for venue, name in settings.market.sources.items():
        sources[venue] = _open_source(stack, venue, name, settings.market)
    rules = settings.market.instruments
    instruments = {
        venue: {symbol: Instrument(venue, symbol, **rule.model_dump()) for symbol, rule in symbols.items()}
        for venue, symbols in rules.items()
    }
    catalogue = Catalogue(settings.data_directory / "candles")
    return Market(catalogue=catalogue, sources=sources, instruments=instruments, clock=clock)


def _open_source(stack: AsyncExitStack, venue: str, name: str, rules: MarketRules) -> MarketData:
    match name:
        case "ccxt":
            from alphapulse.adapters.market_data.ccxt import CcxtMarketData  # noqa: PLC0415 -- a second, only if chosen

            source = CcxtMarketData(
                venue, api_url=rules.source_urls.get(venue), timeout=rules.timeout, authorities=rules.source_ca
            )
            stack.push_async_callback(source.close)
            return source
        case "synthetic":
            from alphapulse.adapters.market_data.synthetic import SyntheticMarketData  # noqa: PLC0415 -- only if chosen

            return SyntheticMarketData()
        case _:
            raise Misconfigured(
                f"setting market.sources.{venue}: there is no market data adapter {name!r}",
                fix="Use ccxt or synthetic; a venue without a source has imported candles.",
            )


def _assemble(
    settings: Settings,
    urls: DatabaseUrls,
    database: PostgresDatabase,
    market: Market,
    telemetry: Telemetry,
    redis: RedisServer | None,
) -> Assembly:
    clock = SystemClock()
    queue = ProcrastinateQueue(
        urls.app, database=database, telemetry=telemetry, rules=WorkRules(drain=settings.drain_timeout)
    )
    schedule = Schedule(database=database, queue=queue, clock=clock, settle=settings.settle_delay)
    passwords = Passwords(threads=settings.password_threads)
    parts = Parts(
        database=database,
        clock=clock,
        telemetry=telemetry,
        market=market,
        queue=queue,
        schedule=schedule,
        passwords=passwords,
        seal=Seal.from_file(settings.master_key_file or settings.data_directory / "master.key"),
        mailer=open_mailer(settings),
        snapshots=database,
        redis=redis,
    )
    services = build_services(settings, parts)
    cycle = CycleJob(
        database=database,
        funds=services.funds,
        cycle=services.cycle,
        clock=clock,
        telemetry=telemetry,
        settle=settings.settle_delay,
    )
    reconcile = ReconcileJob(database=database, funds=services.funds, desk=services.desk, market=market)
    audit = AuditJobs(retention=build_retention(settings, services, clock))
    functions = {
        "cycle": cycle.run,
        "replay": ReplayJob(replays=services.replays).run,
        "reconcile": reconcile.run,
        "audit_heads": audit.publish_heads,
        "audit_retention": audit.drop_months,
        **tenant_jobs(services),
        "maintenance": MaintenanceJob(database=database, delivery=services.delivery, accounts=services.accounts).run,
        "mail": MailJob(delivery=services.delivery).run,
        "export": ExportJob(exports=services.exports).run,
        "privacy": PrivacyJob(exports=services.exports, privacy=services.privacy).run,
        **backup_jobs(settings, urls, parts),
    }
    return Assembly(
        services=services,
        schedule=schedule,
        functions=functions,
        queue=queue,
        concurrency=settings.queue_concurrency,
    )


async def _keep_running(
    stack: AsyncExitStack,
    name: str,
    part: Coroutine[Any, Any, None],
    on_failure: Callable[[], None],
    *,
    close: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Run ``part`` until the stack closes. close: asks it to end by itself first."""
    closing = False

    def ended(task: asyncio.Task[None]) -> None:
        if not closing and not task.cancelled():
            _log.critical("a part of the daemon ended", extra={"part": name}, exc_info=task.exception())
            on_failure()

    async def end() -> None:
        nonlocal closing
        closing = True
        if close is not None:
            await close()
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(asyncio.shield(task), 5)
        await _end(task)

    task = asyncio.create_task(part, name=name)
    task.add_done_callback(ended)
    stack.push_async_callback(end)


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
