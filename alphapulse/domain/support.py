"""Support: a platform admin's time-limited leave to change one tenant, with its reason and ticket."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from alphapulse.errors import InvalidInput

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=8)
_LONGEST_TICKET = 100


@dataclass(frozen=True, slots=True)
class SupportSession:
    """actor: e-mail of the platform admin, or ``key:PREFIX``. closed_at None: in force until expires_at."""

    id: UUID
    tenant_id: UUID
    user_id: UUID
    actor: str
    reason: str
    ticket: str
    opened_at: datetime
    expires_at: datetime
    closed_at: datetime | None = None


def parse_minutes(minutes: int) -> timedelta:
    """Raises InvalidInput outside of 1 to 480."""
    if not SHORTEST <= timedelta(minutes=min(max(minutes, 0), 10**6)) <= LONGEST:
        raise InvalidInput(
            f"minutes: {minutes} is not between 1 and {LONGEST // timedelta(minutes=1)}",
            field="minutes",
            fix="Open support for as long as the work takes; it can be opened again.",
        )
    return timedelta(minutes=minutes)


def parse_ticket(text: str) -> str:
    """The reference under which the tenant asked, for example ``SUP-1042``."""
    ticket = text.strip()
    if not ticket or len(ticket) > _LONGEST_TICKET or not ticket.isprintable():
        raise InvalidInput(
            f"ticket: must be 1 to {_LONGEST_TICKET} printable characters",
            field="ticket",
            fix="Give the reference under which the tenant asked.",
        )
    return ticket
