"""The only door for orders: judge, commit the intent, hand over, book what came back.

Nothing reaches a venue that was not judged and committed before; nothing is booked twice, whoever repeats it.
Two workers on one fund are kept apart by the lock on the fund's row in both transactions: the first one's
decision stands, and the second one's reports find their fills booked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from alphapulse.clock import Clock
from alphapulse.domain.decisions import Decision
from alphapulse.domain.funds import Fund
from alphapulse.domain.market import Instrument
from alphapulse.domain.money import ZERO, floor_to, plain
from alphapulse.domain.orders import Order, OrderRequest, OrderStatus, OrderType, Side
from alphapulse.domain.plans import Allowance
from alphapulse.domain.portfolio import Price
from alphapulse.domain.risk import judge_plan
from alphapulse.errors import Conflict, InvalidInput, Misconfigured, NotFound
from alphapulse.ports.database import Database, Transaction
from alphapulse.ports.exchange import Exchange
from alphapulse.ports.telemetry import Telemetry
from alphapulse.trading import book_store, fund_store, handover, intents, order_store
from alphapulse.trading.book_store import Standing
from alphapulse.trading.by_hand import record_cancelled, record_placed
from alphapulse.trading.ceiling import Ceiling
from alphapulse.trading.recording import After, Mark, Recorded, intend, record
from alphapulse.trading.settlement import Outcome, Step, Tracked, absorb

if TYPE_CHECKING:
    from alphapulse.market.service import Market

#: The decision for a fund that stands like this and has these live orders.
Planner = Callable[[Standing, tuple[Order, ...]], Decision]


@dataclass(frozen=True, slots=True)
class Placed:
    """repeated: the idempotency key was known, this is the order that it placed the first time."""

    order: Order
    repeated: bool


class Desk:
    """exchanges: one per fund mode. look_up_pause: wait before the second look-up of a lost answer."""

    def __init__(
        self,
        *,
        database: Database,
        exchanges: Mapping[str, Exchange],
        market: Market,
        clock: Clock,
        telemetry: Telemetry,
        ceiling: Ceiling,
        look_up_pause: timedelta = handover.PAUSE,
    ) -> None:
        self._database = database
        self._exchanges = exchanges
        self._market = market
        self._clock = clock
        self._telemetry = telemetry
        self._ceiling = ceiling
        self._pause = look_up_pause

    async def submit(
        self, fund: Fund, requests: Sequence[OrderRequest], *, cause: str, as_of: datetime, manual: bool, actor: str
    ) -> list[Order]:
        """Judge and place ``requests``; denied ones come back as orders too, with their denials.

        cause: what the client order ids derive from, together with the fund and each request's leg; a person's
        idempotency key when manual. A known cause returns its first orders. Raises IdempotencyMismatch when it
        came with other requests, Conflict while the fund is replayed, NotFound for an unknown fund.
        """
        cause = intents.manual_cause(cause) if manual else cause
        orders, _ = await self._submit(fund, requests, cause, as_of, manual=manual, actor=actor)
        return orders

    async def place(self, fund: Fund, request: OrderRequest, *, key: str, as_of: datetime, actor: str) -> Placed:
        """One order that a person asked for. See ``submit`` for what is raised."""
        cause = intents.manual_cause(key)
        orders, repeated = await self._submit(fund, [request], cause, as_of, manual=True, actor=actor)
        return Placed(orders[0], repeated)

    async def close_position(
        self, fund: Fund, symbol: str, *, limit_price: Decimal | None = None, key: str, as_of: datetime, actor: str
    ) -> Placed:
        """Sell all that is held of ``symbol``, at the market without a limit price.

        Raises NotFound when nothing is held, Conflict when that is less than one lot.
        """
        instruments = await self._market.instruments(fund.config.venue)
        async with self._database.transaction(fund.tenant_id) as tx:
            balances, positions = await book_store.books(tx, fund.id)
            first = await order_store.load(tx, [intents.order_id(fund.id, intents.manual_cause(key), "")])
        if first:
            request = first[0].order.request
            if (request.symbol, request.side, request.limit_price) != (symbol, Side.SELL, limit_price):
                raise intents.reused(key, first[0].order)
            return await self.place(fund, request, key=key, as_of=as_of, actor=actor)
        instrument = instruments.get(symbol)
        held = positions[symbol].quantity if symbol in positions else ZERO
        if instrument is None or held <= ZERO:
            raise NotFound(f"fund {fund.name} holds no {symbol[:40]}", fix="See: alphapulse positions list")
        quantity = floor_to(min(held, balances.get(instrument.base, ZERO)), instrument.quantity_increment)
        if quantity <= ZERO:
            lot = plain(instrument.quantity_increment)
            raise Conflict(
                f"what fund {fund.name} holds of {symbol} is less than one lot ({lot}) and cannot be sold",
                fix="Buy up to one lot first, or leave it.",
            )
        kind = OrderType.MARKET if limit_price is None else OrderType.LIMIT
        request = OrderRequest(fund.config.venue, symbol, Side.SELL, kind, quantity, limit_price)
        return await self.place(fund, request, key=key, as_of=as_of, actor=actor)

    async def cancel(self, fund: Fund, order_id: UUID, *, as_of: datetime, actor: str) -> Order:
        """Withdraw what is left of an order. The wish is committed first, so a crash does not forget it.

        The order may come back filled, when the venue was faster. Raises Conflict when it was final before.
        """
        async with self._database.transaction(fund.tenant_id) as tx:
            await fund_store.lock(tx, fund.id)
            found = await order_store.load(tx, [order_id])
            if not found or found[0].order.fund_id != fund.id:
                fix = f"List them with: alphapulse orders list --fund {fund.name}"
                raise NotFound(f"fund {fund.name} has no order {order_id}", fix=fix)
            order = found[0].order
            if order.status.is_final:
                raise _final(order)
            (wished,) = await self._wish(tx, found, as_of, f"by {actor}")
            await record_cancelled(tx, fund, order, wished.order, actor, self._clock.now())
        outcome = await self._follow(self._exchange(fund), wished, as_of, halted=False)
        return (await self._record(fund, [outcome], as_of)).orders[0]

    async def settle(self, fund: Fund, as_of: datetime) -> int:
        """Ask the venue for every live order and book what is new; gives the number of new fills.

        This is also what start-up does: an order that was intended when the process died is looked up here.
        Under a halt every purchase that is still alive is withdrawn.
        """
        async with self._database.transaction(fund.tenant_id) as tx:
            live = await order_store.live(tx, fund.id)
            halted = bool(live) and bool((await book_store.standing(tx, fund.id, as_of)).halts)
            if halted:
                await fund_store.lock(tx, fund.id)
                live = await order_store.live(tx, fund.id)
                resting = [each for each in live if _adds_risk(each.order)]
                wished = {each.order.id: each for each in await self._wish(tx, resting, as_of, "by the halt")}
                live = [wished.get(each.order.id, each) for each in live]
        outcomes: list[Outcome] = []
        exchange = self._exchange(fund)
        for each in live:
            outcome = await self._follow(exchange, each, as_of, halted=halted)
            if absorb(each, outcome).changed:
                outcomes.append(outcome)
        return (await self._record(fund, outcomes, as_of)).fills if outcomes else 0

    async def _wish(self, tx: Transaction, tracked: Sequence[Tracked], as_of: datetime, detail: str) -> list[Tracked]:
        """Commit that each of these is to be withdrawn; those that were asked for before stay as they are."""
        now = self._clock.now()
        new = [each for each in tracked if each.order.cancel_requested_at is None]
        orders = [replace(each.order, cancel_requested_at=max(as_of, each.order.at)) for each in new]
        await order_store.update(tx, orders, now)
        steps = [Step("request_cancel", order.status, order.status, detail) for order in orders]
        rows = [(each.order.id, each.steps + 1, step) for each, step in zip(new, steps, strict=True)]
        await order_store.add_steps(tx, rows, as_of, now)
        after = {order.id: order for order in orders}
        return [
            replace(each, order=after[each.order.id], steps=each.steps + 1) if each.order.id in after else each
            for each in tracked
        ]

    async def decide(self, fund: Fund, as_of: datetime, planner: Planner, actor: str) -> tuple[Decision, bool]:
        """Transaction 1 of a cycle. planner: pure; gets the books and live orders as they stand under the lock.

        Gives the bar's decision and whether this call made it: an earlier one stands, whoever made it.
        """
        allowance = await self._ceiling.allowance(fund.tenant_id)
        async with self._database.transaction(fund.tenant_id) as tx:
            await fund_store.lock(tx, fund.id)
            standing = await book_store.standing(tx, fund.id, as_of)
            if standing.decided is not None:
                return standing.decided, False
            standing = await self._ceiling.measure(tx, fund.id, standing, allowance)
            decision = planner(standing, await _live(tx, fund, standing))
            placed = intents.orders_of(fund, decision)
            await intend(tx, fund, placed, at=as_of, now=self._clock.now(), actor=actor, decision=decision)
            await self._ceiling.note(tx, allowance)
        self._count(order for order, _ in placed)
        return decision, True

    async def carry_out(
        self, fund: Fund, decision: Decision, *, fresh: bool, mark: Mark, after: After | None = None
    ) -> None:
        """Hand the decision's orders over and complete its bar: what the venue said, the equity point, ``after``.

        fresh: this very call committed the decision; else its orders may have reached the venue before.
        """
        as_of = decision.at
        outcomes: list[Outcome] = []
        if fresh:
            outcomes = await self._send(fund, (order for order, _ in intents.orders_of(fund, decision)), as_of)
        else:
            await self.settle(fund, as_of)
        await self._record(fund, outcomes, as_of, mark, after)

    async def _submit(
        self, fund: Fund, requests: Sequence[OrderRequest], cause: str, as_of: datetime, *, manual: bool, actor: str
    ) -> tuple[list[Order], bool]:
        ids = [intents.order_id(fund.id, cause, request.leg) for request in requests]
        if not requests or len(set(ids)) != len(ids):
            raise InvalidInput("each request of one cause needs a leg of its own", field="leg")
        async with self._database.transaction(fund.tenant_id) as tx:
            first = [each.order for each in await order_store.load(tx, ids)]
            held = () if first else tuple((await book_store.books(tx, fund.id))[1])
        orders: list[Order] = []
        if not first:
            symbols = {request.symbol for request in requests}.union(held, fund.config.universe)
            judge = await self._judge(fund, symbols, cause, as_of, manual=manual, actor=actor)
            async with self._database.transaction(fund.tenant_id) as tx:
                await fund_store.lock(tx, fund.id)
                first = [each.order for each in await order_store.load(tx, ids)]  # a twin may have come in since
                if not first:
                    orders = await judge.intend(tx, requests, self._clock.now())
        if first:
            intents.check_repeat(first, requests, cause)
            return await self._again(fund, first, as_of), True
        self._count(orders)
        outcomes = await self._send(fund, orders, as_of)
        if outcomes:
            after = {order.id: order for order in (await self._record(fund, outcomes, as_of)).orders}
            orders = [after.get(order.id, order) for order in orders]
        return orders, False

    async def _judge(
        self, fund: Fund, symbols: Iterable[str], cause: str, as_of: datetime, *, manual: bool, actor: str
    ) -> _Judge:
        config = fund.config
        instruments = await self._market.instruments(config.venue)
        prices = await self._market.prices(config.venue, sorted(symbols), config.timeframe, as_of)
        clock = ("wall" if self._market.is_served(config.venue) else "catalogue") if manual else "bar"
        allowance = await self._ceiling.allowance(fund.tenant_id)
        return _Judge(
            fund,
            cause,
            as_of,
            instruments,
            prices,
            manual=manual,
            actor=actor,
            clock=clock,
            ceiling=self._ceiling,
            allowance=allowance,
        )

    async def _again(self, fund: Fund, known: list[Order], as_of: datetime) -> list[Order]:
        """The first orders of a cause that came again; what was never handed over is, now."""
        if all(order.status is not OrderStatus.INTENDED for order in known):
            return known
        await self.settle(fund, max(as_of, *(order.at for order in known)))
        async with self._database.transaction(fund.tenant_id) as tx:
            return [each.order for each in await order_store.load(tx, [order.id for order in known])]

    async def _send(self, fund: Fund, orders: Iterable[Order], as_of: datetime) -> list[Outcome]:
        intended = [order for order in orders if order.status is OrderStatus.INTENDED]
        exchange = self._exchange(fund)
        return [await handover.send(exchange, order, as_of, self._pause) for order in intended]

    async def _follow(self, exchange: Exchange, tracked: Tracked, as_of: datetime, *, halted: bool) -> Outcome:
        now = self._clock.now()
        return await handover.follow(exchange, tracked, as_of, now, halted=halted, pause=self._pause)

    async def _record(
        self,
        fund: Fund,
        outcomes: Sequence[Outcome],
        as_of: datetime,
        mark: Mark | None = None,
        after: After | None = None,
    ) -> Recorded:
        async with self._database.transaction(fund.tenant_id) as tx:
            await fund_store.lock(tx, fund.id)
            recorded = await record(tx, fund, outcomes, at=as_of, now=self._clock.now(), mark=mark)
            if after is not None:
                await after(tx)
        self._count(recorded.orders)
        return recorded

    def _exchange(self, fund: Fund) -> Exchange:
        exchange = self._exchanges.get(fund.mode.value)
        if exchange is None:
            raise Misconfigured(f"no venue trades funds of mode {fund.mode}")
        return exchange.of(fund)

    def _count(self, orders: Iterable[Order]) -> None:
        for order in orders:
            self._telemetry.count("orders_total", status=order.status.value)


@dataclass(frozen=True, slots=True)
class _Judge:
    """What a request is judged with, fetched before the transaction that judges it."""

    fund: Fund
    cause: str
    as_of: datetime
    instruments: Mapping[str, Instrument]
    prices: Mapping[str, Price]
    _: KW_ONLY
    manual: bool
    actor: str
    clock: str
    ceiling: Ceiling
    allowance: Allowance

    async def intend(self, tx: Transaction, requests: Sequence[OrderRequest], now: datetime) -> list[Order]:
        """Transaction 1: judge under the fund's lock and store. Raises Conflict while the fund is replayed."""
        fund = self.fund
        standing = await book_store.standing(tx, fund.id, self.as_of)
        if standing.replaying:
            raise Conflict(f"fund {fund.name} is being replayed", fix="Place the order when the replay is over.")
        standing = await self.ceiling.measure(tx, fund.id, standing, self.allowance)
        live = await _live(tx, fund, standing)
        situation = intents.situate(
            fund,
            standing,
            self.as_of,
            self.instruments,
            self.prices,
            live=live,
            manual=self.manual,
            clock=self.clock,
        )
        placed = [
            (intents.new_order(fund, request, verdict, cause=self.cause, as_of=self.as_of), verdict)
            for request, verdict in zip(requests, judge_plan(requests, situation), strict=True)
        ]
        await intend(tx, fund, placed, at=self.as_of, now=now, actor=self.actor)
        orders = [order for order, _ in placed]
        await self.ceiling.note(tx, self.allowance)
        if self.manual:
            await record_placed(tx, fund, orders, self.actor, now)
        return orders


def _final(order: Order) -> Conflict:
    told = f"order {order.id} is {order.status} already"
    if order.status is OrderStatus.DENIED:
        told = f"order {order.id} was denied and never reached the venue: there is nothing to cancel"
    return Conflict(told, fix=f"See what became of it with: alphapulse orders explain {order.id}")


async def _live(tx: Transaction, fund: Fund, standing: Standing) -> tuple[Order, ...]:
    return tuple(each.order for each in await order_store.live(tx, fund.id)) if standing.live else ()


def _adds_risk(order: Order) -> bool:
    return order.request.side is Side.BUY
