"""Backups end to end: made, proved on a scratch server, put back, also on another machine."""

from __future__ import annotations

import asyncio
import shutil
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from alphapulse.adapters.database.databases import Databases
from alphapulse.adapters.database.dump import PostgresDump
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls, of_database
from alphapulse.adapters.secrets.file import FileSecrets
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.backup.service import Backups, list_backups, verify
from alphapulse.clock import ManualClock, SystemClock
from alphapulse.daemon.assembly import backup as parts
from alphapulse.daemon.assembly.erasures import known_erasures
from alphapulse.daemon.doctor import Finding, examine
from alphapulse.daemon.jobs.backup import BackupJob, DrillJob
from alphapulse.domain.backups import BackupFile, RestoreProof, Retention
from alphapulse.domain.privacy import ErasedKind, ErasureEntry
from alphapulse.domain.wire import write_time
from alphapulse.errors import Conflict, DriftFound, Misconfigured, Unavailable
from alphapulse.sealing import Seal
from alphapulse.settings import Settings, load
from alphapulse.tenancy.erasure_ledger import append, read_file
from tests.conftest import SEAL, MakeTenant
from tests.fakes.floor import FIRST, Floor, hours

NOW = SystemClock().now()


@dataclass
class Kept:
    """A database with a tenant that has traded, and the settings of its daemon."""

    settings: Settings
    urls: DatabaseUrls
    seal: Seal
    tenant_id: UUID

    def make(self) -> BackupFile:
        return parts.open_backups(self.settings, self.urls, self.seal, SystemClock()).make()

    def drill(self, backup: BackupFile) -> RestoreProof:
        return parts.drill(self.settings, backup, self.seal, known_erasures(self.settings, None))

    def change(self, statement: LiteralString) -> None:
        """Behind the daemon's back."""
        assert self.urls.admin is not None
        with psycopg.connect(self.urls.admin) as admin:
            assert admin.execute(statement).rowcount > 0

    def rows(self, statement: LiteralString, database: str = "") -> list[Any]:
        admin = (of_database(self.urls, database) if database else self.urls).admin
        assert admin is not None
        with psycopg.connect(admin) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
async def kept(database: PostgresDatabase, urls: DatabaseUrls, make_tenant: MakeTenant, tmp_path: Path) -> Kept:
    assert urls.admin is not None
    settings = load(
        data_directory=tmp_path / "data",
        database_url=urls.app,
        database_platform_url=urls.platform,
        database_admin_url=urls.admin,
    )
    tenant_id = await make_tenant(database)
    floor = Floor(database, tenant_id, settings.data_directory / "candles")
    floor.store()
    fund = await floor.fund()
    for at in hours(FIRST, 4):
        await floor.cycle.run(fund, at)
    await FileSecrets(settings.data_directory / "secrets").prepare(tenant_id)
    (settings.data_directory / "secrets" / str(tenant_id) / "binance").write_bytes(b"sealed")
    await database.close()  # as when no daemon runs
    return Kept(settings, urls, SEAL, tenant_id)


def test_a_backup_comes_back_whole(kept: Kept) -> None:
    backup = kept.make()
    proof = kept.drill(backup)
    assert proof.problems == ()
    assert proof.candles == ()
    assert (proof.tenants, proof.funds, proof.erased) == (1, 1, 0)
    assert proof.chains >= 1
    assert proof.rows > 10
    assert not (kept.settings.data_directory / "drill").exists()


def test_a_backup_is_for_its_owner_alone_and_hides_what_it_holds(kept: Kept) -> None:
    backup = kept.make()
    assert Path(backup.file).stat().st_mode & 0o777 == 0o600
    assert Path(backup.file).parent.stat().st_mode & 0o777 == 0o700
    content = Path(backup.file).read_bytes()
    assert b"acme" not in content
    assert b"PGDMP" not in content
    assert list(Path(backup.file).parent.glob("*.unfinished")) == []


