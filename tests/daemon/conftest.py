from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls

if TYPE_CHECKING:
    from tests.daemon.house import House


@pytest.fixture
async def house(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[House]:
    """The HTTP side of a daemon over a fresh database, with tenants ``acme`` and ``rival``."""
    from tests.daemon.house import open_house  # brings in the whole daemon, which most tests here do without

    async with open_house(database, urls, tmp_path) as opened:
        await opened.tenant("acme")
        await opened.tenant("rival")
        yield opened
