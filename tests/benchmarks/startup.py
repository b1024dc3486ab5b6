"""How long the command takes to answer, against the least that such a program can take."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.figures import Figure, at_most, interleaved
from tests.benchmarks.served import served

ROUNDS = 15
HELLO = """
import typer

app = typer.Typer()


@app.command()
def hello(name: str, shout: bool = False) -> None:
    print(f"hello {name}")


app()
"""
SAME_REQUEST = """
import sys

import httpx
import typer

app = typer.Typer()


@app.command()
def show(url: str, key: str) -> None:
    print(httpx.get(url, headers={"Authorization": f"Bearer {key}"}).raise_for_status().text)


app()
"""


def run() -> list[Figure]:
    program = str(Path(sys.executable).with_name("alphapulse"))
    with tempfile.TemporaryDirectory() as folder:
        hello, same = Path(folder) / "hello.py", Path(folder) / "same.py"
        hello.write_text(HELLO, encoding="utf-8")
        same.write_text(SAME_REQUEST, encoding="utf-8")
        helped, least = interleaved(ROUNDS, process(program, "--help"), process(sys.executable, str(hello), "--help"))
        version, bare = interleaved(ROUNDS, process(program, "--version"), process(sys.executable, "-c", "pass"))
        with served() as daemon:
            environment = {"ALPHAPULSE_API_KEY": daemon.key, "XDG_CONFIG_HOME": str(daemon.config)}
            read, direct = interleaved(
                ROUNDS,
                process(program, "tenants", "list", "--json", environment=environment),
                process(sys.executable, str(same), f"{daemon.url}/tenants", daemon.key),
            )
    return [
        at_most("help_start_up", helped / least, 1.5, "x", ms=milliseconds(helped, least)),
        at_most("version_start_up", version / bare, 3.0, "x", ms=milliseconds(version, bare)),
        at_most("read_command", read / direct, 1.3, "x", ms=milliseconds(read, direct)),
    ]


def process(*command: str, environment: dict[str, str] | None = None) -> Callable[[], None]:
    """A call that runs ``command`` to its end and insists on success."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ALPHAPULSE_")}

    def call() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**ours, **(environment or {})})

    return call


def milliseconds(ours: float, other: float) -> list[float]:
    return [round(ours * 1000, 1), round(other * 1000, 1)]
