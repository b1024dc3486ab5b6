"""Colours of rich that mean the same wherever a thing is shown."""

from __future__ import annotations

from alphapulse.domain.orders import OrderStatus

STATUS_STYLE = {
    OrderStatus.FILLED: "green",
    OrderStatus.PARTIALLY_FILLED: "yellow",
    OrderStatus.DENIED: "red",
    OrderStatus.REJECTED: "red",
    OrderStatus.UNKNOWN: "magenta",
}
