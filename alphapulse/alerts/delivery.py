"""Delivery: what is due in the outbox is handed to the mail port, again and again until it is taken or given up."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from uuid import UUID

from alphapulse.alerts import store
from alphapulse.alerts.outbox import open_values
from alphapulse.alerts.rendering import Letters
from alphapulse.clock import Clock
from alphapulse.domain.mail import MailTemplate
from alphapulse.errors import AlphaPulseError, Refused
from alphapulse.ports.database import Database, Row, Transaction
from alphapulse.ports.mail import Mailer
from alphapulse.ports.telemetry import Telemetry
from alphapulse.sealing import Seal

#: A mail that somebody took is his for so long; after it he counts as dead. Longer than any adapter's time-out.
LEASE = timedelta(minutes=5)
#: Pauses after the first, second, ... failed attempt. After the last one the mail is given up.
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 720, 1440, 1440))
KEEP = timedelta(days=30)
_BATCH = 100
_AT_ONCE = 4
_ERROR_LENGTH = 300

_log = logging.getLogger(__name__)


class Delivery:
    """Takes mails by lease, so that two workers do not send the same one; a crash in between sends it once more."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        seal: Seal,
        mailer: Mailer,
        letters: Letters,
        telemetry: Telemetry,
    ) -> None:
        self._database = database
        self._clock = clock
        self._seal = seal
        self._mailer = mailer
        self._letters = letters
        self._telemetry = telemetry

    async def run(self) -> int:
        """Deliver what is due; how many mails were sent. A mail that fails does not stop the others."""
        sent = 0
        gate = asyncio.Semaphore(_AT_ONCE)
        while True:
            async with self._database.shared() as tx:
                due = await store.due(tx, self._clock.now(), _BATCH)
            attempts = [asyncio.create_task(self._attempt(tenant, mail, gate)) for tenant, mail in due]
            # An error that nobody foresaw fails the job, but only when the others are done: half sent is sent twice.
            await asyncio.gather(*attempts, return_exceptions=True)
            sent += sum(attempt.result() for attempt in attempts)
            if len(due) < _BATCH:
                return sent

    async def tidy(self, tenant_id: UUID | None) -> int:
        """Delete the tenant's (None: nobody's) mails that are over for KEEP, and the adapter's copies of them."""
        async with self._scope(tenant_id) as tx:
            gone = await store.delete_finished(tx, self._clock.now() - KEEP)
        if gone:
            await self._mailer.forget(gone)
        return len(gone)

    async def _attempt(self, tenant_id: UUID | None, mail_id: UUID, gate: asyncio.Semaphore) -> bool:
        async with gate:
            now = self._clock.now()
            async with self._scope(tenant_id) as tx:
                row = await store.claim(tx, mail_id, now, LEASE)
            if row is None:
                return False
            if row["attempts"] > len(PAUSES) + 1:
                await self._failed(tenant_id, row, Refused("every attempt ended with its worker"))
                return False
            try:
                await self._send(row)
            except AlphaPulseError as error:
                await self._failed(tenant_id, row, error)
                return False
            async with self._scope(tenant_id) as tx:
                farewell = row["template"] == MailTemplate.ACCOUNT_DELETED
                await store.mark_sent(tx, mail_id, self._clock.now(), farewell=farewell)
            self._telemetry.count("mails_total", template=row["template"], outcome="sent")
            return True

    async def _send(self, row: Row) -> None:
        values = open_values(self._seal, row["id"], row["sealed_values"])
        mail = self._letters.write(
            MailTemplate(row["template"]),
            values,
            mail_id=row["id"],
            to=row["recipient"],
            written_at=row["written_at"],
        )
        await self._mailer.send(mail)

    async def _failed(self, tenant_id: UUID | None, row: Row, error: AlphaPulseError) -> None:
        text = f"{error.code}: {error}"[:_ERROR_LENGTH]
        until = None if isinstance(error, Refused) else self._next(row["attempts"])
        async with self._scope(tenant_id) as tx:
            if until is None:
                await store.give_up(tx, row["id"], text)
            else:
                await store.put_off(tx, row["id"], until, text)
        known = {"mail": str(row["id"]), "template": row["template"], "attempts": row["attempts"], "error": text}
        _log.error("mail given up" if until is None else "mail failed, will be repeated", extra=known)
        self._telemetry.count(
            "mails_total", template=row["template"], outcome="failed" if until is None else "repeated"
        )

    def _next(self, attempts: int) -> datetime | None:
        return self._clock.now() + PAUSES[attempts - 1] if attempts <= len(PAUSES) else None

    def _scope(self, tenant_id: UUID | None) -> AbstractAsyncContextManager[Transaction]:
        return self._database.shared() if tenant_id is None else self._database.transaction(tenant_id)
