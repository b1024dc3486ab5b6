"""Backups of what the settings name: made, proved on a scratch server, and put back."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alphapulse.adapters.database import gate, migrations
from alphapulse.adapters.database.databases import Databases
from alphapulse.adapters.database.dump import PostgresDump, PostgresLoad
from alphapulse.adapters.database.embedded import EmbeddedPostgres
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.backup.folders import CandleList, Folder, SingleFile, exchange
from alphapulse.backup.proof import differences, look
from alphapulse.backup.service import Backups, alone, list_backups
from alphapulse.backup.unpacking import Unpacked, unpack
from alphapulse.clock import Clock, SystemClock
from alphapulse.daemon.assembly.erasures import known_erasures, replay_beside, replay_here
from alphapulse.daemon.assembly.privacy import ledger_file
from alphapulse.daemon.jobs.backup import BackupJob, DrillJob
from alphapulse.domain.backups import BackupFile, RestoreProof, Retention
from alphapulse.domain.privacy import ErasureEntry
from alphapulse.domain.risk import HaltScope
from alphapulse.errors import Conflict, Misconfigured
from alphapulse.ports.queue import JobFunction
from alphapulse.sealing import Seal, write_new_secret
from alphapulse.tenancy.erasure_ledger import append, read_file
from alphapulse.trading.halts import Halts

if TYPE_CHECKING:
    from alphapulse.daemon.assembly.services import Parts
    from alphapulse.settings import Settings

SECRETS = "secrets"
ERASURES = "erasures.jsonl"
_ACTOR = "db restore"


def open_backups(settings: Settings, urls: DatabaseUrls, seal: Seal, clock: Clock) -> Backups:
    """urls: of the database to keep. Raises Misconfigured when no login may read every row of it."""
    configured = settings.backup.database_url
    url = urls.admin if configured is None else configured.get_secret_value()
    if url is None:
        raise Misconfigured(
            "no login is set that could make a backup of this database",
            fix="Set ALPHAPULSE_BACKUP__DATABASE_URL to one that reads every row.",
        )
    data = settings.data_directory
    return Backups(
        directory=settings.backup_directory,
        seal=seal,
        dump=PostgresDump(url, programs=settings.backup.programs),
        kept=[
            Folder(SECRETS, data / SECRETS),
            SingleFile(ERASURES, ledger_file(settings)),
            Folder("audit-heads", data / "audit-heads"),
            CandleList(data / "candles"),
        ],
        clock=clock,
        retention=Retention(settings.backup.keep, settings.backup.keep_least),
    )


def backup_jobs(settings: Settings, urls: DatabaseUrls, parts: Parts) -> dict[str, JobFunction]:
    """By the name of the job. A missing login shows when a backup is made, and keeps no daemon from serving."""

    def make(stopped: Callable[[], bool]) -> tuple[BackupFile, list[BackupFile]]:
        backups = open_backups(settings, urls, parts.seal, parts.clock)
        return backups.make(stopped=stopped), backups.tidy()

    def tried() -> tuple[BackupFile, RestoreProof] | None:
        found = list_backups(settings.backup_directory)
        return (found[0], drill(settings, found[0], parts.seal, known_erasures(settings, urls))) if found else None

    daily = settings.backup.daily
    making = BackupJob(database=parts.database, telemetry=parts.telemetry, make=make, daily=daily)
    return {
        "backup": making.run,
        "drill": DrillJob(telemetry=parts.telemetry, drill=tried, weekly=daily).run,
    }


def seal_of(settings: Settings, key: Path | None = None) -> Seal:
    """The master key in ``key``, or this machine's. Never makes one. Raises Misconfigured."""
    path = key or settings.master_key
    if not path.exists():
        raise Misconfigured(
            f"there is no master key {path}, without which no backup opens",
            fix="Name the key file of the daemon that made the backup, with --key; a daemon makes its own.",
        )
    return Seal.from_file(path)


@dataclass(frozen=True, slots=True)
class Restored:
    """kept_as: the name under which the database that was served from is kept; empty when it held nothing."""

    backup: BackupFile
    proof: RestoreProof
    done: bool
    kept_as: str = ""


def drill(settings: Settings, backup: BackupFile, seal: Seal, erasures: Sequence[ErasureEntry] = ()) -> RestoreProof:
    """Restore into a PostgreSQL of its own, started for this and gone afterwards; nothing else is touched. Blocks.

    Raises Conflict while another drill runs here, DriftFound when the backup is damaged.
    """
    folder = settings.data_directory / "drill"
    settings.data_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(folder.with_name(".drill.lock"), "another restore is being tried"):
        server = EmbeddedPostgres(folder / "postgres", durable=False)
        _clear(server, folder)  # of one that was killed
        try:
            databases = Databases(server.start())
            _, proof = _rebuild(settings, databases, "restored", backup, seal, folder / "files", erasures)
        finally:
            _clear(server, folder)
    return proof


