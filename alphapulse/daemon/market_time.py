"""The market time of what a person asks for now."""

from __future__ import annotations

from datetime import datetime

from alphapulse.daemon.services import Services
from alphapulse.domain.funds import Fund


async def newest_close(services: Services, fund: Fund) -> datetime:
    """Close of the newest bar that the fund could act on."""
    config = fund.config
    return await services.market.now(config.venue, config.universe, config.timeframe)
