"""An export of a million rows: what it adds to the memory, and its speed against COPY through the same compression.

The export is the whole use case as the daemon's job runs it: every table of a tenant that holds ROWS ledger lines,
the manifest, the digests, the file. COPY is what a script could do at best: one table, ``row_to_json``, through zlib of
the same level into a file. Both in processes of their own, in turn, on a server that lies idle otherwise.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import psutil
import psycopg

from alphapulse.adapters.database import migrations
from alphapulse.adapters.database.embedded import EmbeddedPostgres
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.queue.procrastinate import ProcrastinateQueue
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.clock import SystemClock
from alphapulse.sealing import KEY_LENGTH, Seal
from alphapulse.tenancy.archive import LEVEL
from alphapulse.tenancy.exports import Exports
from tests.benchmarks.figures import Figure, at_least, at_most

ROWS = 1_000_000
ROUNDS = 3
_TENANT = UUID(int=7)
_FUND = UUID(int=8)
_MB = 1_000_000
_BLOCK = 262_144
_FILL = """
    INSERT INTO app.ledger (tenant_id, entry_id, line, fund_id, kind, account, asset, amount, at, recorded_at)
    SELECT %(tenant)s, gen_random_uuid(), 1, %(fund)s, 'fill', 'cash', 'USDT', round((random() * 1e6)::numeric, 8),
        timestamptz '2026-01-01' + n * interval '1 second', now()
    FROM generate_series(1, %(rows)s) AS n
"""


def run() -> list[Figure]:
    """The figures of this benchmark; starts and stops a server of its own."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-bench-") as directory:
        postgres = EmbeddedPostgres(Path(directory) / "postgres", durable=False)
        try:
            urls = postgres.start()
            migrations.upgrade(urls)
            assert urls.admin is not None
            _fill(urls.admin)
            rounds = [
                {kind: _child(kind, urls.app, urls.admin, Path(directory)) for kind in ("copy", "export")}
                for _ in range(ROUNDS)
            ]
        finally:
            postgres.stop()
    return _figures(rounds)


def _figures(rounds: list[dict[str, Any]]) -> list[Figure]:
    times = {kind: median(each[kind]["seconds"] for each in rounds) for kind in ("copy", "export")}
    grown = max(each["export"]["grown_mb"] for each in rounds)
    return [
        at_most("export: growth of resident memory over 1,000,000 rows", grown, 64, "MB", rows=ROWS),
        at_least(
            "export: speed against COPY of row_to_json through the same compression",
            times["copy"] / times["export"],
            0.5,
            "x",
            rows=ROWS,
            copy_seconds=round(times["copy"], 2),
            export_seconds=round(times["export"], 2),
            zip_mb=round(rounds[0]["export"]["bytes"] / _MB, 1),
        ),
    ]


def _fill(admin: str) -> None:
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO app.tenants (id, slug, name, tier, state, created_at)"
            " VALUES (%s, 'acme', 'Acme', 'enterprise', 'active', now())",
            [_TENANT],
        )
        connection.execute(
            "INSERT INTO app.funds (tenant_id, id, name, mode, state, capital, config_version, timeframe, created_at)"
            " VALUES (%s, %s, 'momentum', 'paper', 'created', 1, 1, '1h', now())",
            [_TENANT, _FUND],
        )
        connection.execute(_FILL, {"tenant": _TENANT, "fund": _FUND, "rows": ROWS})
        connection.execute("VACUUM ANALYZE app.ledger")


def _child(kind: str, app: str, admin: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.export", kind, app, admin, str(folder)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _copy(admin: str, folder: Path) -> dict[str, float]:
    began = time.perf_counter()
    packer = zlib.compressobj(LEVEL)
    path = folder / "copy.z"
    statement = (
        "COPY (SELECT row_to_json(r) FROM (SELECT * FROM app.ledger) AS r)"
        " TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
    )
    with psycopg.connect(admin) as connection, connection.cursor().copy(statement) as rows, path.open("wb") as file:
        block = bytearray()
        for row in rows:
            block += row
            if len(block) >= _BLOCK:
                file.write(packer.compress(bytes(block)))
                block.clear()
        file.write(packer.compress(bytes(block)) + packer.flush())
    return {"seconds": time.perf_counter() - began}


async def _export(app: str, folder: Path) -> dict[str, float]:
    database = await PostgresDatabase.open(app, seal=Seal(bytes(KEY_LENGTH)))
    exports = Exports(
        database=database,
        snapshots=database,
        queue=ProcrastinateQueue(app, database=database, telemetry=NoTelemetry()),
        clock=SystemClock(),
        seal=Seal(bytes(KEY_LENGTH)),
        directory=folder / "exports",
        public_url="http://127.0.0.1:8470",
    )
    process = psutil.Process()
    try:
        export = await exports.request(_TENANT, user_id=uuid4(), actor="bench")
        before = process.memory_info().rss
        peak = before
        began = time.perf_counter()
        running = asyncio.create_task(exports.run(_TENANT, export.id))
        while not (await asyncio.wait({running}, timeout=0.05))[0]:
            peak = max(peak, process.memory_info().rss)
        await running
        taken = time.perf_counter() - began
        done = await exports.get(_TENANT, export.id)
    finally:
        await database.close()
    assert done.rows > ROWS
    return {"seconds": taken, "grown_mb": (peak - before) / _MB, "bytes": done.size}


def _main(kind: str, app: str, admin: str, folder: str) -> None:
    found = _copy(admin, Path(folder)) if kind == "copy" else asyncio.run(_export(app, Path(folder)))
    print(json.dumps(found))


if __name__ == "__main__":
    _main(*sys.argv[1:])
