"""Support sessions of the tenant that the target names."""

from __future__ import annotations

from alphapulse.client.connection import Connection, Page, read
from alphapulse.domain.support import SupportSession


class SupportCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open(self, *, reason: str, ticket: str, minutes: int) -> SupportSession:
        body = {"reason": reason, "ticket": ticket, "minutes": minutes}
        return read(SupportSession, self._connection.post("/support", body))

    def close(self) -> None:
        self._connection.request("DELETE", "/support")

    def sessions(self) -> Page[SupportSession]:
        """Newest first."""
        return self._connection.page(SupportSession, "/support")
