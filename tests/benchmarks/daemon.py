"""How soon a daemon on an existing data directory is ready, and what it holds while it has nothing to do."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from alphapulse.cli import process
from tests.benchmarks.figures import Figure, at_most

STARTS = 3
#: Seconds after the start when nothing is loaded any more.
IDLE_AFTER = 3.0


def run() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="alphapulse-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL, started by root, runs as another user
        start(folder)[0].end()  # makes the data directory
        ready: list[float] = []
        resident: list[float] = []
        for _ in range(STARTS):
            daemon, seconds = start(folder)
            ready.append(seconds)
            time.sleep(IDLE_AFTER)
            resident.append(psutil.Process(daemon.process.pid).memory_info().rss / 1e6)
            daemon.end()
    return [
        at_most("daemon_ready", median(ready), 2.5, "s", starts=rounded(ready)),
        at_most("daemon_memory", median(resident), 250, "MB"),
    ]


def start(folder: Path) -> tuple[process.Started, float]:
    """A daemon, and the seconds until /health/ready said 200."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ALPHAPULSE_")}
    began = time.perf_counter()
    daemon = process.Started(folder / "data", ["--port", "0"], {**clean, "XDG_CONFIG_HOME": str(folder / "config")})
    url = daemon.wait_until_up().url
    while not is_ready(url):
        time.sleep(0.01)
    return daemon, time.perf_counter() - began


def is_ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/health/ready", timeout=5) as answer:  # noqa: S310 -- our own daemon on loopback
            return answer.status == 200
    except URLError:
        return False


def rounded(values: list[float]) -> list[float]:
    return [round(value, 2) for value in values]
