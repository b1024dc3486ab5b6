"""What a backup costs beside a bare pg_dump of the same rows, and how much memory it takes."""

from __future__ import annotations

import resource
import subprocess
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg

from alphapulse.adapters.database import binaries, migrations
from alphapulse.adapters.database.dump import PostgresDump
from alphapulse.adapters.database.embedded import EmbeddedPostgres
from alphapulse.backup.service import Backups, list_backups, verify
from alphapulse.clock import SystemClock
from alphapulse.domain.backups import Retention
from alphapulse.sealing import KEY_LENGTH, Seal
from tests.benchmarks.figures import Figure, at_most, interleaved

ROWS = 1_000_000
ROUNDS = 3
SEAL = Seal(bytes(KEY_LENGTH))


def run() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = EmbeddedPostgres(folder / "postgres", durable=False)
        try:
            urls = server.start()
            migrations.upgrade(urls)
            assert urls.admin is not None
            fill(urls.admin)
            return measured(folder, urls.admin)
        finally:
            server.stop()


def measured(folder: Path, url: str) -> list[Figure]:
    backups = Backups(
        directory=folder / "backups",
        seal=SEAL,
        dump=PostgresDump(url),
        kept=[],
        clock=SystemClock(),
        retention=Retention(keep=timedelta(0), keep_least=1),
    )
    before = peak()
    made = backups.make()
    grown = (peak() - before) / 1024
    ours, bare, reading = interleaved(
        ROUNDS, making(backups), dumping(url, folder), lambda: verify(newest(backups), SEAL)
    )
    megabytes = made.size / 1e6
    return [
        at_most(
            "a backup, read back and proved, over a bare pg_dump of the same rows",
            ours / bare,
            2.0,
            "x",
            backup_s=round(ours, 2),
            pg_dump_s=round(bare, 2),
            rows=ROWS,
            megabytes=round(megabytes, 1),
        ),
        at_most("memory that a backup of them takes", grown, 64, "MiB", megabytes=round(megabytes, 1)),
        at_most("reading a backup from end to end", reading, bare, "s", megabytes_per_s=round(megabytes / reading)),
    ]


def making(backups: Backups) -> Callable[[], object]:
    def make() -> None:
        backups.make()
        backups.tidy()

    return make


def newest(backups: Backups) -> Path:
    return Path(list_backups(backups.directory)[0].file)


def dumping(url: str, folder: Path) -> Callable[[], object]:
    program = binaries.clients(18) / "pg_dump"
    command = [program, "--format=custom", "--compress=gzip:1", "--schema=app", "--schema=audit", "--schema=queue"]

    def dump() -> None:
        with (folder / "bare").open("wb") as file:
            subprocess.run([*command, f"--dbname={url}"], stdout=file, check=True)

    return dump


def fill(url: str) -> None:
    """Rows that do not compress well, as hashes and sealed values do not."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO app.login_failures (subject, failures, last_at)"
            " SELECT sha256(number::text::bytea), number %% 7, now() FROM generate_series(1, %s) AS number",
            [ROWS],
        )


def peak() -> int:
    """KiB of this process at its largest so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
