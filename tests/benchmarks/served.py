"""A daemon of its own for a benchmark, gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alphapulse.cli.throwaway import throwaway
from tests.rates import GENEROUS_ENVIRONMENT


@dataclass(frozen=True)
class Served:
    """url: where it answers. key: of its platform admin. data: its folder. config: where its context file is."""

    url: str
    key: str
    data: Path
    config: Path


@contextmanager
def served() -> Generator[Served]:
    """An empty daemon on a free port, ready; its rate limits are out of the way (tests/rates.py)."""
    with throwaway(os.environ, GENEROUS_ENVIRONMENT) as daemon:
        admin = daemon.wait_until_up()
        assert admin.api_key
        yield Served(admin.url, admin.api_key, daemon.data, daemon.folder / "config")
