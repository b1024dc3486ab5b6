"""Exports: everything a tenant holds and nothing of anybody else, without secrets, as one zip that proves itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from alphapulse.adapters.database import migrations
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.adapters.queue.procrastinate import ProcrastinateQueue
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.audit.changes import record_change
from alphapulse.clock import ManualClock, SystemClock
from alphapulse.domain.privacy import EXPORT_KEPT, Export, ExportState
from alphapulse.errors import Conflict, NotFound, StorageFull, Unavailable
from alphapulse.tables import METADATA, TENANT_TABLES, USER_TABLES
from alphapulse.tables.exported import exported
from alphapulse.tenancy.exportable import AUDIT_TABLES
from alphapulse.tenancy.exports import Exports
from tests.conftest import SEAL, MakeTenant
from tests.fakes.tenants import fill_every_table
from tests.slices.test_leak import USERS, A, B

ANN = "ann@acme.example"
#: Names of columns that look like secrets and are none.
HARMLESS = {"parameters_key", "client_order_id", "sha256"}


class Desk:
    """Exports on one database, and the files they leave."""

    def __init__(self, database: PostgresDatabase, urls: DatabaseUrls, folder: Path) -> None:
        self.database = database
        self.folder = folder / "exports"
        self.clock = ManualClock(SystemClock().now())
        self.exports = Exports(
            database=database,
            snapshots=database,
            queue=ProcrastinateQueue(urls.app, database=database, telemetry=NoTelemetry()),
            clock=self.clock,
            seal=SEAL,
            directory=self.folder,
            public_url="https://funds.example",
        )

    async def made(self, tenant_id: UUID, user_id: UUID | None = None) -> Export:
        export = await self.exports.request(tenant_id, user_id=user_id or uuid4(), actor=ANN)
        await self.exports.run(tenant_id, export.id)
        return await self.exports.get(tenant_id, export.id)

    def read(self, tenant_id: UUID, export: Export) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
        """The manifest, and the rows by file."""
        with zipfile.ZipFile(self.folder / str(tenant_id) / f"{export.id}.zip") as archive:
            assert archive.testzip() is None
            texts = {name: archive.read(name).decode() for name in archive.namelist()}
        manifest = json.loads(texts.pop("manifest.json"))
        return manifest, {name: [json.loads(line) for line in text.split("\n") if line] for name, text in texts.items()}


@pytest.fixture
def desk(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> Desk:
    return Desk(database, urls, tmp_path)


async def test_every_table_of_the_tenant_is_there_with_its_rows_and_no_row_of_another(
    desk: Desk, urls: DatabaseUrls
) -> None:
    fill_every_table(urls, A, B)
    export = await desk.made(A)
    manifest, rows = desk.read(A, export)
    wanted = {f"{name}.ndjson" for name in ("tenants", "users", *TENANT_TABLES) if name not in AUDIT_TABLES}
    assert set(rows) == {*wanted, "audit_events.ndjson"}
    for name in wanted - {"tenants.ndjson", "users.ndjson", "exports.ndjson", "jobs.ndjson"}:
        assert [row["tenant_id"] for row in rows[name]] == [str(A)], name
    assert [row["id"] for row in rows["tenants.ndjson"]] == [str(A)]
    assert [row["id"] for row in rows["users.ndjson"]] == [str(USERS[A])]
    assert str(B) not in json.dumps(rows)
    assert str(USERS[B]) not in json.dumps(rows)
    assert manifest["tenant"]["id"] == str(A)
    assert manifest["schema_version"] == migrations.HEAD


async def test_the_manifest_counts_and_proves_every_file(desk: Desk, urls: DatabaseUrls) -> None:
    fill_every_table(urls, A)
    export = await desk.made(A)
    manifest, rows = desk.read(A, export)
    with zipfile.ZipFile(desk.folder / str(A) / f"{export.id}.zip") as archive:
        for entry in manifest["tables"]:
            text = archive.read(entry["file"])
            assert hashlib.sha256(text).hexdigest() == entry["sha256"], entry["file"]
            assert archive.getinfo(entry["file"]).compress_type == zipfile.ZIP_DEFLATED
            assert (len(text), text.count(b"\n")) == (entry["size"], entry["rows"]), entry["file"]
    assert {entry["file"] for entry in manifest["tables"]} == set(rows)
    assert export.rows == sum(entry["rows"] for entry in manifest["tables"])
    whole = (desk.folder / str(A) / f"{export.id}.zip").read_bytes()
    assert (export.size, export.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


async def test_rows_come_out_as_they_went_in_whatever_they_hold(
    desk: Desk, urls: DatabaseUrls, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(desk.database)
    odd = 'tab\t"quote" back\\slash \\. \x01\x02 \x1f new\nline Ünï, 日本 \N{LINE SEPARATOR}'
    async with desk.database.transaction(tenant) as tx:
        await tx.run(
            "INSERT INTO funds (tenant_id, id, name, mode, state, capital, config_version, timeframe, created_at)"
            " VALUES (%(t)s, %(id)s, %(name)s, 'paper', 'created', 0.100000000001, 1, '1h', now())",
            {"t": tenant, "id": uuid4(), "name": odd},
        )
    export = await desk.made(tenant)
    _, rows = desk.read(tenant, export)
    assert [row["name"] for row in rows["funds.ndjson"]] == [odd]
    with zipfile.ZipFile(desk.folder / str(tenant) / f"{export.id}.zip") as archive:
        raw = archive.read("funds.ndjson")
    assert b'"capital":0.100000000001,' in raw


async def test_no_secret_leaves_and_the_manifest_says_what_was_left_out(desk: Desk, urls: DatabaseUrls) -> None:
    fill_every_table(urls, A)
    manifest, rows = desk.read(A, await desk.made(A, USERS[A]))
    left_out = {entry["table"]: entry["left_out"] for entry in manifest["tables"] if entry["left_out"]}
    assert left_out["api_keys"] == ["secret_hash"]
    assert left_out["users"] == ["password_hash"]
    for file, found in rows.items():
        hidden = set(left_out.get(file.removeprefix("you/").removesuffix(".ndjson"), []))
        assert not any(hidden & set(row) for row in found), file


def test_a_column_that_is_named_like_a_secret_is_one_or_is_listed_as_harmless() -> None:
    looks = re.compile(r"hash|secret|sealed|token|password|private|recovery|(^|_)key$")
    for name in (*TENANT_TABLES, *USER_TABLES, "users", "tenants"):
        if name in AUDIT_TABLES:
            continue
        shown, _ = exported(name)
        assert [column for column in shown if looks.search(column) and column not in HARMLESS] == [], name
        assert set(METADATA.tables[f"app.{name}"].columns.keys()) == {*shown, *exported(name)[1]}


async def test_a_members_own_data_goes_along_and_a_strangers_does_not(desk: Desk, urls: DatabaseUrls) -> None:
    fill_every_table(urls, A, B)
    _, rows = desk.read(A, await desk.made(A, USERS[A]))
    for name in USER_TABLES:
        assert [row["user_id"] for row in rows[f"you/{name}.ndjson"]] == [str(USERS[A])], name
    _, rows = desk.read(A, await desk.made(A, USERS[B]))
    assert not any(name.startswith("you/") for name in rows)


async def test_the_audit_log_is_exported_readable(desk: Desk, make_tenant: MakeTenant) -> None:
    tenant = await make_tenant(desk.database)
    async with desk.database.transaction(tenant) as tx:
        await record_change(
            tx,
            actor=ANN,
            action="fund.create",
            subject="momentum",
            before=None,
            after={"name": "momentum"},
            at=desk.clock.now(),
        )
    _, rows = desk.read(tenant, await desk.made(tenant))
    events = [row["event"] for row in rows["audit_events.ndjson"]]
    assert [(event["actor"], event["action"]) for event in events] == [(ANN, "fund.create"), (ANN, "export.request")]


async def test_one_export_is_on_its_way_at_a_time(desk: Desk, make_tenant: MakeTenant) -> None:
    tenant = await make_tenant(desk.database)
    first, second = await asyncio.gather(*(desk.exports.request(tenant, user_id=uuid4(), actor=ANN) for _ in range(2)))
    assert first.id == second.id
    await desk.exports.run(tenant, first.id)
    current = await desk.exports.current(tenant, user_id=uuid4(), actor=ANN)
    assert (current.id, current.state) == (first.id, ExportState.READY)
    assert current.link == f"https://funds.example/exports/{first.id}/file"


async def test_the_new_one_replaces_the_one_before(desk: Desk, make_tenant: MakeTenant) -> None:
    tenant = await make_tenant(desk.database)
    first = await desk.made(tenant)
    desk.clock.advance(timedelta(minutes=1))
    second = await desk.made(tenant)
    assert [path.stem for path in (desk.folder / str(tenant)).iterdir()] == [str(second.id)]
    assert (await desk.exports.get(tenant, first.id)).state is ExportState.EXPIRED
    with pytest.raises(NotFound, match="expired"):
        await desk.exports.file(tenant, first.id)


async def test_an_export_can_be_fetched_for_a_week_and_is_deleted_then(desk: Desk, make_tenant: MakeTenant) -> None:
    tenant = await make_tenant(desk.database)
    export = await desk.made(tenant)
    _, path = await desk.exports.file(tenant, export.id)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    desk.clock.advance(EXPORT_KEPT - timedelta(seconds=1))
    assert await desk.exports.expire() == 0
    desk.clock.advance(timedelta(seconds=1))
    with pytest.raises(NotFound, match="expired"):
        await desk.exports.file(tenant, export.id)
    assert await desk.exports.expire() == 1
    assert not path.exists()


async def test_another_tenant_finds_nothing(desk: Desk, make_tenant: MakeTenant) -> None:
    tenant, other = await make_tenant(desk.database), await make_tenant(desk.database, "globex")
    export = await desk.made(tenant)
    with pytest.raises(NotFound):
        await desk.exports.get(other, export.id)
    with pytest.raises(NotFound):
        await desk.exports.file(other, export.id)
    assert await desk.exports.list(other) == []


async def test_what_is_not_ready_cannot_be_fetched(desk: Desk, make_tenant: MakeTenant) -> None:
    tenant = await make_tenant(desk.database)
    export = await desk.exports.request(tenant, user_id=uuid4(), actor=ANN)
    with pytest.raises(Conflict, match="queued"):
        await desk.exports.file(tenant, export.id)


async def test_a_disk_that_takes_nothing_fails_the_export_and_leaves_no_file(
    desk: Desk, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(desk.database)
    export = await desk.exports.request(tenant, user_id=uuid4(), actor=ANN)
    desk.folder.mkdir()
    (desk.folder / str(tenant)).write_text("in the way", encoding="utf-8")
    with pytest.raises(StorageFull):
        await desk.exports.run(tenant, export.id)
    failed = await desk.exports.get(tenant, export.id)
    assert failed.state is ExportState.FAILED
    (desk.folder / str(tenant)).unlink()
    assert (await desk.made(tenant)).state is ExportState.READY


async def test_an_export_whose_connection_is_cut_is_repeated_from_the_beginning(
    desk: Desk, urls: DatabaseUrls, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(desk.database)
    export = await desk.exports.request(tenant, user_id=uuid4(), actor=ANN)
    assert urls.admin is not None
    with psycopg.connect(urls.admin) as blocker:
        blocker.execute("LOCK TABLE app.orders IN ACCESS EXCLUSIVE MODE")
        running = asyncio.create_task(desk.exports.run(tenant, export.id))
        await asyncio.to_thread(_cut, urls)
        with pytest.raises(Unavailable):
            await running
    assert list((desk.folder / str(tenant)).iterdir()) == []
    await desk.exports.run(tenant, export.id)
    assert (await desk.exports.get(tenant, export.id)).state is ExportState.READY


def _cut(urls: DatabaseUrls) -> None:
    """End the export's connection once it waits for the table."""
    from tests.daemon.waiting import eventually_now

    assert urls.admin is not None
    with psycopg.connect(urls.admin, autocommit=True) as admin:
        eventually_now(
            lambda: admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'alphapulse export' AND wait_event_type = 'Lock'"
            ).fetchone()
        )


async def test_a_cancelled_export_takes_its_thread_along_and_goes_on_later(
    desk: Desk, urls: DatabaseUrls, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(desk.database)
    assert urls.admin is not None
    with psycopg.connect(urls.admin) as admin:
        admin.execute(
            "INSERT INTO app.events (tenant_id, sequence, kind, subject, payload, at, recorded_at)"
            " SELECT %s, n, 'x', 'y', jsonb_build_object('text', repeat(md5(n::text), 100)), now(), now()"
            " FROM generate_series(1, 30000) AS n",
            [tenant],
        )
    export = await desk.exports.request(tenant, user_id=uuid4(), actor=ANN)
    running = asyncio.create_task(desk.exports.run(tenant, export.id))
    await asyncio.to_thread(_begun, desk.folder / str(tenant))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert list((desk.folder / str(tenant)).iterdir()) == []
    await desk.exports.run(tenant, export.id)
    assert (await desk.exports.get(tenant, export.id)).rows > 30_000


def _begun(folder: Path) -> None:
    from tests.daemon.waiting import eventually_now

    eventually_now(lambda: any(path.suffix == ".part" for path in folder.glob("*")), every_s=0.005)
