"""The books, as shown. A fund is named by its name or its id; without one, the tenant's total where a total exists."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from alphapulse.client.connection import LONG, Connection, Page, read
from alphapulse.domain.decisions import Decision
from alphapulse.domain.orders import FillRecord, Order
from alphapulse.domain.portfolio import EquityPoint, Holding, Performance, PortfolioSummary


class PortfolioCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def summary(self, fund: str | None = None) -> PortfolioSummary:
        return read(PortfolioSummary, self._connection.get("/portfolio", fund=fund))

    def history(self, fund: str, *, since: datetime | None = None, limit: int | None = None) -> Page[EquityPoint]:
        """Equity points, oldest first; without ``since`` the newest."""
        return self._connection.page(
            EquityPoint, "/portfolio/history", fund=fund, since=since, limit=limit, timeout=LONG
        )

    def plan(self, fund: str) -> Decision:
        """What the fund would decide now; nothing is stored and nothing is traded."""
        return read(Decision, self._connection.get("/portfolio/plan", fund=fund, timeout=LONG))

    def performance(self, fund: str) -> Performance:
        return read(Performance, self._connection.get("/portfolio/performance", fund=fund, timeout=LONG))

    def verify(self, fund: str) -> tuple[str, ...]:
        """One line per difference between the stored books and a fresh derivation; empty when they agree."""
        answer = cast("dict[str, Any]", self._connection.get("/portfolio/verify", fund=fund, timeout=LONG))
        return tuple(str(line) for line in answer["drift"])

    def positions(self, fund: str | None = None) -> Page[Holding]:
        return self._connection.page(Holding, "/positions", fund=fund)

    def close_position(
        self, fund: str, symbol: str, idempotency_key: str, *, limit_price: Decimal | None = None
    ) -> Order:
        """Sells everything held of ``symbol``, at the market without a limit price. Raises LimitBreached."""
        body: dict[str, Any] = {"fund": fund, "symbol": symbol}
        if limit_price is not None:
            body["limit_price"] = limit_price
        answer = self._connection.post(
            "/positions/close", body, headers={"Idempotency-Key": idempotency_key}, timeout=LONG
        )
        return read(Order, answer)

    def fills(
        self,
        fund: str | None = None,
        *,
        order: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Page[FillRecord]:
        """Newest first."""
        return self._connection.page(FillRecord, "/fills", fund=fund, order=order, limit=limit, before=before)

    def decisions(self, fund: str, *, limit: int = 20) -> Page[Decision]:
        """Newest first."""
        return self._connection.page(Decision, "/decisions", fund=fund, limit=limit, timeout=LONG)
