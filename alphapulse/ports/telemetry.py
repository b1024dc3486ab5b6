"""Numbers about the running system. Labels are few and never hold an id of a tenant, fund or order."""

from __future__ import annotations

from typing import Protocol


class Telemetry(Protocol):
    def count(self, name: str, /, by: float = 1, **labels: str) -> None:
        """Add to a counter, for example ``count("orders_total", status="filled")``."""
        ...

    def gauge(self, name: str, /, value: float, **labels: str) -> None: ...

    def observe(self, name: str, /, seconds: float, **labels: str) -> None:
        """One measured duration, into a histogram."""
        ...

    def render(self) -> tuple[bytes, str]:
        """The scrape answer and its content type; empty where the adapter pushes."""
        ...
