from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.clock import ManualClock

if TYPE_CHECKING:
    from tests.daemon.house import House

#: Where the clock of ``house_in_time`` stands at first.
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def house(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[House]:
    """The HTTP side of a daemon over a fresh database, with tenants ``acme`` and ``rival``."""
    from tests.daemon.house import open_house  # brings in the whole daemon, which most tests here do without

    async with open_house(database, urls, tmp_path) as opened:
        await opened.tenant("acme")
        await opened.tenant("rival")
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def house_in_time(
    database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[House]:
    """The same with tenant ``acme`` alone, and a clock that the test sets."""
    from tests.daemon.house import open_house

    async with open_house(database, urls, tmp_path, clock) as opened:
        await opened.tenant("acme")
        yield opened
