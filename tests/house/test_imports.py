"""Imports point down the house, every library has one home, and the light paths stay light."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from tests.house.sources import ROOT, Source, package, snippet

#: What a command must not have loaded before it knows that it needs it.
HEAVY = frozenset({"ccxt", "fastapi", "httpx", "numpy", "pydantic", "sqlalchemy", "stripe", "textual"})
#: Libraries that are loaded by name, one venue's module at a time, and their home.
BY_NAME = {("alphapulse/adapters/market_data/ccxt.py", "ccxt")}
CALL = "from alphapulse.cli.main import run; sys.exit(run())"


def lint(config: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    command = [program, "--config", config, "--no-cache"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)


def modules_after(*arguments: str, call: str = CALL) -> set[str]:
    """The top-level packages that are loaded when ``alphapulse ARGUMENTS`` ends."""
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(' '.join({name.partition('.')[0] for name in sys.modules}), file=sys.stderr))\n"
        f"sys.argv = ['alphapulse', *{list(arguments)!r}]\n{call}\n"
    )
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def loaded_by_name(sources: Iterable[Source]) -> set[tuple[str, str]]:
    """(path, library) of every ``import_module("library...")``: contracts cannot see these."""
    found: set[tuple[str, str]] = set()
    for source in sources:
        for name in re.findall(r"import_module\(f?[\"'](\w+)", source.text):
            found.add((source.path, name))
    return found


def test_every_import_contract_is_kept() -> None:
    done = lint(ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_contract_that_the_code_breaks_is_reported(tmp_path: Path) -> None:
    config = tmp_path / ".importlinter"
    config.write_text(
        "[importlinter]\nroot_package = alphapulse\n"
        "[importlinter:contract:upside-down]\nname = Upside down\ntype = layers\n"
        "layers =\n    errors\n    domain\ncontainers = alphapulse\n",
        encoding="utf-8",
    )
    done = lint(config)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Upside down BROKEN" in done.stdout


def test_every_room_has_its_place_in_the_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = {room for layer in contracts[0]["layers"] for room in layer.split(" | ")}
    rooms = {
        path.stem for path in (ROOT / "alphapulse").iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"
    }
    assert rooms - {"__init__"} == layers


def test_a_library_that_is_loaded_by_name_has_one_home_too() -> None:
    assert loaded_by_name(package()) == BY_NAME


def test_a_library_that_is_loaded_by_name_is_found() -> None:
    text = 'module = importlib.import_module(f"ccxt.pro.{venue}")\n'
    assert loaded_by_name([snippet(text)]) == {("alphapulse/domain/snippet.py", "ccxt")}


def test_help_and_version_load_nothing_heavy() -> None:
    assert modules_after("--help") & HEAVY == set()
    assert modules_after("--version") & (HEAVY | {"typer", "rich"}) == set()


def test_a_heavy_import_is_seen() -> None:
    assert "numpy" in modules_after("--help", call="import numpy")
