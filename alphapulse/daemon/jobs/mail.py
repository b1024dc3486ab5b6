"""The mail job, and the courier that queues it as soon as a mail is committed."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from alphapulse.alerts.delivery import Delivery
from alphapulse.daemon.jobs import store
from alphapulse.errors import TryAgain
from alphapulse.ports.database import Database
from alphapulse.ports.queue import Queue

NAME = "mail"
#: What the outbox notifies on.
_CHANNEL = "mails"

_log = logging.getLogger(__name__)


class MailJob:
    def __init__(self, *, delivery: Delivery) -> None:
        self._delivery = delivery

    async def run(self, arguments: Mapping[str, str]) -> None:  # noqa: ARG002 -- every job takes arguments
        """What cannot be delivered now is due again later, by its row; the job itself fails only with the database."""
        sent = await self._delivery.run()
        if sent:
            _log.info("mails sent", extra={"mails": sent})


class Courier:
    """Queues the mail job when a mail was committed. What it misses while the database is away, the schedule finds."""

    def __init__(self, *, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue

    async def run(self) -> None:
        async for _ in self._database.listen(_CHANNEL):
            try:
                async with self._database.shared() as tx:
                    if not await store.pending_any(tx, NAME):
                        await self._queue.enqueue(tx, NAME, {})
            except TryAgain as error:
                _log.warning("mails wait for the schedule", extra={"reason": str(error)})