def restore(
    settings: Settings,
    urls: DatabaseUrls,
    backup: BackupFile,
    seal: Seal,
    erasures: Sequence[ErasureEntry],
    *,
    replace: bool,
    force: bool,
) -> Restored:
    """Rebuild beside what is there, prove it, and only then put it in its place. Blocks.

    replace: whether a database with our schema may be replaced; it is kept under another name. force: take it over
    although the proof found differences; without, ``Restored.proof`` tells them and nothing was changed. Trading is
    halted on the whole platform and every session ended. Raises Conflict when there is something to replace, or
    somebody uses it.
    """
    databases = Databases(urls)
    held = databases.holds_anything()
    if held and not replace:
        raise Conflict(
            f"the database {databases.name} holds data already",
            fix="Repeat with --replace: it is kept under another name, and nothing of it is lost.",
        )
    now = SystemClock().now()
    files = settings.data_directory / f".restore-{now:%Y%m%dT%H%M%SZ}"
    name, kept_as = f"{databases.name}_restoring", f"{databases.name}_before_{now:%Y%m%dT%H%M%SZ}"
    try:
        rebuilt, proof = _rebuild(settings, databases, name, backup, seal, files, erasures)
        if proof.problems and not force:
            return Restored(backup, proof, done=False)
        asyncio.run(_calm(rebuilt, seal, backup))
        PostgresLoad(_admin(rebuilt)).end_sessions()
        databases.put_in_place(name, kept_as)
        secrets = settings.data_directory / SECRETS
        exchange(files / SECRETS, secrets, secrets.with_name(f"{SECRETS}.before-{now:%Y%m%dT%H%M%SZ}"))
        append(ledger_file(settings), [*read_file(files / ERASURES), *erasures])
        if not held:
            databases.drop(kept_as)
    finally:
        databases.drop(name)
        shutil.rmtree(files, ignore_errors=True)
    return Restored(backup, proof, done=True, kept_as=kept_as if held else "")


def prove_here(settings: Settings, urls: DatabaseUrls, seal: Seal, erasures: Sequence[ErasureEntry]) -> RestoreProof:
    """For a database that was restored by other means, and is served from: erase again what came back, then look at
    its books and audit chains. Blocks.
    """
    return asyncio.run(_prove_here(settings, urls, seal, erasures))


async def _prove_here(
    settings: Settings, urls: DatabaseUrls, seal: Seal, erasures: Sequence[ErasureEntry]
) -> RestoreProof:
    problems = await gate.findings(urls.app)
    async with _opened(urls, seal) as database:
        erased = await replay_here(settings, database, seal, erasures)
        looked = await look(database)
    every = (*problems, *looked.problems)
    return RestoreProof(0, looked.tenants, looked.funds, looked.chains, looked.events, erased, every)


def adopt_key(settings: Settings, key: Path) -> None:
    """Make the key that opened the backup this machine's; one that stood there is kept beside it."""
    place = settings.master_key
    text = key.read_bytes()
    if place.exists():
        if place.read_bytes() == text:
            return
        place.rename(place.with_name(f"{place.name}.before-{SystemClock().now():%Y%m%dT%H%M%SZ}"))
    write_new_secret(place, text)


def _rebuild(
    settings: Settings,
    databases: Databases,
    name: str,
    backup: BackupFile,
    seal: Seal,
    files: Path,
    erasures: Sequence[ErasureEntry],
) -> tuple[DatabaseUrls, RestoreProof]:
    urls = databases.make(name)
    load = PostgresLoad(_admin(urls), programs=settings.backup.programs)
    unpacked = unpack(Path(backup.file), seal, load, files)
    problems = list(differences(unpacked.content, load.content()))
    migrations.upgrade(urls)
    listed = files / CandleList.NAME
    candles = CandleList(settings.data_directory / "candles").differences(
        listed.read_bytes() if listed.exists() else b""
    )
    proof = asyncio.run(_prove(urls, seal, unpacked, [*read_file(files / ERASURES), *erasures], files))
    return urls, RestoreProof(
        rows=sum(unpacked.content.rows.values()),
        tenants=proof.tenants,
        funds=proof.funds,
        chains=proof.chains,
        events=proof.events,
        erased=proof.erased,
        problems=(*problems, *proof.problems),
        candles=tuple(candles),
    )


async def _prove(
    urls: DatabaseUrls, seal: Seal, unpacked: Unpacked, erasures: Sequence[ErasureEntry], files: Path
) -> RestoreProof:
    problems = await gate.findings(urls.app)
    async with _opened(urls, seal) as database:
        erased = await replay_beside(database, seal, erasures, files)
        looked = await look(database, unpacked.content, unpacked.created_at)
    return RestoreProof(
        0, looked.tenants, looked.funds, looked.chains, looked.events, erased, (*problems, *looked.problems)
    )


async def _calm(urls: DatabaseUrls, seal: Seal, backup: BackupFile) -> None:
    """Orders that were sent since are unknown to this database: nothing trades before somebody has looked."""
    reason = f"restored from the backup of {backup.created_at:%Y-%m-%d %H:%M} UTC: compare orders and positions first"
    async with _opened(urls, seal) as database:
        await Halts(database=database, clock=SystemClock()).halt(HaltScope.PLATFORM, reason=reason, actor=_ACTOR)


@contextlib.asynccontextmanager
async def _opened(urls: DatabaseUrls, seal: Seal) -> AsyncGenerator[PostgresDatabase]:
    database = await PostgresDatabase.open(urls.app, platform_url=urls.platform, seal=seal)
    try:
        yield database
    finally:
        await database.close()


def _admin(urls: DatabaseUrls) -> str:
    assert urls.admin is not None
    return urls.admin


def _clear(server: EmbeddedPostgres, folder: Path) -> None:
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)
