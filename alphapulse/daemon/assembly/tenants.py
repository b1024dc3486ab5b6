"""The services around tenants: how they come, what they may use, what is done to them."""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from alphapulse.adapters.billing.none import NoBilling
from alphapulse.adapters.secrets.file import FileSecrets
from alphapulse.clock import Clock
from alphapulse.daemon.jobs.provisioning import LifecycleJob, ProvisioningJob, enqueue_provisioning
from alphapulse.daemon.metering import CallMeter
from alphapulse.daemon.services import Services
from alphapulse.packaged import packaged_config
from alphapulse.ports.billing import Billing
from alphapulse.ports.cache import Cache
from alphapulse.ports.database import Database, Transaction
from alphapulse.ports.queue import JobFunction, Queue
from alphapulse.ports.secrets import Secrets
from alphapulse.sealing import Seal
from alphapulse.tenancy.lifecycle import Lifecycle
from alphapulse.tenancy.metering import Metering
from alphapulse.tenancy.people import People
from alphapulse.tenancy.plans import Plans, load_plans
from alphapulse.tenancy.provisioning import Provisioning
from alphapulse.tenancy.steps import Steps

#: Cache of a tenant whose plan sets no quota, bytes.
_UNLIMITED = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """What ``build_tenants`` made. secrets, billing: the opened adapters."""

    provisioning: Provisioning
    lifecycle: Lifecycle
    meter: CallMeter
    secrets: Secrets
    billing: Billing


def open_plans(database: Database, clock: Clock) -> Plans:
    """Raises Misconfigured for a plan that cannot be read."""
    tables = tomllib.loads((packaged_config() / "plans.toml").read_text(encoding="utf-8"))
    return Plans(database=database, clock=clock, plans=load_plans(tables))


def quota_of(plans: Plans) -> Callable[[UUID], Awaitable[int]]:
    """What the cache asks: bytes that a tenant may keep."""

    async def ask(tenant_id: UUID) -> int:
        quota = (await plans.limits_of(tenant_id)).cache_bytes
        return _UNLIMITED if quota is None else quota

    return ask


def tenant_jobs(services: Services) -> dict[str, JobFunction]:
    """The jobs of tenants' lives, by name."""
    life = LifecycleJob(
        database=services.database,
        queue=services.queue,
        clock=services.clock,
        lifecycle=services.lifecycle,
        metering=services.metering,
        privacy=services.privacy,
    )
    return {"provisioning": ProvisioningJob(provisioning=services.provisioning).run, "lifecycle": life.run}


def build_tenants(
    data_directory: Path,
    *,
    database: Database,
    clock: Clock,
    queue: Queue,
    plans: Plans,
    metering: Metering,
    people: People,
    cache: Cache,
    seal: Seal,
    forget: Callable[[UUID], None],
) -> Tenants:
    """forget: makes log-ins look the members of a tenant up again."""
    secrets, billing = FileSecrets(data_directory / "secrets"), NoBilling()
    steps = Steps(
        database=database,
        clock=clock,
        plans=plans,
        secrets=secrets,
        cache=cache,
        billing=billing,
        people=people,
        seal=seal,
    )

    async def enqueue(tx: Transaction, tenant_id: UUID) -> None:
        await enqueue_provisioning(queue, tx, tenant_id)

    return Tenants(
        provisioning=Provisioning(database=database, clock=clock, steps=steps, enqueue=enqueue),
        lifecycle=Lifecycle(
            database=database, clock=clock, plans=plans, cache=cache, billing=billing, seal=seal, forget=forget
        ),
        meter=CallMeter(metering=metering, plans=plans, clock=clock),
        secrets=secrets,
        billing=billing,
    )
