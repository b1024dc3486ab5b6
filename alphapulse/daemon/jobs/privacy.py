"""The export job, and the hourly look after what was exported and erased."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from uuid import UUID

from alphapulse.tenancy.exports import Exports
from alphapulse.tenancy.privacy import Privacy

_log = logging.getLogger(__name__)


class ExportJob:
    def __init__(self, *, exports: Exports) -> None:
        self._exports = exports

    async def run(self, arguments: Mapping[str, str]) -> None:
        """arguments: tenant_id, export_id. Begins anew at every attempt."""
        await self._exports.run(UUID(arguments["tenant_id"]), UUID(arguments["export_id"]))


class PrivacyJob:
    """Deletes exports whose time is over, and goes on with erasures that were interrupted."""

    def __init__(self, *, exports: Exports, privacy: Privacy) -> None:
        self._exports = exports
        self._privacy = privacy

    async def run(self, arguments: Mapping[str, str]) -> None:  # noqa: ARG002 -- every job takes arguments
        """Raises TryAgain when an erasure meets a part that is away; the next run goes on."""
        expired = await self._exports.expire()
        resumed = await self._privacy.resume()
        if expired or resumed:
            _log.info("looked after privacy", extra={"exports_deleted": expired, "erasures_resumed": resumed})