def test_books_that_do_not_add_up_are_found_by_the_drill(kept: Kept) -> None:
    kept.change("UPDATE app.balances SET amount = amount + 1 WHERE asset = 'USDT'")
    proof = kept.drill(kept.make())
    assert any("USDT" in problem for problem in proof.problems)


def test_an_audit_row_that_was_changed_is_found_by_the_drill(kept: Kept) -> None:
    kept.change("UPDATE app.audit_events SET reason = 'another' WHERE sequence = 1")
    proof = kept.drill(kept.make())
    assert any("audit chain" in problem and "entry 1" in problem for problem in proof.problems)


def test_candles_that_are_gone_are_told(kept: Kept) -> None:
    backup = kept.make()
    shutil.rmtree(kept.settings.data_directory / "candles" / "paperville" / "BTC-USDT")
    proof = kept.drill(backup)
    assert proof.problems == ()
    assert any("BTC-USDT" in line and "not there" in line for line in proof.candles)


def test_a_tenant_that_was_erased_after_the_backup_is_erased_again(kept: Kept) -> None:
    backup = kept.make()
    append(kept.settings.data_directory / "erasures.jsonl", [ErasureEntry(kept.tenant_id, ErasedKind.TENANT, NOW)])
    proof = kept.drill(backup)
    assert (proof.erased, proof.tenants, proof.funds) == (1, 0, 0)
    assert proof.problems == ()


def test_a_restore_replaces_the_database_when_told_to_and_keeps_the_old_one(kept: Kept) -> None:
    kept.change(
        "INSERT INTO app.users (id, email, password_hash, is_platform_admin, created_at)"
        " SELECT id, 'ann@acme.example', 'x', false, now() FROM app.tenants"
    )
    kept.change(
        "INSERT INTO app.sessions (id, tenant_id, user_id, created_at, expires_at, generation, seen_at, address,"
        " program) SELECT id, id, id, now(), now(), 0, now(), '', '' FROM app.tenants"
    )
    backup = kept.make()
    kept.change("UPDATE app.tenants SET name = 'Changed since'")
    secret = kept.settings.data_directory / "secrets" / str(kept.tenant_id) / "binance"
    secret.write_bytes(b"changed since")
    with pytest.raises(Conflict, match="holds data already") as refused:
        parts.restore(kept.settings, kept.urls, backup, kept.seal, [], replace=False, force=False)
    assert "--replace" in refused.value.fix
    restored = parts.restore(kept.settings, kept.urls, backup, kept.seal, [], replace=True, force=False)
    assert restored.done
    assert kept.rows("SELECT name FROM app.tenants") == [("acme",)]
    assert kept.rows("SELECT name FROM app.tenants", restored.kept_as) == [("Changed since",)]
    assert secret.read_bytes() == b"sealed"
    assert kept.rows("SELECT revoked_at IS NULL FROM app.sessions") == [(False,)]
    halts = kept.rows("SELECT reason FROM app.platform_halts WHERE lifted_at IS NULL")
    assert "restored from the backup" in halts[0][0]
    Databases(kept.urls).drop(restored.kept_as)


def test_an_erased_tenant_does_not_come_back_by_a_restore(kept: Kept) -> None:
    backup = kept.make()
    entry = ErasureEntry(kept.tenant_id, ErasedKind.TENANT, NOW)
    restored = parts.restore(kept.settings, kept.urls, backup, kept.seal, [entry], replace=True, force=False)
    assert restored.proof.erased == 1
    assert read_file(kept.settings.data_directory / "erasures.jsonl") == [entry]  # for the next restore
    assert kept.rows("SELECT count(*) FROM app.tenants") == [(0,)]
    assert kept.rows("SELECT count(*) FROM app.fills") == [(0,)]
    assert not (kept.settings.data_directory / "secrets" / str(kept.tenant_id)).exists()
    Databases(kept.urls).drop(restored.kept_as)


