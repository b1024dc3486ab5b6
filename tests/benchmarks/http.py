"""GET /portfolio with everything that belongs to it, against a bare FastAPI "hello" on the same uvicorn.

Everything: a JWT, the permission, row-level security, an audit row per request, twenty positions. Asked in turn.
The rate limits count each request and refuse none: 10,000,000 a minute (tests/rates.py).
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median

from alphapulse.client.api import Client
from alphapulse.client.connection import Target
from alphapulse.domain.funds import FundConfig, FundMode
from alphapulse.domain.market import Timeframe
from alphapulse.domain.orders import Side
from alphapulse.domain.risk import RiskLimits
from alphapulse.domain.tenancy import Role
from tests.benchmarks.figures import Figure, at_least, at_most
from tests.benchmarks.load import Load, load
from tests.benchmarks.served import Served, served
from tests.daemon.processes import member

ROUNDS = 5
SECONDS = 2.0
CONNECTIONS = 16
SYMBOLS = tuple(f"COIN{n:02}/USDT" for n in range(20))
PASSWORD = "benchmark-password-of-nobody"
HELLO = """
import sys

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


def run() -> list[Figure]:
    with served() as daemon, hello_server() as hello, tempfile.TemporaryDirectory() as folder:
        token = prepare(daemon, Path(folder))
        ours: list[Load] = []
        bare: list[Load] = []
        headers = {"Authorization": f"Bearer {token}"}
        for _ in range(ROUNDS + 1):
            bare.append(asyncio.run(load(hello, {}, connections=CONNECTIONS, seconds=SECONDS)))
            url = f"{daemon.url}/portfolio?fund=bench"
            ours.append(asyncio.run(load(url, headers, connections=CONNECTIONS, seconds=SECONDS)))
    # The first round of each warms up.
    rate, hello_rate = (median(found.rate for found in runs[1:]) for runs in (ours, bare))
    p99 = median(found.percentile(0.99) for found in ours[1:]) * 1000
    detail = {"requests_per_s": round(rate), "hello_per_s": round(hello_rate), "connections": CONNECTIONS}
    return [
        at_least("portfolio_rate", 100 * rate / hello_rate, 10, "% of hello", **detail),
        at_most("portfolio_p99", p99, 50, "ms", connections=CONNECTIONS),
    ]


def prepare(daemon: Served, folder: Path) -> str:
    """A tenant whose fund holds twenty positions; the token of its viewer."""
    platform = Client(Target(daemon.url, daemon.key))
    platform.tenants.provision("Bench", "enterprise", "admin@bench.example")
    for symbol in SYMBOLS:
        name = f"bench_{symbol.replace('/', '-')}_1h.csv"
        (folder / name).write_text(candles(), encoding="utf-8")
        platform.market.import_candles(folder / name)
    owner = member(platform, platform.people.invite_admin("bench"), PASSWORD)
    limits = RiskLimits(max_order_notional=Decimal(10_000))
    config = FundConfig("bench", Timeframe.H1, "USDT", SYMBOLS, (), limits)
    owner.funds.create("bench", FundMode.PAPER, Decimal(100_000), config)
    for symbol in SYMBOLS:
        owner.orders.place("bench", symbol, Side.BUY, Decimal(30), limit_price=None, idempotency_key=symbol)
    held = owner.portfolio.positions("bench")
    if len(held) != len(SYMBOLS):
        raise RuntimeError(f"holds {len(held)} positions instead of {len(SYMBOLS)}")
    return member(owner, owner.people.invite("viewer@bench.example", Role.VIEWER), PASSWORD).target.credential


def candles() -> str:
    """Two days of bars at 100 with ample volume."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = (start + timedelta(hours=n) for n in range(48))
    rows = (f"{at:%Y-%m-%dT%H:%M:%SZ},100,101,99,100,100000" for at in times)
    return "\n".join(["time,open,high,low,close,volume", *rows]) + "\n"


@contextmanager
def hello_server() -> Generator[str]:
    """The bare application's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", HELLO, str(port)])
    try:
        deadline = time.monotonic() + 20
        while not answers(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("the bare server did not start")
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(10)


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
