"""What happened: the audit log and the events."""

from __future__ import annotations

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
        limit: int = 50,
        before: str | None = None,
    ) -> Page[ChainedEvent]:
        """Newest first."""
        return self._connection.page(
            ChainedEvent,
            "/audit",
            actor=actor,
            action=action,
            since=since,
            until=until,
            limit=limit,
            before=before,
        )

    def verify(self) -> ChainVerdict:
        """Recomputes the tenant's hash chain."""
        return read(ChainVerdict, self._connection.get("/audit/verify", timeout=LONG))

    def events(self, since: int = 0, limit: int = 100) -> Page[Event]:
        """Events after sequence number ``since``, oldest first."""
        return self._connection.page(Event, "/events", since=since, limit=limit)
