"""The maintenance job: what has been over for a while is deleted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from alphapulse.daemon import schedule_store
from alphapulse.daemon.jobs import store
from alphapulse.ports.database import Database

#: Done jobs are kept so long; failed ones until somebody retries them.
KEEP_JOBS = timedelta(days=7)
KEEP_FIRINGS = timedelta(days=30)

_log = logging.getLogger(__name__)


class MaintenanceJob:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def run(self, arguments: Mapping[str, str]) -> None:  # noqa: ARG002 -- every job takes arguments
        """One transaction per tenant."""
        async with self._database.shared() as tx:
            tenants = await store.tenant_ids(tx)
            jobs = await store.delete_done(tx, KEEP_JOBS)
            firings = await schedule_store.delete_firings(tx, KEEP_FIRINGS)
        for tenant_id in tenants:
            async with self._database.transaction(tenant_id) as tx:
                jobs += await store.delete_done(tx, KEEP_JOBS)
        _log.info("deleted what was over", extra={"jobs": jobs, "firings": firings})
