"""What people do to a fund's orders, in the audit log. What agents decide is told by decisions and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from alphapulse.audit.changes import record_change
from alphapulse.domain.funds import Fund
from alphapulse.domain.orders import Order
from alphapulse.ports.database import Transaction


async def record_placed(tx: Transaction, fund: Fund, orders: Sequence[Order], actor: str, at: datetime) -> None:
    """Each order that a person placed, denied ones too; last in the transaction that commits them."""
    for order in orders:
        after = _shown(fund, order)
        await record_change(
            tx, actor=actor, action="order.place", subject=str(order.id), before=None, after=after, at=at
        )


async def record_cancelled(tx: Transaction, fund: Fund, before: Order, after: Order, actor: str, at: datetime) -> None:
    """The wish to withdraw an order; what became of it at the venue is in the order's history."""
    await record_change(
        tx,
        actor=actor,
        action="order.cancel",
        subject=str(before.id),
        before=_shown(fund, before),
        after=_shown(fund, after),
        at=at,
    )


def _shown(fund: Fund, order: Order) -> Mapping[str, Any]:
    request = order.request
    return {
        "fund": fund.name,
        "symbol": request.symbol,
        "side": request.side,
        "quantity": request.quantity,
        "limit_price": request.limit_price,
        "status": order.status,
        "denials": order.denials,
        "cancel_requested_at": order.cancel_requested_at,
    }
