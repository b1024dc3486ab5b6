"""Orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import quote

from alphapulse.client.connection import LONG, Connection, Page, read
from alphapulse.domain.decisions import Explanation
from alphapulse.domain.orders import Order, OrderFilter, Side


class OrderCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def place(
        self,
        fund: str,
        symbol: str,
        side: Side,
        quantity: Decimal,
        *,
        limit_price: Decimal | None = None,
        idempotency_key: str,
    ) -> Order:
        """The same key returns the first order. Raises LimitBreached with every denial, IdempotencyMismatch."""
        body: dict[str, Any] = {"fund": fund, "symbol": symbol, "side": side, "quantity": quantity}
        if limit_price is not None:
            body["limit_price"] = limit_price
        headers = {"Idempotency-Key": idempotency_key}
        return read(Order, self._connection.post("/trades", body, headers=headers, timeout=LONG))

    def list(
        self,
        fund: str | None = None,
        *,
        status: OrderFilter | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Page[Order]:
        """The newest created first. status: ``live`` is every order that may still trade."""
        return self._connection.page(Order, "/orders", fund=fund, status=status, limit=limit, before=before)

    def get(self, order_id: str) -> Order:
        return read(Order, self._connection.get(_path(order_id)))

    def cancel(self, order_id: str) -> Order:
        """Raises Conflict when the order is already final."""
        return read(Order, self._connection.post(f"{_path(order_id)}/cancel", timeout=LONG))

    def explain(self, order_id: str) -> Explanation:
        """Everything that led to the order, back to the agents' numbers."""
        return read(Explanation, self._connection.get(f"{_path(order_id)}/explain", timeout=LONG))


def _path(order_id: str) -> str:
    return f"/orders/{quote(order_id, safe='')}"
