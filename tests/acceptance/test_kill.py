"""kill -9 of the daemon at twenty random instants of a replay changes nothing of what comes out of it."""

from __future__ import annotations

import os
import random
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest

from alphapulse.adapters.database.embedded import EmbeddedPostgres
from alphapulse.cli.funds import first_config
from alphapulse.client.api import Client
from alphapulse.client.connection import Target
from alphapulse.domain.funds import FundMode, ReplayState
from tests.daemon.processes import Daemon, daemon
from tests.daemon.waiting import eventually_now

KILLS = 20
BARS = 300
#: Share of the kills that fall into a start, and how long one takes at most.
IN_START = 0.25
START_S = 1.5
END = datetime(2026, 10, 1, tzinfo=UTC)
SYMBOLS = "BTC/USDT,ETH/USDT,SOL/USDT"
#: Everything a fund leaves behind, without ids, which hang on the fund's own, and without wall-clock times.
BOOKS = {
    "orders": "sequence, at, leg, symbol, side, type, quantity, limit_price, status, filled_quantity, average_price,"
    " reason, checks",
    "fills": "at, symbol, side, price, quantity, fee, fee_asset",
    "ledger": "nullif(kind, 'capital') AS kind, CASE WHEN kind <> 'capital' THEN at END, account, asset, amount, line",
    "order_events": "at, sequence, event, status_before, status_after, detail",
    "decisions": "at, state, config_version, detail ->> 'equity', detail ->> 'reason'",
    "equity": "at, equity, cash, benchmark",
    "balances": "asset, amount",
    "positions": "symbol, quantity, cost, realised, fees",
}


@pytest.mark.timeout(300)
def test_twenty_kills_end_with_the_same_orders_fills_and_ledger_as_an_undisturbed_run() -> None:
    seed = int(os.environ.get("KILL_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
    print(f"seed: {seed} (repeat with KILL_SEED={seed})")
    with daemon() as killed:
        url = killed.start()
        undisturbed = begin(killed, url, "undisturbed")
        eventually_now(lambda: finished(killed, url, "undisturbed"), within_s=120)
        disturbed = begin(killed, url, "disturbed")
        done = disturb(killed, random.Random(seed))
        print(f"bars done at each kill: {done}")
        url = killed.start()
        eventually_now(lambda: finished(killed, url, "disturbed"), within_s=120)
        assert len(set(done)) > KILLS // 3, "too few kills fell into the replay"
        left, right = books(killed, disturbed), books(killed, undisturbed)
        for table in BOOKS:
            assert left[table] == right[table], table
            assert left[table], f"{table} holds nothing to compare"
        with Client(Target(url, killed.key, "disturbed")) as client:
            assert list(client.portfolio.verify("fund")) == []


def begin(killed: Daemon, url: str, slug: str) -> UUID:
    """A tenant with a fund that replays; the fund's id."""
    with Client(Target(url, killed.key)) as platform:
        platform.tenants.provision(slug, "enterprise", f"admin@{slug}.example", slug=slug)
    with Client(Target(url, killed.key, slug)) as client:
        client.support.open(reason="sets up the fund", ticket="KILL-1", minutes=60)
        config = first_config("synthetic", SYMBOLS, "4h", "trend,mean_reversion")
        fund = client.funds.create("fund", FundMode.PAPER, Decimal(100_000), config)
        replay = client.funds.start_replay("fund", end_at=END, bars=BARS)
    (killed.folder / slug).write_text(str(replay.id))
    return fund.id


def finished(killed: Daemon, url: str, slug: str) -> bool:
    with Client(Target(url, killed.key, slug)) as client:
        replay = client.funds.replay("fund", UUID((killed.folder / slug).read_text()))
    assert replay.state is not ReplayState.FAILED, replay.error
    return replay.state is ReplayState.FINISHED


def disturb(killed: Daemon, chance: random.Random) -> list[int]:
    """Kill the daemon KILLS times; how many bars were done each time.

    One in four falls anywhere into a start, the others a moment after a random bar that lies ahead.
    """
    done = [0]
    with database_of(killed) as connection:
        for left in range(KILLS, 0, -1):
            patience = chance.uniform(0, 0.2)
            if chance.random() < IN_START:
                patience = chance.uniform(0, START_S)
            else:
                bar = min(BARS, done[-1] + 1 + chance.randrange(1 + 2 * (BARS - done[-1]) // (left + 1)))
                eventually_now(partial(has_done, connection, bar), within_s=60, every_s=0.002)
            # A random time is waited for by waiting for the process to end, which it must not by itself.
            with suppress(subprocess.TimeoutExpired):
                killed.process.wait(patience)
                raise AssertionError(f"the daemon ended by itself: {killed.process.communicate()[1]}")
            killed.kill()
            done.append(bars_done(connection))
            killed.spawn()
        killed.kill()
    return done[1:]


def database_of(killed: Daemon) -> psycopg.Connection:
    """The embedded database, which outlives its daemon, as its superuser."""
    urls = EmbeddedPostgres(killed.data / "postgres").running()
    assert urls is not None
    return psycopg.connect(urls.admin or "", autocommit=True)


def bars_done(connection: psycopg.Connection) -> int:
    """Equity points of the disturbed fund: one per bar."""
    row = connection.execute(
        "SELECT count(*) FROM app.equity e JOIN app.tenants t ON t.id = e.tenant_id WHERE t.slug = 'disturbed'"
    ).fetchone()
    return 0 if row is None else int(row[0])


def has_done(connection: psycopg.Connection, bar: int) -> bool:
    return bars_done(connection) >= bar


def books(killed: Daemon, fund: UUID) -> dict[str, list[tuple[Any, ...]]]:
    of_fund = dict.fromkeys(BOOKS, "fund_id = %s")
    of_fund["order_events"] = "order_id IN (SELECT id FROM app.orders WHERE fund_id = %s)"
    with database_of(killed) as connection:
        return {
            table: sorted(
                connection.execute(f"SELECT {columns} FROM app.{table} WHERE {of_fund[table]}", [fund]).fetchall(),  # pyright: ignore[reportArgumentType, reportCallIssue] -- the test's own text
                key=repr,
            )
            for table, columns in BOOKS.items()
        }
