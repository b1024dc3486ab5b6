"""A tenant with a trading floor."""

from __future__ import annotations

from pathlib import Path

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from tests.conftest import MakeTenant
from tests.fakes.floor import Floor


@pytest.fixture
async def floor(database: PostgresDatabase, make_tenant: MakeTenant, tmp_path: Path) -> Floor:
    """Candles are stored; there is no fund yet."""
    opened = Floor(database, await make_tenant(database), tmp_path)
    opened.store()
    return opened
