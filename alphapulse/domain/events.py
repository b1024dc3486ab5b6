"""Events: rows with a sequence number per tenant, streamed to whoever may see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from alphapulse.domain.tenancy import Permission


class EventKind(StrEnum):
    ORDER_INTENDED = "order.intended"
    ORDER_DENIED = "order.denied"
    ORDER_CHANGED = "order.changed"
    FILL_BOOKED = "fill.booked"
    DECISION_MADE = "decision.made"
    SLOT_MISSED = "slot.missed"
    EQUITY_MARKED = "equity.marked"
    FUND_CREATED = "fund.created"
    FUND_STARTED = "fund.started"
    FUND_STOPPED = "fund.stopped"
    FUND_CONFIGURED = "fund.configured"
    TRADING_HALTED = "trading.halted"
    TRADING_RESUMED = "trading.resumed"
    TENANT_CHANGED = "tenant.changed"
    MEMBER_ADDED = "member.added"
    MEMBER_CHANGED = "member.changed"
    MEMBER_REMOVED = "member.removed"
    REPLAY_FINISHED = "replay.finished"
    RECONCILE_ATTENTION = "reconcile.attention"
    SUPPORT_OPENED = "support.opened"
    SUPPORT_CLOSED = "support.closed"


#: What a reader must be allowed in order to be sent an event of this kind.
REQUIRED_PERMISSION: dict[EventKind, Permission] = {
    EventKind.ORDER_INTENDED: Permission.ORDERS_READ,
    EventKind.ORDER_DENIED: Permission.ORDERS_READ,
    EventKind.ORDER_CHANGED: Permission.ORDERS_READ,
    EventKind.FILL_BOOKED: Permission.ORDERS_READ,
    EventKind.DECISION_MADE: Permission.AGENTS_READ,
    EventKind.SLOT_MISSED: Permission.FUNDS_READ,
    EventKind.EQUITY_MARKED: Permission.FUNDS_READ,
    EventKind.FUND_CREATED: Permission.FUNDS_READ,
    EventKind.FUND_STARTED: Permission.FUNDS_READ,
    EventKind.FUND_STOPPED: Permission.FUNDS_READ,
    EventKind.FUND_CONFIGURED: Permission.FUNDS_READ,
    EventKind.TRADING_HALTED: Permission.RISK_READ,
    EventKind.TRADING_RESUMED: Permission.RISK_READ,
    EventKind.TENANT_CHANGED: Permission.EVENTS_READ,
    EventKind.MEMBER_ADDED: Permission.MEMBERS_READ,
    EventKind.MEMBER_CHANGED: Permission.MEMBERS_READ,
    EventKind.MEMBER_REMOVED: Permission.MEMBERS_READ,
    EventKind.REPLAY_FINISHED: Permission.FUNDS_READ,
    EventKind.RECONCILE_ATTENTION: Permission.ORDERS_READ,
    EventKind.SUPPORT_OPENED: Permission.AUDIT_READ,
    EventKind.SUPPORT_CLOSED: Permission.AUDIT_READ,
}


@dataclass(frozen=True, slots=True)
class Event:
    """sequence: 1, 2, 3 ... per tenant without holes. at: market time; recorded_at: wall time.

    subject: id of the thing it is about. payload: JSON-ready; money as strings.
    """

    tenant_id: UUID
    sequence: int
    kind: EventKind
    subject: str
    at: datetime
    recorded_at: datetime
    payload: dict[str, Any] = field(default_factory=dict[str, Any])
