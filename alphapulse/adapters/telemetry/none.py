"""No numbers are kept."""

from __future__ import annotations


class NoTelemetry:
    """See ports/telemetry.py."""

    def count(self, name: str, /, by: float = 1, **labels: str) -> None:
        pass

    def gauge(self, name: str, /, value: float, **labels: str) -> None:
        pass

    def observe(self, name: str, /, seconds: float, **labels: str) -> None:
        pass

    def render(self) -> tuple[bytes, str]:
        return b"", "text/plain; charset=utf-8"
