"""A daemon's HTTP side built from its real parts, without a process of its own: what the route tests talk to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import uvicorn
from argon2 import PasswordHasher
from fastapi import FastAPI

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.adapters.market_data.synthetic import SyntheticMarketData
from alphapulse.adapters.queue.procrastinate import ProcrastinateQueue
from alphapulse.adapters.redis.connection import RedisServer
from alphapulse.adapters.telemetry.prometheus import PrometheusTelemetry
from alphapulse.clock import Clock, SystemClock
from alphapulse.daemon.app import create_app
from alphapulse.daemon.assembly.limits import open_redis
from alphapulse.daemon.assembly.mail import open_mailer
from alphapulse.daemon.assembly.services import Parts, build_services
from alphapulse.daemon.schedule import Schedule
from alphapulse.daemon.services import Services
from alphapulse.domain.people import Invitation
from alphapulse.domain.tenancy import Member, Role, Tenant
from alphapulse.market.catalogue import Catalogue
from alphapulse.market.service import Market
from alphapulse.sealing import Seal
from alphapulse.settings import Settings, load
from alphapulse.tenancy.doors import LogIn
from alphapulse.tenancy.passwords import Passwords
from tests.rates import GENEROUS

PASSWORD = "correct horse battery"
VENUE = "synthetic"
CONFIG: dict[str, Any] = {
    "venue": VENUE,
    "timeframe": "4h",
    "base_currency": "USDT",
    "universe": ["BTC/USDT", "ETH/USDT"],
    "agents": [],
    "limits": {},
}


@dataclass
class House:
    app: FastAPI
    services: Services
    settings: Settings
    http: httpx.AsyncClient
    platform_key: str
    tokens: dict[tuple[str, Role], str] = field(default_factory=dict[tuple[str, Role], str])

    @property
    def platform(self) -> dict[str, str]:
        """Headers of the platform admin."""
        return {"Authorization": f"Bearer {self.platform_key}"}

    async def tenant(self, slug: str) -> Tenant:
        """A tenant with one member of each role: ``ROLE@SLUG.example``."""
        begun = await self.services.provisioning.create(
            slug=slug, name=slug.title(), tier="enterprise", admin_email=f"tenant_admin@{slug}.example", actor="test"
        )
        await self.services.provisioning.run(begun.id)
        made = await self.services.tenancy.tenant(begun.id)
        await self.accept(await self.services.people.invite_admin(made.id, actor="test"))
        for role in (Role.TRADER, Role.VIEWER):
            await self.member(made.id, f"{role.value}@{slug}.example", role)
        return made

    async def member(self, tenant_id: UUID, email: str, role: Role) -> Member:
        """Invited and joined with PASSWORD, new or, for somebody who has an account, theirs."""
        return await self.accept(await self.services.people.invite(tenant_id, email, role.value, actor="test"))

    async def accept(self, invitation: Invitation) -> Member:
        """With PASSWORD, by the link that is shown where no mail leaves the daemon."""
        return await self.services.people.accept(
            token_in(invitation.link), password=PASSWORD, policy_version=self.services.policies.current
        )

    async def as_(self, role: Role, slug: str = "acme") -> dict[str, str]:
        """Headers of a member, or of the platform admin acting in the tenant."""
        if role is Role.PLATFORM_ADMIN:
            return {**self.platform, "X-Tenant": slug}
        if (slug, role) not in self.tokens:
            token = await self.services.logins.login(LogIn(f"{role.value}@{slug}.example", PASSWORD))
            self.tokens[slug, role] = token.token
        return {"Authorization": f"Bearer {self.tokens[slug, role]}"}

    async def ask(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        if body is not None:
            more["json"] = body
        return await self.http.request(method, path, headers=dict(headers or {}), **more)

    async def fund(self, headers: Mapping[str, str], name: str = "momentum", **changes: Any) -> dict[str, Any]:
        body = {"name": name, "mode": "paper", "capital": "100000", "config": {**CONFIG, **changes}}
        made = await self.ask("POST", "/funds", body, headers=headers)
        assert made.status_code == 201, made.text
        return made.json()


def token_in(link: str | None) -> str:
    """What stands behind the ``#`` of a link."""
    assert link is not None
    return link.partition("#")[2]


def build_house(
    database: PostgresDatabase,
    urls: DatabaseUrls,
    settings: Settings,
    clock: Clock,
    directory: Path,
    redis: RedisServer | None = None,
) -> Services:
    """The daemon's own wiring over the test's parts: a synthetic venue, and passwords that are quick to hash."""
    telemetry = PrometheusTelemetry()
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # the real algorithm, sized for tests
    market = Market(
        catalogue=Catalogue(directory / "candles"), sources={VENUE: SyntheticMarketData()}, instruments={}, clock=clock
    )
    queue = ProcrastinateQueue(urls.app, database=database, telemetry=telemetry)
    schedule = Schedule(database=database, queue=queue, clock=clock, settle=settings.settle_delay)
    parts = Parts(
        database=database,
        clock=clock,
        telemetry=telemetry,
        market=market,
        queue=queue,
        schedule=schedule,
        passwords=Passwords(2, hasher),
        seal=Seal.from_file(directory / "master.key"),
        mailer=open_mailer(settings),
        snapshots=database,
        redis=redis,
    )
    return build_services(settings, parts)


@asynccontextmanager
async def open_house(
    database: PostgresDatabase, urls: DatabaseUrls, directory: Path, clock: Clock | None = None, **more: Any
) -> AsyncGenerator[House]:
    """more: settings. The rate limits are out of the way unless it names some."""
    given: dict[str, Any] = {"rates": GENEROUS, **more}
    settings = load(data_directory=directory, **given)
    opened = AsyncExitStack()
    redis = open_redis(opened, settings)
    services = build_house(database, urls, settings, clock or SystemClock(), directory, redis)
    background = [asyncio.create_task(services.recorder.run()), asyncio.create_task(services.stream.run())]
    app = create_app(services, settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        key = await services.keys.create_platform_key()
        async with httpx.AsyncClient(transport=transport, base_url="http://daemon") as http:
            yield House(app, services, settings, http, key)
    finally:
        for task in background:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*background, return_exceptions=True)
        await opened.aclose()


@asynccontextmanager
async def listening(house: House) -> AsyncGenerator[str]:
    """``host:port`` where the house answers over real connections."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()  # who connects before the server is up waits for it
        config = uvicorn.Config(house.app, log_level="warning", lifespan="off", ws="websockets-sansio")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[door]))
        try:
            yield f"127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


async def audit_of(house: House, tenant_id: UUID) -> list[Any]:
    """The tenant's audit events, oldest first."""
    from alphapulse.audit import store

    async with house.services.database.transaction(tenant_id) as tx:
        found = await store.list_events(tx, limit=1000)
    return [chained.event for chained in reversed(found)]
