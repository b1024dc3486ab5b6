"""The cache: what it holds, and emptying it."""

from __future__ import annotations

from alphapulse.client.connection import Connection, read
from alphapulse.domain.cache import CacheUsage


class CacheCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def usage(self) -> CacheUsage:
        """Of the tenant; of what all share for a platform admin who names none."""
        return read(CacheUsage, self._connection.get("/cache"))

    def flush(self) -> int:
        """Drops everything of the tenant; how many entries."""
        return int(self._connection.request("DELETE", "/cache")["entries"])
