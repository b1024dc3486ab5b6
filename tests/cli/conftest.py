"""The command line as a process of its own, with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alphapulse.cli.context import Context, Contexts, contexts_file, edit
from alphapulse.cli.demo import provision
from alphapulse.cli.funds import first_config
from alphapulse.cli.throwaway import throwaway
from alphapulse.domain.funds import FundMode, ReplayState
from tests.cli.scripted import ScriptedDaemon
from tests.rates import GENEROUS_ENVIRONMENT

ENTRY = "import sys; from alphapulse.cli.main import run; sys.argv[0] = 'alphapulse'; sys.exit(run())"


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


RunCli = Callable[..., Ended]


def plain_environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Nothing of the person's who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALPHAPULSE_", "XDG_"))}
    for name in ("CI", "NO_COLOR", "FORCE_COLOR"):
        kept.pop(name, None)
    return {**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "COLUMNS": "100", **(more or {})}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def cli(home: Path) -> RunCli:
    def run(*arguments: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Ended:
        return ended(home, arguments, stdin, env)

    return run


def ended(home: Path, arguments: Sequence[str], stdin: str, env: Mapping[str, str] | None) -> Ended:
    done = subprocess.run(
        [sys.executable, "-c", ENTRY, *arguments],
        env=plain_environment(home, env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def scripted() -> Iterator[ScriptedDaemon]:
    """A real HTTP server that gives the answers a test puts into it."""
    with ScriptedDaemon() as server:
        yield server


@dataclass(frozen=True, slots=True)
class Fleet:
    """A real daemon with tenant demo, its members, and a fund that replayed 120 bars; one context for each person."""

    home: Path
    url: str
    data: Path

    def run(self, person: str, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Ended:
        return ended(self.home, ["--context", person, *arguments], stdin, env)

    def json(self, person: str, *arguments: str) -> Any:
        done = self.run(person, *arguments, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    with tempfile.TemporaryDirectory(prefix="ap-cli-") as folder:
        home = Path(folder)
        with throwaway(plain_environment(home), GENEROUS_ENVIRONMENT) as daemon:
            admin = daemon.wait_until_up()
            people = provision(admin)
            named = {
                "platform": admin,
                **{
                    name: Context(admin.url, token=client.target.credential)
                    for name, client in (("owner", people.owner), ("trader", people.trader), ("viewer", people.viewer))
                },
            }
            edit(contexts_file(plain_environment(home)), lambda _: Contexts("trader", named))
            config = first_config("synthetic", "BTC/USDT,ETH/USDT,SOL/USDT,BNB/USDT", "4h", "trend,mean_reversion")
            people.trader.funds.create("demo", FundMode.PAPER, Decimal(100_000), config)
            replay = people.trader.funds.start_replay("demo", bars=120)
            deadline = time.monotonic() + 90
            while replay.state is ReplayState.RUNNING and time.monotonic() < deadline:
                replay = people.trader.funds.replay("demo", replay.id)
            assert replay.state is ReplayState.FINISHED, replay
            for client in (people.admin, people.owner, people.trader, people.viewer):
                client.close()
            yield Fleet(home, admin.url, daemon.data)
