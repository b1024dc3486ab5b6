"""Requests that nobody admitted, counted instead of recorded one by one: strangers must not fill the log."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from alphapulse.domain.audit import AuditEvent, AuditKind
from alphapulse.domain.wire import write_time

#: Addresses told apart at once; what more come are counted without their address.
_MOST: Final = 500
_Key = tuple[str, str, int, str, str]


class Refusals:
    """Counted by route, status, outcome and address."""

    def __init__(self) -> None:
        self._first: dict[_Key, AuditEvent] = {}
        self._last: dict[_Key, AuditEvent] = {}

    def __bool__(self) -> bool:
        return bool(self._last)

    def add(self, event: AuditEvent) -> None:
        """Count ``event``, or the several that it stands for."""
        key = (event.action, event.path, event.status, event.outcome, event.address)
        if key not in self._last and len(self._last) >= _MOST:
            event = replace(event, address="")
            key = (*key[:4], "")
        before = self._last.get(key)
        self._first.setdefault(key, event)
        self._last[key] = event if before is None else replace(event, count=before.count + event.count)

    def take(self) -> list[AuditEvent]:
        """One event for each, with the time of the last; the counting starts anew."""
        taken = [
            replace(event, kind=AuditKind.REFUSED, reason=event.reason or f"since {write_time(self._first[key].at)}")
            for key, event in self._last.items()
        ]
        self._first, self._last = {}, {}
        return taken
