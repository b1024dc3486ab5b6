from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from alphapulse.adapters.cache.memory import MemoryCache
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.adapters.secrets.file import FileSecrets
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.daemon.assembly.tenants import open_plans, quota_of
from alphapulse.daemon.jobs.provisioning import enqueue_provisioning
from alphapulse.domain.lifecycle import TenantState
from alphapulse.domain.plans import Tier
from alphapulse.domain.provisioning import MOST_ATTEMPTS, Direction, StepName, StepState
from alphapulse.errors import AlreadyExists, Conflict, InvalidInput, Misconfigured, NotFound, Unavailable
from alphapulse.ports.database import Transaction
from alphapulse.sealing import Seal
from alphapulse.tenancy import people_store, tenants_store
from alphapulse.tenancy.provisioning import Provisioning
from alphapulse.tenancy.steps import Steps
from tests.daemon.house import House, open_house
from tests.fakes.fragile import FragileDatabase
from tests.fakes.provider import Provider
from tests.fakes.venue import Crash

EMAIL = "ann@acme.example"


@pytest.fixture
async def house(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(database, urls, tmp_path) as opened:
        yield opened


def provisioning(
    house: House, provider: Provider | None = None, database: FragileDatabase | None = None
) -> Provisioning:
    """The house's, with another billing provider, or on a database under a process that dies."""
    used = database or house.services.database
    plans = open_plans(used, house.services.clock)
    steps = Steps(
        database=used,
        clock=house.services.clock,
        plans=plans,
        secrets=FileSecrets(secrets_of(house)),
        cache=MemoryCache(quota_of(plans), NoTelemetry()),
        billing=provider or Provider(),
        people=house.services.people,
        seal=Seal.from_file(house.settings.data_directory / "master.key"),
    )

    async def enqueue(tx: Transaction, tenant_id: UUID) -> None:
        await enqueue_provisioning(house.services.queue, tx, tenant_id)

    return Provisioning(database=used, clock=house.services.clock, steps=steps, enqueue=enqueue)


def secrets_of(house: House) -> Path:
    return house.settings.data_directory / "secrets"


async def begun(house: House, name: str = "Acme Capital") -> UUID:
    made = await house.services.provisioning.create(name=name, tier="pro", admin_email=EMAIL, actor="op@example.com")
    assert made.state is TenantState.PROVISIONING
    return made.id


async def test_a_tenant_is_provisioned_in_recorded_steps(house: House) -> None:
    tenant_id = await begun(house)
    before = await house.services.provisioning.status(tenant_id)
    assert [step.name for step in before.steps] == list(StepName)
    assert {step.state for step in before.steps} == {StepState.WAITING}

    await house.services.provisioning.run(tenant_id)

    status = await house.services.provisioning.status(tenant_id)
    assert {step.state for step in status.steps} == {StepState.DONE}
    assert {step.attempts for step in status.steps} == {1}
    assert all(step.detail for step in status.steps)
    assert status.finished_at is not None
    assert not status.error
    tenant = await house.services.tenancy.get_tenant("acme-capital")
    assert tenant.state is TenantState.ACTIVE
    assert (secrets_of(house) / str(tenant_id)).stat().st_mode & 0o777 == 0o700
    assert await letters(house, tenant_id) == ["invitation", "welcome"]


async def test_the_provider_is_told_the_tier_and_the_end_of_the_trial(house: House) -> None:
    tenant_id, provider = await begun(house), Provider()
    await provisioning(house, provider).run(tenant_id)
    tenant = await house.services.tenancy.tenant(tenant_id)
    assert list(provider.tiers.values()) == [Tier.PRO]
    assert list(provider.trials.values()) == [tenant.created_at + timedelta(days=14)]


async def test_the_job_is_queued_in_the_transaction_that_stores_the_tenant(house: House) -> None:
    tenant_id = await begun(house)
    async with house.services.database.transaction(tenant_id) as tx:
        jobs = await tx.all("SELECT name, arguments FROM jobs")
    assert jobs == [{"name": "provisioning", "arguments": {"tenant_id": str(tenant_id)}}]


async def test_running_a_finished_provisioning_again_changes_nothing(house: House) -> None:
    tenant_id = await begun(house)
    await house.services.provisioning.run(tenant_id)
    status = await house.services.provisioning.status(tenant_id)
    await house.services.provisioning.run(tenant_id)
    assert await house.services.provisioning.status(tenant_id) == status


async def test_a_step_that_may_succeed_later_is_left_for_another_attempt(house: House) -> None:
    tenant_id, service = await begun(house), provisioning(house, Provider(Unavailable("the provider is away")))
    with pytest.raises(Unavailable):
        await service.run(tenant_id)
    status = await service.status(tenant_id)
    step = next(step for step in status.steps if step.name is StepName.BILLING)
    assert (step.state, step.attempts, step.error) == (StepState.RUNNING, 1, "the provider is away")
    assert status.direction is Direction.FORWARD
    await service.run(tenant_id)
    assert (await house.services.tenancy.tenant(tenant_id)).state is TenantState.ACTIVE


async def test_a_step_that_fails_too_often_rolls_everything_back(house: House) -> None:
    away = [Unavailable("the provider is away") for _ in range(MOST_ATTEMPTS)]
    tenant_id, service = await begun(house), provisioning(house, Provider(*away))
    for _ in range(MOST_ATTEMPTS - 1):
        with pytest.raises(Unavailable):
            await service.run(tenant_id)
    await service.run(tenant_id)
    await is_undone(house, tenant_id, Provider())
    assert (await service.status(tenant_id)).error == "billing: the provider is away"


async def test_a_refused_step_is_rolled_back_at_once(house: House) -> None:
    tenant_id, provider = await begun(house), Provider(Conflict("somebody else's customer"))
    await provisioning(house, provider).run(tenant_id)
    await is_undone(house, tenant_id, provider)


async def test_what_cannot_be_undone_now_is_undone_by_a_later_attempt(house: House) -> None:
    tenant_id, provider = await begun(house), Provider()
    service = provisioning(house, provider)
    blocked = secrets_of(house)
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("a file where the folder must be")
    with pytest.raises(Misconfigured):
        await service.run(tenant_id)
    assert (await service.status(tenant_id)).direction is Direction.BACK
    blocked.unlink()
    await service.run(tenant_id)
    await is_undone(house, tenant_id, provider)


async def test_two_workers_with_the_same_job_send_one_invitation(house: House) -> None:
    tenant_id = await begun(house)
    await asyncio.gather(*(provisioning(house).run(tenant_id) for _ in range(3)))
    assert (await house.services.tenancy.tenant(tenant_id)).state is TenantState.ACTIVE
    assert await letters(house, tenant_id) == ["invitation", "welcome"]


async def test_what_was_rolled_back_can_be_provisioned_anew(house: House) -> None:
    tenant_id, service = await begun(house), provisioning(house, Provider(Conflict("no")))
    await service.run(tenant_id)
    await service.retry(tenant_id, actor="op@example.com")
    await service.run(tenant_id)
    status = await service.status(tenant_id)
    assert {step.state for step in status.steps} == {StepState.DONE}
    assert status.state is TenantState.ACTIVE
    with pytest.raises(Conflict, match="active cannot provision"):
        await service.retry(tenant_id, actor="op@example.com")


@pytest.mark.parametrize("committed", [True, False], ids=["after the commit", "before the commit"])
async def test_a_process_that_dies_at_any_transaction_is_carried_on_by_the_next(house: House, committed: bool) -> None:
    deaths = 0
    while True:
        tenant_id, provider = await begun(house, f"Acme {committed} {deaths}"), Provider()
        dying = FragileDatabase(house.services.database, dies_at=deaths + 1, committed=committed)  # type: ignore[arg-type]
        try:
            await provisioning(house, provider, dying).run(tenant_id)
        except Crash:
            deaths += 1
        else:
            break
        await provisioning(house, provider).run(tenant_id)
        status = await house.services.provisioning.status(tenant_id)
        assert {step.state for step in status.steps} == {StepState.DONE}
        assert status.state is TenantState.ACTIVE
        assert await letters(house, tenant_id) == ["invitation", "welcome"]
        assert len(provider.tiers) == 1
    assert deaths >= 2 * len(StepName)


async def test_a_process_that_dies_while_it_undoes_is_carried_on_by_the_next(house: House) -> None:
    deaths = 0
    while True:
        tenant_id, provider = await begun(house, f"Acme {deaths}"), Provider(Conflict("no"))
        dying = FragileDatabase(house.services.database, dies_at=deaths + 1)  # type: ignore[arg-type]
        try:
            await provisioning(house, provider, dying).run(tenant_id)
        except Crash:
            deaths += 1
        else:
            break
        await provisioning(house, provider).run(tenant_id)
        state = (await house.services.provisioning.status(tenant_id)).state
        assert state in {TenantState.PENDING, TenantState.ACTIVE}
        if state is TenantState.PENDING:
            await is_undone(house, tenant_id, provider)
    assert deaths >= 2 * len(StepName)


@pytest.mark.parametrize("name", [StepName.CACHE, StepName.CHECKS, StepName.WELCOME])
async def test_a_step_that_kills_its_process_each_time_is_rolled_back(house: House, name: StepName) -> None:
    tenant_id = await begun(house)
    async with house.services.database.transaction(tenant_id) as tx:
        await tx.run(
            "UPDATE provisioning_steps SET attempts = %(most)s, state = 'running' WHERE name = %(name)s",
            {"most": MOST_ATTEMPTS, "name": name.value},
        )
    await house.services.provisioning.run(tenant_id)
    await is_undone(house, tenant_id, Provider())


async def test_a_taken_slug_is_refused_also_when_two_ask_at_once(house: House) -> None:
    await begun(house)
    with pytest.raises(AlreadyExists, match="acme-capital exists"):
        await begun(house, "Acme (Capital)")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tier": "gold"}, "tier"),
        ({"name": " "}, "name"),
        ({"name": "日本"}, "name"),
        ({"slug": "Acme"}, "slug"),
        ({"admin_email": "ann"}, "admin_email"),
        ({"admin_email": "platform@localhost"}, "admin_email"),
    ],
)
async def test_what_no_tenant_can_have_is_refused_by_name(house: House, changes: dict[str, str], field: str) -> None:
    asked: dict[str, Any] = {"name": "Acme", "tier": "starter", "admin_email": EMAIL, **changes}
    with pytest.raises(InvalidInput) as refused:
        await house.services.provisioning.create(**asked, actor="op@example.com")
    assert refused.value.field == field


async def test_an_unknown_tenant_was_never_provisioned(house: House) -> None:
    with pytest.raises(NotFound):
        await house.services.provisioning.status(UUID(int=7))


async def is_undone(house: House, tenant_id: UUID, provider: Provider) -> None:
    status = await house.services.provisioning.status(tenant_id)
    assert {step.state for step in status.steps} <= {StepState.UNDONE, StepState.WAITING}
    assert status.state is TenantState.PENDING
    assert status.finished_at is not None
    assert not provider.tiers
    assert not (secrets_of(house) / str(tenant_id)).exists()
    async with house.services.database.transaction(tenant_id) as tx:
        assert await people_store.open_addresses(tx, tenant_id, house.services.clock.now()) == []
        standing = await tenants_store.lock(tx, tenant_id)
    assert standing is not None
    assert standing.billing_reference is None


async def letters(house: House, tenant_id: UUID) -> list[str]:
    async with house.services.database.transaction(tenant_id) as tx:
        return [mail["template"] for mail in await tx.all("SELECT template FROM mails ORDER BY written_at, template")]
