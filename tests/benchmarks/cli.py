"""What the command line costs to start, against the least that its libraries cost."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import alphapulse
from tests.benchmarks.figures import Figure, at_most, interleaved
from tests.cli import examples
from tests.cli.scripted import ScriptedDaemon

ROUNDS = 21

_HELLO = """
import typer

app = typer.Typer()


@app.command()
def hello(name: str) -> None:
    print(f"hello {name}")


@app.command()
def bye(name: str) -> None:
    print(f"bye {name}")


app()
"""

_REQUEST = """
import sys

import httpx
import typer

app = typer.Typer()


@app.command()
def orders(url: str) -> None:
    answer = httpx.get(f"{url}/orders", params={"limit": 50}, headers={"Authorization": "Bearer k"})
    for order in answer.raise_for_status().json()["items"]:
        print(order["at"], order["id"], order["request"]["symbol"], order["status"])


app()
"""


def run() -> list[Figure]:
    """Medians of processes started in turn, all with compiled bytecode."""
    compileall.compile_dir(str(Path(alphapulse.__file__).parent), quiet=2)
    with tempfile.TemporaryDirectory() as folder, ScriptedDaemon() as daemon:
        daemon.on("GET /orders", {"items": [examples.order()] * 20, "next": None})
        hello, request = Path(folder) / "hello.py", Path(folder) / "request.py"
        hello.write_text(_HELLO)
        request.write_text(_REQUEST)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ALPHAPULSE_", "PYTHONDONT"))},
            "XDG_CONFIG_HOME": folder,
            "ALPHAPULSE_URL": daemon.url,
            "ALPHAPULSE_API_KEY": "k",
        }
        python, program = sys.executable, str(Path(sys.executable).with_name("alphapulse"))

        def process(*command: str) -> Callable[[], object]:
            return lambda: subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)

        nothing, version, typer_help, our_help, bare, table, as_json = interleaved(
            ROUNDS,
            process(python, "-c", "pass"),
            process(program, "--version"),
            process(python, str(hello), "--help"),
            process(program, "--help"),
            process(python, str(request), daemon.url),
            process(program, "orders", "list"),
            process(program, "orders", "list", "--json"),
        )
    return [
        at_most(
            "cli: --version", version / nothing, 3.0, "x python -c pass", ms=_ms(version), baseline_ms=_ms(nothing)
        ),
        at_most(
            "cli: --help", our_help / typer_help, 1.5, "x typer hello", ms=_ms(our_help), baseline_ms=_ms(typer_help)
        ),
        at_most(
            "cli: read command",
            max(table, as_json) / bare,
            1.3,
            "x typer + httpx + the same request",
            table_ms=_ms(table),
            json_ms=_ms(as_json),
            baseline_ms=_ms(bare),
        ),
    ]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
