"""The audit log's price: chained appends against bare inserts, and what its row adds to a request.

Appends: eight writers on one tenant, each waiting until its row is committed, through the recorder that the daemon
uses; against the same eight writers inserting the same rows into a table of the same shape without a chain, one
transaction each. Both on a server that flushes every commit to the disk.

Request: GET /portfolio from a daemon, and from the same API without its trail, on the same database, in turn. The
price is the share of a request's time (the inverse of the rate at 16 connections) that the trail takes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from uuid import UUID, uuid4

import psycopg

from alphapulse.adapters.database import migrations
from alphapulse.adapters.database.embedded import EmbeddedPostgres
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.audit import chain
from alphapulse.audit.recorder import Recorder
from alphapulse.domain.audit import AuditEvent
from alphapulse.sealing import KEY_LENGTH, Seal
from tests.benchmarks.figures import Figure, at_least, at_most
from tests.benchmarks.http import answers, prepare
from tests.benchmarks.load import load
from tests.benchmarks.served import Served, served
from tests.rates import GENEROUS_ENVIRONMENT

WRITERS = 8
ROWS = 250
ROUNDS = 5
SECONDS = 2.0
_TENANT = UUID(int=1)
_BARE = """
CREATE SCHEMA plain;
CREATE TABLE plain.audit_events (LIKE app.audit_events INCLUDING ALL);
GRANT USAGE ON SCHEMA plain TO ap_app;
GRANT INSERT ON plain.audit_events TO ap_app
"""
_INSERT = (
    "INSERT INTO plain.audit_events (tenant_id, sequence, month, kind, actor, action, path, status, outcome,"
    " request_id, address, duration_ms, subject, changes, reason, support, count, at, previous_hash, hash)"
    " VALUES (%(tenant_id)s, %(sequence)s, '2026-03-01', %(kind)s, %(actor)s, %(action)s, %(path)s, %(status)s,"
    " %(outcome)s, %(request_id)s, %(address)s, %(duration_ms)s, '', '', '', '', 1, %(at)s, %(hash)s, %(hash)s)"
)


def run() -> list[Figure]:
    """The figures of this benchmark; starts and stops a server of its own."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-bench-") as directory:
        postgres = EmbeddedPostgres(Path(directory) / "postgres")
        try:
            urls = postgres.start()
            migrations.upgrade(urls)
            figures = asyncio.run(_appends(urls))
        finally:
            postgres.stop()
    return [*figures, _request()]


def _request() -> Figure:
    with served() as daemon, tempfile.TemporaryDirectory() as folder:
        headers = {"Authorization": f"Bearer {prepare(daemon, Path(folder))}"}
        rates: dict[str, list[float]] = {"audited": [], "bare": []}
        with _untrailed(daemon) as bare:
            for _ in range(ROUNDS + 1):
                for name, url in (("bare", bare), ("audited", daemon.url)):
                    found = asyncio.run(load(f"{url}/portfolio?fund=bench", headers, connections=16, seconds=SECONDS))
                    rates[name].append(found.rate)
    audited, bare_rate = (median(rates[name][1:]) for name in ("audited", "bare"))
    share = 100 * (1 - audited / bare_rate)
    return at_most("audit_request_share", share, 25, "%", audited_per_s=round(audited), bare_per_s=round(bare_rate))


@contextmanager
def _untrailed(daemon: Served) -> Generator[str]:
    """The address of the API without a trail, on the daemon's data."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ALPHAPULSE_")}
    command = [sys.executable, "-m", "tests.benchmarks._untrailed", str(daemon.data), str(port)]
    process = subprocess.Popen(command, env={**clean, **GENEROUS_ENVIRONMENT})
    try:
        deadline = time.monotonic() + 30
        while not answers(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("the API without a trail did not start")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


async def _appends(urls: DatabaseUrls) -> list[Figure]:
    assert urls.admin is not None
    with psycopg.connect(urls.admin, autocommit=True) as admin:
        for statement in _BARE.split(";\n"):
            admin.execute(statement.encode())
    database = await PostgresDatabase.open(urls.app, pool_size=WRITERS + 1, seal=Seal(bytes(KEY_LENGTH)))
    recorder = Recorder(database)
    running = asyncio.create_task(recorder.run())
    person = uuid4()
    chained: list[float] = []
    bare: list[float] = []
    sealed = "{sealed:" + "0" * 32 + ":" + "a" * 64 + "}"
    for number in range(ROUNDS + 1):

        async def append(row: int) -> None:
            await recorder.record(_event(row), person=person)

        async def insert(row: int, round_: int = number) -> None:
            event = replace(_event(row), actor=sealed, address=sealed)
            async with database.transaction(_TENANT) as tx:
                await tx.run(_INSERT, _row(event, round_ * WRITERS * ROWS + row))

        chained.append(await _rate(append))
        bare.append(await _rate(insert))
    async with database.transaction(_TENANT) as tx:
        verdict = await chain.verify(tx)
    await recorder.close()
    await running
    await database.close()
    ours, theirs = median(chained[1:]), median(bare[1:])  # the first round of each warms up
    rows = (ROUNDS + 1) * WRITERS * ROWS
    forks = 0 if verdict.broken_at is None and verdict.length == rows else 1
    return [
        at_least("audit_appends", ours / theirs, 0.7, "x bare", chained_per_s=round(ours), bare_per_s=round(theirs)),
        at_most("audit_forks", forks, 0, "forks", rows=verdict.length, writers=WRITERS, problem=verdict.problem),
    ]


async def _rate(write: object) -> float:
    """Rows per second of eight writers that each write theirs one after the other."""

    async def writer(which: int) -> None:
        for number in range(ROWS):
            await write(which * ROWS + number)  # type: ignore[operator]

    began = time.perf_counter()
    await asyncio.gather(*(writer(which) for which in range(WRITERS)))
    return WRITERS * ROWS / (time.perf_counter() - began)


def _event(row: int) -> AuditEvent:
    return AuditEvent(
        tenant_id=_TENANT,
        actor="trader@acme.example",
        action="portfolio.show",
        path="GET /portfolio",
        status=200,
        outcome="ok",
        request_id=f"{row:032x}",
        at=datetime(2026, 3, 1, tzinfo=UTC),
        address="198.51.100.7",
        duration_ms=3,
    )


def _row(event: AuditEvent, sequence: int) -> dict[str, object]:
    return {
        "tenant_id": event.tenant_id,
        "sequence": sequence,
        "kind": event.kind.value,
        "actor": event.actor,
        "action": event.action,
        "path": event.path,
        "status": event.status,
        "outcome": event.outcome,
        "request_id": event.request_id,
        "address": event.address,
        "duration_ms": event.duration_ms,
        "at": event.at,
        "hash": bytes(32),
    }
