"""What row-level security costs: 100,000 orders of 10 tenants, read with it and without it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from alphapulse.adapters.database import migrations
from alphapulse.adapters.database.embedded import EmbeddedPostgres
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from tests.benchmarks.figures import Figure, at_most

_TENANTS = [UUID(int=n) for n in range(1, 11)]
_ROUNDS = 5
#: Repetitions of each query within a round, on and off in turn.
_REPEATS = {"last page": 100, "aggregate": 20, "time range": 60, "join": 40}
_TINY_REPEATS = 400

#: Stores name the tenant themselves, so both sides do; {s} is the schema, with policies or without.
_QUERIES: dict[str, LiteralString] = {
    "last page": "SELECT id, symbol, side, quantity, status, at FROM {s}.orders"
    " WHERE tenant_id = %(tenant)s AND fund_id = %(fund)s ORDER BY at DESC LIMIT 20",
    "aggregate": "SELECT symbol, count(*) AS orders, sum(filled_quantity) AS filled FROM {s}.orders"
    " WHERE tenant_id = %(tenant)s GROUP BY symbol",
    "time range": "SELECT id, symbol, quantity FROM {s}.orders WHERE tenant_id = %(tenant)s AND fund_id = %(fund)s"
    " AND at >= '2026-02-01+00' AND at < '2026-02-02+00' ORDER BY at",
    "join": "SELECT o.id, o.symbol, f.price, f.quantity FROM {s}.orders o JOIN {s}.fills f"
    " ON f.tenant_id = o.tenant_id AND f.order_id = o.id WHERE o.tenant_id = %(tenant)s AND o.fund_id = %(fund)s"
    " AND o.at >= '2026-02-01+00' AND o.at < '2026-02-02+00'",
}

_FILL = """
INSERT INTO app.tenants (id, slug, name, tier, state, created_at)
    SELECT t, t::text, t::text, 'enterprise', 'active', now() FROM unnest(%(tenants)s::uuid[]) t;
INSERT INTO app.funds (tenant_id, id, name, mode, state, capital, config_version, timeframe, created_at)
    SELECT t, t, 'fund', 'paper', 'running', 1, 1, '1h', now() FROM unnest(%(tenants)s::uuid[]) t;
INSERT INTO app.orders (tenant_id, id, fund_id, sequence, client_order_id, leg, venue, symbol, side, type, quantity,
        timeframe, fingerprint, status, filled_quantity, reason, checks, at, recorded_at, updated_at)
    SELECT t, gen_random_uuid(), t, n, n::text, '', 'paper', 'S' || n %% 20, 'buy', 'market', 1.5, '1h',
        '', 'filled', 1.5, '', '[]', timestamptz '2026-01-01+00' + n * interval '10 minutes', now(), now()
    FROM unnest(%(tenants)s::uuid[]) WITH ORDINALITY AS x (t, k), generate_series(1, 10000) n;
INSERT INTO app.fills (tenant_id, order_id, venue_fill_id, fund_id, sequence, symbol, side, price, quantity, fee,
        fee_asset, at, recorded_at)
    SELECT tenant_id, id, '1', fund_id, client_order_id::bigint, symbol, side, 100, 1.5, 0.1, 'USDT', at, at
    FROM app.orders;
CREATE SCHEMA plain;
CREATE TABLE plain.orders (LIKE app.orders INCLUDING ALL);
CREATE TABLE plain.fills (LIKE app.fills INCLUDING ALL);
INSERT INTO plain.orders SELECT * FROM app.orders;
INSERT INTO plain.fills SELECT * FROM app.fills;
GRANT USAGE ON SCHEMA plain TO ap_app;
GRANT SELECT ON plain.orders, plain.fills TO ap_app
"""


def run() -> list[Figure]:
    """The figures of this benchmark; starts and stops a server of its own."""
    with tempfile.TemporaryDirectory(prefix="alphapulse-bench-") as directory:
        postgres = EmbeddedPostgres(Path(directory) / "postgres", durable=False)
        try:
            urls = postgres.start()
            migrations.upgrade(urls)
            _fill(urls)
            return asyncio.run(_measure(urls))
        finally:
            postgres.stop()


def _fill(urls: DatabaseUrls) -> None:
    assert urls.admin is not None
    with psycopg.connect(urls.admin, autocommit=True) as admin:
        for statement in _FILL.split(";\n"):
            admin.execute(statement.encode(), {"tenants": _TENANTS})
        for table in ("app.orders", "app.fills", "plain.orders", "plain.fills"):
            admin.execute(f"VACUUM ANALYZE {table}".encode())


async def _measure(urls: DatabaseUrls) -> list[Figure]:
    database = await PostgresDatabase.open(urls.app, pool_size=1)
    try:
        return [await _policies(database), await _binding(database)]
    finally:
        await database.close()


async def _policies(database: PostgresDatabase) -> Figure:
    overheads: dict[str, float] = {}
    for name, query in _QUERIES.items():
        times: dict[str, list[float]] = {"app": [], "plain": []}
        statements: dict[str, Any] = {schema: query.replace("{s}", schema) for schema in times}
        for round_ in range(-1, _ROUNDS):  # the first warms caches and prepares the statements
            spent: dict[str, list[float]] = {"app": [], "plain": []}
            for repeat in range(_REPEATS[name]):
                lap, place = divmod(repeat, len(_TENANTS))
                tenant = _TENANTS[place]
                # The second of a pair finds warm caches: each side is second as often as the other.
                for schema in ("app", "plain") if (lap + place) % 2 else ("plain", "app"):
                    async with database.transaction(tenant) as tx:
                        began = time.perf_counter()
                        rows = await tx.all(statements[schema], {"tenant": tenant, "fund": tenant})
                        spent[schema].append(time.perf_counter() - began)
                        assert rows
            if round_ >= 0:
                for schema, seconds in spent.items():
                    times[schema].append(median(seconds))
        overheads[name] = (median(times["app"]) / median(times["plain"]) - 1) * 100
    each = {name: f"{overhead:.2f} %" for name, overhead in overheads.items()}
    return at_most("rls_overhead", mean(overheads.values()), 5.0, "%", **each)


async def _binding(database: PostgresDatabase) -> Figure:
    times: dict[str, list[float]] = {"bound": [], "unbound": []}
    async with database.transaction(_TENANTS[0]) as tx:
        order = await tx.one("SELECT id FROM orders LIMIT 1")
    assert order is not None
    wanted = {"tenant": _TENANTS[0], "id": order["id"]}
    for round_ in range(-1, _ROUNDS):
        spent: dict[str, list[float]] = {"bound": [], "unbound": []}
        for repeat in range(_TINY_REPEATS):
            for kind in ("bound", "unbound") if repeat % 2 else ("unbound", "bound"):
                began = time.perf_counter()
                async with database.transaction(_TENANTS[0]) if kind == "bound" else database.shared() as tx:
                    await tx.one("SELECT symbol FROM plain.orders WHERE tenant_id = %(tenant)s AND id = %(id)s", wanted)
                spent[kind].append(time.perf_counter() - began)
        if round_ >= 0:
            for kind, seconds in spent.items():
                times[kind].append(median(seconds))
    value = (median(times["bound"]) / median(times["unbound"]) - 1) * 100
    each = {kind: f"{median(seconds) * 1e6:.0f} us" for kind, seconds in times.items()}
    return at_most("tenant_setting", value, 10.0, "%", **each)
