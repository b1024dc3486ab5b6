"""Halts. scope: ``fund``, ``tenant`` or ``platform``; a halt stays until somebody resumes it."""

from __future__ import annotations

from alphapulse.client.connection import Connection, Page, read
from alphapulse.domain.risk import Halt


class RiskCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def halts(self) -> Page[Halt]:
        return self._connection.page(Halt, "/risk/halts")

    def halt(self, scope: str, reason: str, fund: str | None = None) -> Halt:
        return self._change("halt", scope, reason, fund)

    def resume(self, scope: str, reason: str, fund: str | None = None) -> Halt:
        return self._change("resume", scope, reason, fund)

    def _change(self, verb: str, scope: str, reason: str, fund: str | None) -> Halt:
        body = {"scope": scope, "reason": reason}
        if fund is not None:
            body["fund"] = fund
        return read(Halt, self._connection.post(f"/risk/{verb}", body))
