"""The read side: what a fund is worth, what it did, and why."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID

from alphapulse.clock import Clock
from alphapulse.domain.decisions import Decision, Explanation
from alphapulse.domain.funds import Fund
from alphapulse.domain.market import Timeframe
from alphapulse.domain.money import ZERO
from alphapulse.domain.orders import FillRecord, Order, OrderFilter
from alphapulse.domain.portfolio import (
    EquityPoint,
    Holding,
    Performance,
    Portfolio,
    PortfolioSummary,
    Position,
    Price,
)
from alphapulse.domain.wire import parse_time, write_time
from alphapulse.errors import Conflict, InvalidInput, NotFound
from alphapulse.ports.cache import Cache
from alphapulse.ports.database import Database, Transaction
from alphapulse.trading import (
    book_store,
    decision_store,
    drift,
    fund_store,
    history_store,
    order_store,
    performance,
    summary_store,
)

if TYPE_CHECKING:
    from alphapulse.market.service import Market

#: Rows of one page, and points of one history.
MOST = 1000
MOST_POINTS = 10_000
#: Largest number that the database can hold.
_LARGEST = 2**63 - 1
#: How long prices are shown without looking again, in seconds; and how many sets of symbols are remembered.
_PRICES_FOR_S = 1.0
_REMEMBERED = 1_000

#: venue, timeframe, close of the newest bar, symbols.
_Asked = tuple[str, Timeframe, datetime, tuple[str, ...]]


class Books:
    """``fund`` is a name or an id; an unknown one, or another tenant's, raises NotFound.

    cache: where copies of answers that are costly to make are kept; None: they are made each time.
    """

    def __init__(self, *, database: Database, market: Market, clock: Clock, cache: Cache | None = None) -> None:
        self._database = database
        self._market = market
        self._clock = clock
        self._cache = cache
        self._prices: dict[_Asked, tuple[float, Mapping[str, Price]]] = {}

    async def summary(self, tenant_id: UUID, fund: str | None = None) -> PortfolioSummary:
        """One fund, or the tenant's total. Raises Conflict for a total over several base currencies."""
        async with self._database.glance(tenant_id) as tx:
            found = [await summary_store.of_fund(tx, fund)] if fund is not None else await summary_store.of_all(tx)
        parts = [await self._summary(books) for books in found]
        return parts[0] if fund is not None else _total(parts)

    async def positions(self, tenant_id: UUID, fund: str | None = None) -> Sequence[Holding]:
        """What is held, of one fund or of all."""
        async with self._database.glance(tenant_id) as tx:
            found = [await summary_store.of_fund(tx, fund)] if fund is not None else await summary_store.of_all(tx)
        return [holding for books in found for holding in (await self._summary(books)).positions]

    async def history(
        self, tenant_id: UUID, fund: str, *, since: datetime | None = None, limit: int = 500
    ) -> list[EquityPoint]:
        """Oldest first: ``limit`` points from ``since`` on, or the newest ``limit``."""
        async with self._database.transaction(tenant_id) as tx:
            found = await fund_store.find(tx, fund)
            return await book_store.equity(tx, found.id, since=since, limit=_limit(limit, MOST_POINTS))

    async def performance(self, tenant_id: UUID, fund: str) -> Performance:
        """Over every equity point. Returns are measured from the capital paid in."""
        if self._cache is None:
            async with self._database.moment(tenant_id) as tx:
                return await performance.measure(tx, await fund_store.find(tx, fund))
        async with self._database.moment(tenant_id) as tx:
            found = await fund_store.find(tx, fund)
            key = await performance.key_of(tx, tenant_id, found)
        if copy := await performance.kept(self._cache, key):
            return copy
        async with self._database.moment(tenant_id) as tx:
            made = await performance.measure(tx, found)
        await performance.keep(self._cache, key, made)
        return made

    async def verify(self, tenant_id: UUID, fund: str) -> list[str]:
        """One line per difference between the stored books and a derivation from the fills; empty when they agree."""
        async with self._database.moment(tenant_id) as tx:
            return await drift.find(tx, await fund_store.find(tx, fund))

    async def orders(
        self,
        tenant_id: UUID,
        *,
        fund: str | None = None,
        status: OrderFilter | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> tuple[list[Order], str | None]:
        """The newest created first, and the cursor of the next page when there may be one."""
        place = _cursor(before)
        async with self._database.transaction(tenant_id) as tx:
            fund_id = (await fund_store.find(tx, fund)).id if fund is not None else None
            found, last = await history_store.orders(
                tx, fund_id=fund_id, status=status, limit=_limit(limit), before=place
            )
        return found, _next(last) if last and len(found) == limit else None

    async def order(self, tenant_id: UUID, order_id: UUID) -> Order:
        """Raises NotFound."""
        async with self._database.transaction(tenant_id) as tx:
            return await _order(tx, order_id)

    async def fills(
        self,
        tenant_id: UUID,
        *,
        fund: str | None = None,
        order: UUID | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> tuple[list[FillRecord], str | None]:
        """The newest booked first, and the cursor of the next page when there may be one."""
        place = _cursor(before)
        async with self._database.transaction(tenant_id) as tx:
            fund_id = (await fund_store.find(tx, fund)).id if fund is not None else None
            found, last = await history_store.fills(
                tx, fund_id=fund_id, order_id=order, limit=_limit(limit), before=place
            )
        return found, _next(last) if last and len(found) == limit else None

    async def decisions(self, tenant_id: UUID, fund: str, *, limit: int = 20) -> list[Decision]:
        """Newest first."""
        async with self._database.transaction(tenant_id) as tx:
            found = await fund_store.find(tx, fund)
            return await decision_store.newest(tx, found.id, _limit(limit))

    async def explain(self, tenant_id: UUID, order_id: UUID) -> Explanation:
        """The order walked back: its checks, the decision with every agent's numbers, its history and its fills."""
        async with self._database.transaction(tenant_id) as tx:
            order = await _order(tx, order_id)
            fund: Fund = await fund_store.find(tx, str(order.fund_id))
            decision = await decision_store.get(tx, order.decision_id) if order.decision_id else None
            checks = await history_store.checks(tx, order_id)
            history = await history_store.steps(tx, order_id)
            fills, _ = await history_store.fills(tx, order_id=order_id)
        return Explanation(order, fund.name, decision, checks, tuple(history), tuple(reversed(fills)))

    async def _summary(self, books: summary_store.Books) -> PortfolioSummary:
        as_of = books.replayed_to or self._clock.now()
        symbols = {f"{asset}/{books.base_currency}" for asset, amount in books.balances.items() if amount}
        symbols |= {symbol for symbol, position in books.positions.items() if position.quantity}
        symbols.discard(f"{books.base_currency}/{books.base_currency}")
        prices = await self._priced(
            (books.venue, books.timeframe, books.timeframe.floor(as_of), tuple(sorted(symbols)))
        )
        portfolio = Portfolio(books.fund_id, books.base_currency, books.balances, books.positions, prices)
        holdings = tuple(
            _holding(books.fund_id, position, prices.get(symbol)) for symbol, position in books.positions.items()
        )
        return PortfolioSummary(
            fund_id=books.fund_id,
            name=books.name,
            base_currency=books.base_currency,
            equity=portfolio.equity,
            cash=portfolio.cash,
            gross_exposure=portfolio.gross_exposure,
            unrealised=sum((holding.unrealised for holding in holdings), ZERO),
            realised=sum((holding.realised for holding in holdings), ZERO),
            fees=sum((holding.fees for holding in holdings), ZERO),
            positions=tuple(holding for holding in holdings if holding.quantity),
            unpriced=portfolio.unpriced,
            as_of=min((price.at for price in prices.values()), default=None),
        )

    async def _priced(self, asked: _Asked) -> Mapping[str, Price]:
        """Last prices, at most a second old: a dashboard asks far more often than a bar closes."""
        now = monotonic()
        known = self._prices.get(asked)
        if known is not None and now < known[0]:
            return known[1]
        venue, timeframe, as_of, symbols = asked
        prices = await self._market.prices(venue, symbols, timeframe, as_of)
        if len(self._prices) >= _REMEMBERED:
            self._prices.clear()
        self._prices[asked] = now + _PRICES_FOR_S, prices
        return prices


def _holding(fund_id: UUID, position: Position, price: Price | None) -> Holding:
    return Holding(
        fund_id=fund_id,
        symbol=position.symbol,
        quantity=position.quantity,
        average_cost=position.average_cost,
        price=price and price.value,
        price_at=price and price.at,
        value=position.quantity * price.value if price else ZERO,
        unrealised=position.unrealised(price.value) if price else ZERO,
        realised=position.realised,
        fees=position.fees,
    )


def _total(parts: list[PortfolioSummary]) -> PortfolioSummary:
    currencies = sorted({part.base_currency for part in parts})
    if len(currencies) > 1:
        raise Conflict(f"funds in {', '.join(currencies)} have no common total", fix="Name one fund with --fund NAME.")

    def total(name: str) -> Decimal:
        return sum((getattr(part, name) for part in parts), ZERO)

    return PortfolioSummary(
        fund_id=None,
        name="all funds",
        base_currency=currencies[0] if currencies else "",
        equity=total("equity"),
        cash=total("cash"),
        gross_exposure=total("gross_exposure"),
        unrealised=total("unrealised"),
        realised=total("realised"),
        fees=total("fees"),
        positions=tuple(holding for part in parts for holding in part.positions),
        unpriced=tuple(sorted({asset for part in parts for asset in part.unpriced})),
        as_of=min((part.as_of for part in parts if part.as_of is not None), default=None),
    )


async def _order(tx: Transaction, order_id: UUID) -> Order:
    found = await order_store.load(tx, [order_id])
    if not found:
        raise NotFound(f"there is no order {order_id}", fix="List them with: alphapulse orders list")
    return found[0].order


def _limit(limit: int, most: int = MOST) -> int:
    if not 1 <= limit <= most:
        raise InvalidInput(f"limit must lie in [1, {most}]", field="limit")
    return limit


def _next(last: history_store.Place) -> str:
    """A cursor: opaque to the reader, made of what the page is ordered by."""
    return base64.urlsafe_b64encode(f"{write_time(last.recorded_at)}|{last.fund_id}|{last.sequence}".encode()).decode()


def _cursor(text: str | None) -> history_store.Place | None:
    if text is None:
        return None
    try:
        at, fund, number = base64.urlsafe_b64decode(text.encode()).decode().split("|")
        sequence = int(number)
        if not 0 < sequence <= _LARGEST:
            raise ValueError("no row has this number")
        return history_store.Place(parse_time(at, "before"), UUID(fund), sequence)
    except (ValueError, binascii.Error, InvalidInput):
        raise InvalidInput(
            f"before: {text[:60]!r} is not a cursor", field="before", fix='Pass the "next" of the page before.'
        ) from None
