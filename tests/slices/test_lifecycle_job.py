"""What the hourly look after tenants does, and the files in which their secrets live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.adapters.secrets.file import FileSecrets
from alphapulse.daemon.assembly.tenants import tenant_jobs
from alphapulse.daemon.jobs.provisioning import recover_provisionings
from alphapulse.domain.lifecycle import TenantState
from alphapulse.domain.plans import LimitName
from alphapulse.domain.tenancy import Role
from alphapulse.errors import Misconfigured, NotFound, Unavailable
from tests.daemon.house import House, open_house

ACTOR = "op@example.com"


@pytest.fixture
async def house(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(database, urls, tmp_path) as opened:
        yield opened


async def look_after(house: House) -> None:
    await tenant_jobs(house.services)["lifecycle"]({})


async def queued(house: House, tenant_id: UUID) -> int:
    async with house.services.database.transaction(tenant_id) as tx:
        return len(await tx.all("SELECT 1 FROM jobs WHERE name = 'provisioning' AND state = 'queued'"))


async def test_a_deleted_tenant_is_purged_when_its_time_is_over_and_not_before(house: House) -> None:
    tenant = await house.tenant("acme")
    await house.services.lifecycle.delete(tenant.id, confirm="acme", reason="leaves", actor=ACTOR)
    await look_after(house)
    assert (await house.services.tenancy.tenant(tenant.id)).state is TenantState.DELETED
    async with house.services.database.transaction(tenant.id) as tx:
        await tx.run("UPDATE tenants SET purge_at = now() - interval '1 second'")
    await look_after(house)
    with pytest.raises(NotFound):
        await house.services.tenancy.tenant(tenant.id)


async def test_a_provisioning_that_no_job_carries_on_is_queued_again_once(house: House) -> None:
    made = await house.services.provisioning.create(
        name="Acme", tier="pro", admin_email="ann@acme.example", actor=ACTOR
    )
    async with house.services.database.transaction(made.id) as tx:
        await tx.run("UPDATE jobs SET state = 'failed'")
    for _ in range(2):
        await recover_provisionings(house.services.database, house.services.queue)
        assert await queued(house, made.id) == 1
    await tenant_jobs(house.services)["provisioning"]({"tenant_id": str(made.id)})
    assert (await house.services.tenancy.tenant(made.id)).state is TenantState.ACTIVE


async def test_what_a_tenant_uses_is_noted_for_the_day(house: House) -> None:
    tenant = await house.tenant("acme")
    await house.fund(await house.as_(Role.TRADER), agents=[{"name": "trend"}])
    await look_after(house)
    async with house.services.database.transaction(tenant.id) as tx:
        rows = await tx.all('SELECT "limit", quantity FROM plan_usage')
    noted = {row["limit"]: row["quantity"] for row in rows}
    assert (noted[LimitName.AGENTS], noted[LimitName.EXCHANGES], noted[LimitName.POSITIONS]) == (1, 1, 0)


async def test_each_tenant_has_a_folder_of_secrets_that_nobody_else_may_open(tmp_path: Path) -> None:
    secrets, one, other = FileSecrets(tmp_path / "secrets"), uuid4(), uuid4()
    for tenant_id in (one, other, one):
        await secrets.prepare(tenant_id)
        await secrets.ping(tenant_id)
    assert {path.stat().st_mode & 0o777 for path in [tmp_path / "secrets", *(tmp_path / "secrets").iterdir()]} == {
        0o700
    }
    await secrets.ping()
    for _ in range(2):
        await secrets.erase(one)
    with pytest.raises(Unavailable, match="does not exist"):
        await secrets.ping(one)
    await secrets.ping(other)


async def test_a_file_where_the_secrets_belong_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("in the way")
    with pytest.raises(Misconfigured, match=str(tmp_path / "secrets")):
        await FileSecrets(tmp_path / "secrets").prepare(uuid4())
