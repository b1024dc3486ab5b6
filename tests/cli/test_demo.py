"""`alphapulse demo`, whole: a daemon, a database and a replay in a process of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from alphapulse.cli import process
from alphapulse.cli.context import contexts_file, load
from alphapulse.client.api import Client
from tests.cli.conftest import Ended, RunCli, plain_environment

pytestmark = pytest.mark.timeout(300)

KEYS = (
    "bars",
    "decisions",
    "orders",
    "fills",
    "denied",
    "fees",
    "total_return",
    "benchmark_return",
    "max_drawdown",
    "sharpe",
    "equity_start",
    "equity_end",
    "ledger_balanced",
    "symbols",
    "agents",
    "wall_s",
)
_ENTRY = "from alphapulse.cli.main import run; import sys; sys.exit(run())"


@dataclass(frozen=True, slots=True)
class Playground:
    """A demo whose temporary folders lie under ``folder``. more: variables of its environment."""

    home: Path
    folder: Path
    more: dict[str, str] = field(default_factory=dict[str, str])

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = plain_environment(self.home, {"TMPDIR": str(self.folder), **self.more})
        return subprocess.Popen(
            [sys.executable, "-c", _ENTRY, "demo", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def play(self, *arguments: str) -> Ended:
        started = self.start(*arguments)
        out, err = started.communicate(timeout=240)
        return Ended(started.returncode, out, err)

    def leftovers(self) -> list[str]:
        """Files and processes that are still there."""
        found = [str(item) for item in self.folder.iterdir()]
        for running in psutil.process_iter(["cmdline"]):
            try:
                below = str(self.folder) in " ".join(running.info["cmdline"] or ()) or running.cwd().startswith(
                    str(self.folder)
                )
            except psutil.Error:
                continue
            if below and running.pid != os.getpid():
                found.append(f"process {running.pid}: {running.info['cmdline']}")
        return found


@pytest.fixture
def playground(tmp_path: Path) -> Iterator[Playground]:
    # As root the database runs as another user, who cannot reach its socket below pytest's private folders.
    with tempfile.TemporaryDirectory(prefix="ap-") as folder:
        Path(folder).chmod(0o755)
        yield Playground(tmp_path, Path(folder))


def test_the_demo_ends_with_a_balanced_ledger_and_leaves_nothing_behind(playground: Playground) -> None:
    ended = playground.play("--bars", "120", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert [key for key in KEYS if key not in found] == []
    assert (found["bars"], found["decisions"], found["ledger_balanced"]) == (120, 120, True)
    assert found["orders"] >= found["fills"] > 0
    assert Decimal(found["equity_start"]) == 100_000
    assert found["agents"] == ["trend", "mean_reversion"]
    assert playground.leftovers() == []


def test_without_a_terminal_the_report_has_no_bar_and_no_colour(playground: Playground) -> None:
    ended = playground.play("--bars", "12")
    assert ended.code == 0
    assert "\x1b" not in ended.out + ended.err
    assert [line for line in ended.out.splitlines() if line.endswith(" ")] == []
    assert re.search(r"Sharpe +- +fills", ended.out), "twelve bars say nothing about risk"
    for part in ("SYNTHETIC", "just holding", "max drawdown", "Sharpe", "fees", "Last decisions", "Try next"):
        assert part in ended.out, part
    assert len([line for line in ended.out.splitlines() if line.startswith("  alphapulse ")]) == 3


def write_candles(file: Path, first: float) -> Path:
    """200 bars of 4 hours that climb by a thousandth each, with a wave on top."""
    lines = ["open_time_ms,open,high,low,close,volume"]
    for i in range(200):
        close = first * (1 + i / 1000 + 0.02 * ((i % 20) - 10) / 10)
        row = (1_700_006_400_000 + i * 14_400_000, close, close * 1.001, close * 0.999, close, 1000)
        lines.append(",".join(str(round(cell, 4)) for cell in row))
    file.write_text("\n".join(lines) + "\n")
    return file


def test_the_demo_runs_on_the_users_own_candles(playground: Playground) -> None:
    files = [
        str(write_candles(playground.home / "kraken_BTC-USD_4h.csv", 40_000)),
        str(write_candles(playground.home / "kraken_ETH-USD_4h.csv", 2_000)),
    ]
    ended = playground.play("--bars", "20", "--json", "--candles", *files)
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert (found["venue"], found["symbols"], found["synthetic"]) == ("kraken", ["BTC/USD", "ETH/USD"], False)
    assert (found["bars"], found["ledger_balanced"]) == (20, True)


def test_more_bars_than_the_file_has_are_clipped_and_it_is_said(playground: Playground) -> None:
    ended = playground.play(
        "--bars", "500", "--candles", str(write_candles(playground.home / "kraken_X-USD_4h.csv", 5))
    )
    assert ended.code == 0, ended.err
    assert "There are 200 bars, not 500: replaying from 2023-11-15 04:00Z on." in ended.err
    found = re.search(r"return of holding +\+(\S+) %", ended.out)
    assert found, ended.out
    assert float(found[1]) == pytest.approx((1.199 + 0.018) / 0.98 * 100 - 100, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--timeframe", "3h"], "Use one of 1m, 5m, 15m, 30m, 1h, 4h, 1d."),
        (["--candles", "FOLDER/bad.csv"], "for example binance_BTC-USDT_4h.csv"),
        (["--candles", "FOLDER/kraken_BTC-USD_4h.csv"], "is empty"),
        (["--candles", "FOLDER"], "a directory, not a file"),
        (["--live", "Binance!"], "is not a venue name"),
    ],
    ids=lambda value: value[1] if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused_before_anything_is_started(
    cli: RunCli, tmp_path: Path, arguments: list[str], said: str
) -> None:
    for name in ("bad.csv", "kraken_BTC-USD_4h.csv"):
        (tmp_path / name).touch()
    ended = cli("demo", *(argument.replace("FOLDER", str(tmp_path)) for argument in arguments))
    assert ended.code == 2
    assert said in ended.err
    assert "Starting" not in ended.err


def test_a_corrupt_file_is_refused_with_its_line_and_everything_is_cleaned_up(playground: Playground) -> None:
    file = write_candles(playground.home / "kraken_BTC-USD_4h.csv", 40_000)
    lines = file.read_text().splitlines()
    lines[9] = lines[9].replace(",1000", ",0.1.2")
    file.write_text("\n".join(lines))
    ended = playground.play("--candles", str(file))
    assert (ended.code, ended.out) == (2, "")
    assert "kraken_BTC-USD_4h.csv" in ended.err
    assert "line 10" in ended.err
    assert playground.leftovers() == []


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_demo_leaves_nothing_behind(playground: Playground, sign: signal.Signals) -> None:
    started = playground.start("--bars", "5000")
    watchdog = threading.Timer(120, started.kill)
    watchdog.start()
    try:
        wait_for(lambda: bool(list(playground.folder.glob("*/data/daemon.json"))))
        started.send_signal(sign)
        started.communicate()
    finally:
        watchdog.cancel()
    assert started.returncode == 130
    assert playground.leftovers() == []


def test_a_kept_demo_can_be_looked_around_in_and_stopped(playground: Playground, cli: RunCli) -> None:
    ended = playground.play("--bars", "120", "--keep")
    assert ended.code == 0
    contexts = load(contexts_file(plain_environment(playground.home)))
    (data,) = playground.folder.glob("*/data")
    try:
        assert sorted(contexts.named) == ["demo", "demo-platform"]
        assert cli("--context", "demo", "orders", "explain", "last").code == 0
        assert cli("--context", "demo", "portfolio", "history").code == 0
        with Client(contexts.named["demo-platform"].target()) as client:
            assert [tenant.slug for tenant in client.tenants.list()] == ["demo"]
    finally:
        stopped = cli("daemon", "stop", "--data-directory", str(data))
    assert stopped.code == 0
    assert process.locked_by(data) is None
    assert f"Stop it with: alphapulse daemon stop --data-directory {data}\n" in ended.err
    said = re.search(r"^Then nothing is left after: (.+)$", ended.err, re.MULTILINE)
    assert said is not None
    first, second, last = said[1].split(" && ")
    for command in (first, second):
        assert cli(*command.removeprefix("alphapulse ").split()).code == 0
    subprocess.run(last.split(), check=True)
    assert load(contexts_file(plain_environment(playground.home))).named == {}
    wait_for(lambda: playground.leftovers() == [])


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = threading.Event()
    timer = threading.Timer(seconds, deadline.set)
    timer.start()
    try:
        while not condition():
            assert not deadline.wait(0.05), "it took too long"
    finally:
        timer.cancel()