def test_a_backup_that_fails_its_proof_replaces_nothing_unless_forced(kept: Kept) -> None:
    kept.change("UPDATE app.balances SET amount = amount + 1 WHERE asset = 'USDT'")
    backup = kept.make()
    kept.change("UPDATE app.tenants SET name = 'Changed since'")
    restored = parts.restore(kept.settings, kept.urls, backup, kept.seal, [], replace=True, force=False)
    assert not restored.done
    assert restored.proof.problems
    assert kept.rows("SELECT name FROM app.tenants") == [("Changed since",)]
    forced = parts.restore(kept.settings, kept.urls, backup, kept.seal, [], replace=True, force=True)
    assert forced.done
    assert kept.rows("SELECT name FROM app.tenants") == [("acme",)]
    Databases(kept.urls).drop(forced.kept_as)


def test_a_damaged_backup_replaces_nothing(kept: Kept) -> None:
    backup = kept.make()
    content = bytearray(Path(backup.file).read_bytes())
    content[len(content) // 2] ^= 1
    Path(backup.file).write_bytes(content)
    with pytest.raises(DriftFound, match="damaged"):
        verify(Path(backup.file), kept.seal)
    kept.change("UPDATE app.tenants SET name = 'Changed since'")
    with pytest.raises(DriftFound, match="damaged"):
        parts.restore(kept.settings, kept.urls, backup, kept.seal, [], replace=True, force=True)
    assert kept.rows("SELECT name FROM app.tenants") == [("Changed since",)]
    assert list(kept.settings.data_directory.glob(".restore-*")) == []


def test_a_backup_without_its_key_is_refused_with_the_fix(kept: Kept, tmp_path: Path) -> None:
    backup = kept.make()
    with pytest.raises(Misconfigured, match="another master key") as refused:
        verify(Path(backup.file), Seal.from_file(tmp_path / "other.key"))
    assert "--key" in refused.value.fix
    with pytest.raises(Misconfigured, match="no master key"):
        parts.seal_of(load(data_directory=tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_only_one_backup_is_made_at_a_time_and_what_a_killed_one_left_is_removed(kept: Kept) -> None:
    folder = kept.settings.backup_directory
    folder.mkdir(parents=True)
    (folder / "alphapulse-20200101T000000Z.backup.unfinished").write_bytes(b"half")
    backups = parts.open_backups(kept.settings, kept.urls, kept.seal, SystemClock())

    def while_it_is_made() -> bool:
        with pytest.raises(Conflict, match="another backup is being made"):
            backups.make()
        return False

    made = backups.make(stopped=while_it_is_made)
    assert [path.name for path in folder.glob("alphapulse*")] == [Path(made.file).name]


def test_a_backup_that_is_stopped_leaves_nothing(kept: Kept) -> None:
    backups = parts.open_backups(kept.settings, kept.urls, kept.seal, SystemClock())
    with pytest.raises(Unavailable, match="stopped"):
        backups.make(stopped=lambda: True)
    assert list(kept.settings.backup_directory.glob("alphapulse*")) == []


def test_without_a_login_that_reads_everything_there_is_no_backup(kept: Kept) -> None:
    without = kept.settings.model_copy(update={"database_admin_url": None})
    urls = DatabaseUrls(None, kept.urls.app, kept.urls.platform)
    with pytest.raises(Misconfigured, match="no login is set") as refused:
        parts.open_backups(without, urls, kept.seal, SystemClock())
    assert "ALPHAPULSE_BACKUP__DATABASE_URL" in refused.value.fix


def test_old_backups_go_but_never_the_newest_ones(kept: Kept, tmp_path: Path) -> None:
    assert kept.urls.admin is not None
    clock = ManualClock(NOW)
    backups = Backups(
        directory=tmp_path / "kept",
        seal=kept.seal,
        dump=PostgresDump(kept.urls.admin),
        kept=[],
        clock=clock,
        retention=Retention(keep=timedelta(days=2), keep_least=2),
    )
    made: list[BackupFile] = []
    for _ in range(4):
        made.append(backups.make())
        clock.advance(timedelta(days=1))
    assert [one.file for one in backups.tidy()] == [made[1].file, made[0].file]
    clock.advance(timedelta(days=365))
    assert backups.tidy() == []
    assert [one.file for one in list_backups(backups.directory)] == [made[3].file, made[2].file]
    (tmp_path / "kept" / "foreign.backup").write_bytes(b"not ours")
    assert len(list_backups(backups.directory)) == 2


def test_doctor_tells_when_the_newest_backup_is_too_old(kept: Kept) -> None:
    assert kept.urls.admin is not None

    def finding() -> Finding:
        return next(one for one in examine(kept.settings) if one.check == "backup")

    assert finding().ok  # none yet: the first night is still to come
    retention = Retention(keep=timedelta(days=30), keep_least=1)
    dump = PostgresDump(kept.urls.admin)
    folder = kept.settings.backup_directory
    for age, good in ((3, False), (1, True)):
        clock = ManualClock(NOW - timedelta(days=age))
        Backups(directory=folder, seal=kept.seal, dump=dump, kept=[], clock=clock, retention=retention).make()
        assert finding().ok is good
        assert f"{24 * age} hours old" in finding().detail


# The jobs


@dataclass
class Made:
    """What a backup job called."""

    calls: int = 0
    backup: BackupFile | None = None

    def __call__(self, _: object) -> tuple[BackupFile, list[BackupFile]]:
        self.calls += 1
        self.backup = BackupFile("x.backup", NOW, 1, 18, "0002", "k")
        return self.backup, []


async def test_the_first_slot_of_a_new_database_is_passed_over_and_every_later_one_is_kept(
    database: PostgresDatabase,
) -> None:
    made = Made()
    job = BackupJob(database=database, telemetry=NoTelemetry(), make=made, daily=True)
    today = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    await job.run({"slot": write_time(today)})
    assert made.calls == 0
    async with database.shared() as tx:
        await tx.run("INSERT INTO firings (job, slot, fired_at) VALUES ('backup', %(slot)s, now())", {"slot": today})
    await job.run({"slot": write_time(today)})
    assert made.calls == 0
    await job.run({"slot": write_time(today + timedelta(days=1))})
    assert made.calls == 1


async def test_a_backup_that_somebody_asks_for_is_made_in_any_case(database: PostgresDatabase) -> None:
    made = Made()
    job = BackupJob(database=database, telemetry=NoTelemetry(), make=made, daily=False)
    await job.run({"slot": write_time(NOW)})
    assert made.calls == 0
    await job.run({"slot": write_time(NOW), "asked": "yes"})
    assert made.calls == 1


async def test_the_job_stops_its_thread_when_it_is_cancelled(database: PostgresDatabase) -> None:
    began, ended = threading.Event(), threading.Event()

    def make(stopped: Any) -> tuple[BackupFile, list[BackupFile]]:
        began.set()
        while not stopped():
            ended.wait(0.01)
        ended.set()
        return Made()(None)

    job = BackupJob(database=database, telemetry=NoTelemetry(), make=make, daily=True)
    running = asyncio.create_task(job.run({"asked": "yes"}))
    assert await asyncio.to_thread(began.wait, 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await asyncio.to_thread(ended.wait, 10)


async def test_a_drill_that_finds_something_fails(kept: Kept) -> None:
    kept.change("UPDATE app.balances SET amount = amount + 1 WHERE asset = 'USDT'")
    backup = kept.make()
    job = DrillJob(
        telemetry=NoTelemetry(), drill=lambda: (backup, parts.drill(kept.settings, backup, kept.seal)), weekly=True
    )
    with pytest.raises(DriftFound, match="does not come back as it was"):
        await job.run({})


async def test_without_a_backup_there_is_nothing_to_try() -> None:
    await DrillJob(telemetry=NoTelemetry(), drill=lambda: None, weekly=True).run({})
