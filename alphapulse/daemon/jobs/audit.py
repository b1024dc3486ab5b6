"""The jobs of the audit log: publish the heads of its chains hourly, drop what is older than it is kept daily."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from alphapulse.audit.retention import LogKeeper

_log = logging.getLogger(__name__)


class AuditJobs:
    def __init__(self, *, retention: LogKeeper) -> None:
        self._retention = retention

    async def publish_heads(self, arguments: Mapping[str, str]) -> None:  # noqa: ARG002 -- every job takes arguments
        moved = await self._retention.publish()
        _log.info("published the heads of the audit chains", extra={"moved": moved})

    async def drop_months(self, arguments: Mapping[str, str]) -> None:  # noqa: ARG002 -- every job takes arguments
        """Raises Refused when a chain is broken."""
        await self._retention.drop()
