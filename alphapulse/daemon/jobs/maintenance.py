"""The maintenance job: what has been over for a while is deleted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from alphapulse.alerts.delivery import Delivery
from alphapulse.daemon import schedule_store
from alphapulse.daemon.jobs import store
from alphapulse.ports.database import Database
from alphapulse.tenancy import session_store, throttle_store
from alphapulse.tenancy.accounts import Accounts

#: Done jobs are kept so long; failed ones until somebody retries them.
KEEP_JOBS = timedelta(days=7)
KEEP_FIRINGS = timedelta(days=30)
#: Log-ins that can no longer be refreshed, for who wants to know where they were logged in.
KEEP_SESSIONS = timedelta(days=90)
#: Failed log-ins stop counting after an hour.
KEEP_FAILURES = timedelta(days=1)

_log = logging.getLogger(__name__)


class MaintenanceJob:
    def __init__(self, *, database: Database, delivery: Delivery, accounts: Accounts) -> None:
        self._database = database
        self._delivery = delivery
        self._accounts = accounts

    async def run(self, arguments: Mapping[str, str]) -> None:  # noqa: ARG002 -- every job takes arguments
        """One transaction per tenant."""
        async with self._database.shared() as tx:
            tenants = await store.tenant_ids(tx)
            jobs = await store.delete_done(tx, KEEP_JOBS)
            firings = await schedule_store.delete_firings(tx, KEEP_FIRINGS)
            failures = await throttle_store.delete_old(tx, KEEP_FAILURES)
        sessions = 0
        for tenant_id in tenants:
            async with self._database.transaction(tenant_id) as tx:
                jobs += await store.delete_done(tx, KEEP_JOBS)
                sessions += await session_store.delete_old(tx, KEEP_SESSIONS)
        mails = [await self._delivery.tidy(tenant_id) for tenant_id in (None, *tenants)]
        done = {"jobs": jobs, "firings": firings, "mails": sum(mails), "sessions": sessions, "failures": failures}
        done["sign_ups"] = await self._accounts.tidy()
        _log.info("deleted what was over", extra=done)
