"""What a command costs before it does anything."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from alphapulse import __version__
from tests.cli.conftest import RunCli, plain_environment

HEAVY = {"httpx", "pydantic", "sqlalchemy", "fastapi", "ccxt", "textual", "stripe", "numpy", "asyncio", "websockets"}

_PROBE = """
import json, sys
from alphapulse.cli.main import run
sys.argv = ["alphapulse", *json.loads(sys.argv[1])]
code = run()
sys.stderr.write("\\nMODULES " + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
sys.exit(code)
"""


def loaded_by(home: Path, arguments: Sequence[str], **environment: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, json.dumps(arguments)],
        env=plain_environment(home, environment),
        capture_output=True,
        text=True,
        check=False,
    )
    return set(json.loads(done.stderr.rpartition("MODULES ")[2]))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["orders", "--help"], ["orders", "place", "--help"], ["demo", "--help"], ["nonsense"]]
)
def test_help_loads_nothing_heavy(home: Path, arguments: list[str]) -> None:
    assert loaded_by(home, arguments) & HEAVY == set()


def test_the_version_is_answered_without_typer(home: Path) -> None:
    assert loaded_by(home, ["--version"]) & (HEAVY | {"typer", "rich"}) == set()


def test_command_names_are_completed_without_typer(home: Path) -> None:
    assert loaded_by(home, ["orders", ""], _ALPHAPULSE_COMPLETE="1") & (HEAVY | {"typer", "rich"}) == set()


def test_a_command_without_a_table_loads_no_rich(home: Path) -> None:
    assert "rich" not in loaded_by(home, ["context", "list", "--json"])


def test_the_version_is_the_packages(cli: RunCli) -> None:
    assert cli("--version").out == f"alphapulse {__version__}\n"


def test_the_version_is_told_before_a_command_too(cli: RunCli) -> None:
    assert cli("--json", "--version").out == f"alphapulse {__version__}\n"
