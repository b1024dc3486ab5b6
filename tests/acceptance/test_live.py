"""Paper trading on a live venue's candles: a real daemon, and a server that answers as Binance does."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.cli.context import Context
from alphapulse.cli.funds import first_config
from alphapulse.client.api import Client
from alphapulse.clock import SystemClock
from alphapulse.domain.decisions import Decision
from alphapulse.domain.funds import FundMode
from alphapulse.domain.market import Series, Timeframe
from alphapulse.domain.money import book
from alphapulse.domain.orders import OrderStatus
from alphapulse.quant.window import Window, to_price
from tests.candles import random_walk, window_of
from tests.cli.test_demo import KEYS, Playground
from tests.daemon.processes import daemon
from tests.daemon.waiting import eventually_now
from tests.fakes.public_api import PublicApi, in_background

PASSWORD = "correct horse battery"
MINUTE = timedelta(minutes=1)
SYMBOL = "BTC/USDT"
#: Bars before the present, more than any agent looks back; and bars that are still to come.
PAST, COMING = 1500, 30


def rising(timeframe: Timeframe, now: datetime, *, first: float = 60_000.0, seed: int = 1) -> Window:
    """A market that climbs, restlessly, from long before ``now`` until well after it."""
    bars = PAST + COMING
    closes = random_walk(bars, seed=seed, volatility=0.0005, start=first) * np.exp(0.0004 * np.arange(bars))
    return window_of(closes, timeframe=timeframe, start=timeframe.floor(now) - PAST * timeframe.length)


def close_at(window: Window, at: datetime) -> Decimal:
    """The close of the bar that ended at ``at``."""
    found = window.until(at)
    assert found.closed_at(-1) == at
    return book(to_price(found.close[-1]))


def broken() -> web.StreamResponse:
    return web.Response(status=500, text="the kitchen is on fire")


def settings(api: PublicApi, **more: str) -> dict[str, str]:
    return {
        "ALPHAPULSE_MARKET__SOURCES": '{"binance": "ccxt"}',
        "ALPHAPULSE_MARKET__SOURCE_URLS": json.dumps({"binance": api.url}),
        "ALPHAPULSE_MARKET__TIMEOUT": "1",
        **more,
    }


def decisions(client: Client, fund: str) -> list[Decision]:
    """Oldest first."""
    return list(reversed(client.portfolio.decisions(fund, limit=10).items))


def test_a_fund_on_a_live_venue_decides_on_closed_bars_and_comes_back_from_a_venue_that_fails(
    urls: DatabaseUrls,
) -> None:
    now = SystemClock().now()
    # The settle delay is such that the schedule fires seven seconds from now, whatever the second of the minute.
    due = now + timedelta(seconds=7)
    newest = Timeframe.M1.floor(due)
    settle = max(1, int((due - newest).total_seconds()))
    market = rising(Timeframe.M1, now)
    with in_background(PublicApi(market, clock=SystemClock())) as api:
        more = {"ALPHAPULSE_SETTLE_DELAY": str(settle)}
        with daemon(urls, settings(api, **more)) as served:
            url = served.start()
            with Client(Context(url, api_key=served.key).target()) as platform:
                platform.tenants.provision("Acme", "enterprise", "ann@acme.example")
            with Client(Context(url, api_key=served.key, tenant="acme").target()) as client:
                follow(client, api, market, newest)


def follow(client: Client, api: PublicApi, market: Window, newest: datetime) -> None:
    """newest: close of the bar for which the schedule fires in a moment."""
    client.support.open(reason="sets up the fund", ticket="LIVE-1", minutes=30)
    config = first_config("binance", SYMBOL, "1m", "trend")
    client.funds.create("steady", FundMode.PAPER, Decimal(100_000), config)
    client.funds.start("steady")
    # The venue has not published the bar before, and then fails.
    api.late_after = newest - 2 * MINUTE
    client.market.candles(Series("binance", SYMBOL, Timeframe.M1), until=newest - 2 * MINUTE, limit=1000)
    api.answer = broken
    client.jobs.run("cycle-1m")
    eventually_now(lambda: decisions(client, "steady"))
    blind = decisions(client, "steady")[0]
    assert blind.at in {newest - MINUTE, newest}
    assert blind.orders == ()
    (view,) = blind.symbols
    assert "no candle closed at" in view.problem
    assert "binance did not answer" in view.problem
    # It recovers, and the schedule's own firing trades the bar that closed.
    api.answer, api.late_after = None, None
    eventually_now(lambda: decisions(client, "steady")[-1].orders, within_s=90, every_s=0.1)
    traded = decisions(client, "steady")[-1]
    assert traded.at > blind.at
    price = close_at(market, traded.at)
    (view,) = traded.symbols
    assert (view.problem, view.price) == ("", price)
    assert [planned.verdict.approved for planned in traded.orders] == [True]
    eventually_now(lambda: client.portfolio.fills("steady").items)
    (order,) = client.orders.list("steady").items
    assert order.status is OrderStatus.FILLED
    fills = client.portfolio.fills("steady").items
    assert sum(fill.quantity for fill in fills) == order.request.quantity
    assert all(abs(fill.price / price - 1) < Decimal("0.01") for fill in fills)
    # Neither of the two bars that formed meanwhile was kept.
    kept = client.market.candles(Series("binance", SYMBOL, Timeframe.M1), limit=5).items
    assert [bar.close for bar in kept] == [close_at(market, bar.open_at + MINUTE) for bar in kept]
    silent(client, api)


def silent(client: Client, api: PublicApi) -> None:
    """A venue that takes the request and never answers costs the timeout and no more."""
    five = Timeframe.M5
    closed = five.floor(SystemClock().now())
    client.funds.create("patient", FundMode.PAPER, Decimal(100_000), first_config("binance", SYMBOL, "5m", "trend"))
    client.funds.start("patient")
    api.late_after = closed - five.length
    client.market.candles(Series("binance", SYMBOL, five), until=api.late_after, limit=250)
    api.late_after, api.stall = None, True
    (view,) = client.portfolio.plan("patient").symbols
    assert "binance did not answer" in view.problem
    api.stall = False
    eventually_now(lambda: client.portfolio.plan("patient").symbols[0].problem == "", every_s=0.1)


@pytest.fixture
def playground(tmp_path: Path) -> Iterator[Playground]:
    with tempfile.TemporaryDirectory(prefix="ap-") as folder:
        Path(folder).chmod(0o755)
        yield Playground(tmp_path, Path(folder))


def play(playground: Playground, url: str) -> tuple[int, str, str]:
    playground.more["ALPHAPULSE_MARKET__SOURCE_URLS"] = json.dumps({"binance": url})
    ended = playground.play("--live", "binance", "--json", "--bars", "30", "--timeframe", "1h")
    return ended.code, ended.out, ended.err


def test_the_demo_replays_the_last_bars_of_a_live_venue(playground: Playground) -> None:
    now = SystemClock().now()
    coins = {
        coin: rising(Timeframe.H1, now, first=100.0 * seed, seed=seed)
        for seed, coin in enumerate(("ETH", "SOL", "BNB"), 2)
    }
    with in_background(PublicApi(rising(Timeframe.H1, now), coins, clock=SystemClock())) as api:
        code, out, err = play(playground, api.url)
    assert code == 0, err
    found = json.loads(out)
    assert [key for key in KEYS if key not in found] == []
    assert (found["venue"], found["source"], found["synthetic"], found["bars"]) == ("binance", "binance", False, 30)
    assert found["symbols"] == ["BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT"]
    assert found["orders"] > 0
    assert found["fills"] > 0
    assert found["ledger_balanced"] is True
    assert playground.leftovers() == []


def test_the_demo_says_that_a_live_venue_cannot_be_reached(playground: Playground) -> None:
    with in_background(PublicApi(rising(Timeframe.H1, SystemClock().now()))) as api:
        gone = api.url
    code, out, err = play(playground, gone)
    assert (code, out) == (9, "")
    assert "binance did not answer" in json.loads(err.splitlines()[-1])["error"]["message"]
    assert playground.leftovers() == []
