"""What happened: the audit log and the events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from alphapulse.client.connection import LONG, Connection, Page, read
from alphapulse.domain.audit import ChainedEvent, ChainVerdict
from alphapulse.domain.events import Event


class JournalCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def audit(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        support: bool = False,
        limit: int = 50,
        before: str | None = None,
    ) -> Page[ChainedEvent]:
        """Newest first. support: only what was done in support sessions."""
        return self._connection.page(
            ChainedEvent,
            "/audit",
            actor=actor,
            action=action,
            since=since,
            until=until,
            support=support or None,
            limit=limit,
            before=before,
        )

    def verify(self, against: str | None = None) -> ChainVerdict:
        """Recomputes the tenant's hash chain. against: ``SEQUENCE:HASH``, or ``heads`` for those the daemon published.

        Raises NotFound when it published none.
        """
        return read(ChainVerdict, self._connection.get("/audit/verify", timeout=LONG, against=against))

    def export(self, form: str, *, since: datetime | None = None, until: datetime | None = None) -> Iterator[bytes]:
        """All events as text, oldest first, piece by piece. form: ``jsonl`` or ``csv``."""
        return self._connection.stream("/audit/export", format=form, since=since, until=until)

    def events(self, since: int = 0, limit: int = 100) -> Page[Event]:
        """Events after sequence number ``since``, oldest first."""
        return self._connection.page(Event, "/events", since=since, limit=limit)
