"""One fund at one closed bar: settle, look, decide, trade, mark. Live trading and replays call the same function.

Nothing here or below reads a clock for market time: ``as_of`` is an argument. Every id derives from the fund and
``as_of``, so running a bar again after a crash at any instant ends in the rows of an undisturbed run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from time import perf_counter
from typing import TYPE_CHECKING
from uuid import UUID

from alphapulse.clock import Clock
from alphapulse.domain.decisions import Decision, DecisionState
from alphapulse.domain.events import EventKind
from alphapulse.domain.funds import Fund
from alphapulse.domain.market import Series
from alphapulse.domain.money import ZERO, book
from alphapulse.domain.orders import Order
from alphapulse.domain.portfolio import Price
from alphapulse.events import store as event_store
from alphapulse.ports.database import Database
from alphapulse.ports.telemetry import Telemetry
from alphapulse.trading import book_store, decision_store, fund_store, order_store, outlook
from alphapulse.trading.book_store import Standing
from alphapulse.trading.decision_store import Start
from alphapulse.trading.desk import Desk
from alphapulse.trading.recording import After, Mark

if TYPE_CHECKING:
    from alphapulse.agents.service import Agents
    from alphapulse.market.service import Market

#: Who is named as the author of what a cycle does.
ACTOR = "cycle"
_OVERTAKEN = "a newer bar was decided before"
_DOWN = "the daemon was not running when the bar closed"
#: Funds whose benchmark's start is remembered.
_REMEMBERED = 10_000


class Cycle:
    def __init__(
        self, *, database: Database, market: Market, agents: Agents, desk: Desk, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._database = database
        self._market = market
        self._agents = agents
        self._desk = desk
        self._clock = clock
        self._telemetry = telemetry
        self._starts: OrderedDict[UUID, tuple[Start, Mapping[str, Price]]] = OrderedDict()

    async def run(self, fund: Fund, as_of: datetime, *, after: After | None = None) -> Decision:
        """Decide and trade the bar that closed at ``as_of``, with the fund's newest configuration.

        May be repeated: the stored decision stands and is completed. A bar older than the newest one of the fund is
        recorded as missed. after: runs in the bar's last transaction. Raises NotFound for an unknown fund,
        Unavailable when candles or the database cannot be reached; the bar can then be run again.
        """
        started = perf_counter()
        fund, standing = await self._stand(fund, as_of)
        decision = standing.decided
        if decision is None and standing.last_at is not None and standing.last_at > as_of:
            await self._miss(fund, [as_of], _OVERTAKEN)
            decision = outlook.missed(fund, as_of, _OVERTAKEN)
        if decision is not None and decision.state is DecisionState.MISSED:
            return await self._pass_over(fund, decision, after)
        if standing.live and await self._desk.settle(fund, as_of):
            fund, standing = await self._stand(fund, as_of)
        if decision is None:
            seen = await outlook.look(self._market, self._agents, fund, as_of, _held(standing))
            prices = seen.prices

            def plan(now: Standing, live: tuple[Order, ...]) -> Decision:
                return outlook.decide(fund, seen, now, live)

            decision, fresh = await self._desk.decide(fund, as_of, plan, ACTOR)
        else:
            fresh, prices = False, await self._prices(fund, as_of, standing)
        mark = Mark(as_of, prices, await self._benchmark(fund, as_of, prices))
        await self._desk.carry_out(fund, decision, fresh=fresh, mark=mark, after=after)
        self._telemetry.observe("cycle_seconds", perf_counter() - started)
        return decision

    async def plan(self, fund: Fund, as_of: datetime) -> Decision:
        """The decision that ``run`` would make now, without order ids; nothing is stored and nothing is sent."""
        fund, standing = await self._stand(fund, as_of)
        seen = await outlook.look(self._market, self._agents, fund, as_of, _held(standing))
        async with self._database.transaction(fund.tenant_id) as tx:
            live = tuple(each.order for each in await order_store.live(tx, fund.id))
        decision = outlook.decide(fund, seen, standing, live)
        return replace(decision, orders=tuple(replace(order, order_id=None) for order in decision.orders))

    async def missed(self, fund: Fund, slots: Sequence[datetime]) -> int:
        """Record bars that closed while nothing ran; gives how many had no record before."""
        return await self._miss(fund, slots, _DOWN)

    async def _miss(self, fund: Fund, slots: Sequence[datetime], reason: str) -> int:
        now = self._clock.now()
        events: list[event_store.NewEvent] = []
        async with self._database.transaction(fund.tenant_id) as tx:
            await fund_store.lock(tx, fund.id)
            for at in slots:
                if await decision_store.insert(tx, outlook.missed(fund, at, reason), now):
                    payload = {"fund": fund.name, "reason": reason}
                    events.append((EventKind.SLOT_MISSED, str(fund.id), at, now, payload))
            await event_store.append_many(tx, events)
        return len(events)

    async def _pass_over(self, fund: Fund, decision: Decision, after: After | None) -> Decision:
        if after is not None:
            async with self._database.transaction(fund.tenant_id) as tx:
                await after(tx)
        return decision

    async def _stand(self, fund: Fund, as_of: datetime) -> tuple[Fund, Standing]:
        """The fund with the configuration in force, and where it stands."""
        async with self._database.transaction(fund.tenant_id) as tx:
            standing = await book_store.standing(tx, fund.id, as_of)
            if standing.config_version != fund.config_version:
                fund = await fund_store.find(tx, str(fund.id))
        return fund, standing

    async def _prices(self, fund: Fund, as_of: datetime, standing: Standing) -> Mapping[str, Price]:
        config = fund.config
        symbols = sorted(set(config.universe) | set(_held(standing)))
        return await self._market.prices(config.venue, symbols, config.timeframe, as_of)

    async def _benchmark(self, fund: Fund, as_of: datetime, prices: Mapping[str, Price]) -> Decimal:
        """Base currency; see EquityPoint. The capital itself until something of the first universe has a price."""
        start, first = await self._start(fund, as_of)
        known = [symbol for symbol in start.universe if symbol in first]
        if any(symbol not in prices for symbol in known):
            prices = await self._market.prices(fund.config.venue, known, fund.config.timeframe, as_of)
        gained = sum((prices[symbol].value / first[symbol].value - 1 for symbol in known if symbol in prices), ZERO)
        return book(fund.capital * (1 + gained / len(start.universe)))

    async def _start(self, fund: Fund, as_of: datetime) -> tuple[Start, Mapping[str, Price]]:
        """What is bought at which price by ``as_of``. A symbol that had none at the start is bought at its first."""
        known = self._starts.get(fund.id)
        if known is not None:
            return known
        async with self._database.transaction(fund.tenant_id) as tx:
            start = await decision_store.first(tx, fund.id)
        assert start is not None, "a bar is marked after its decision was stored"
        config = fund.config
        prices = dict(await self._market.prices(config.venue, start.universe, config.timeframe, start.at))
        for symbol in start.universe:
            series = Series(config.venue, symbol, config.timeframe)
            if symbol not in prices and (bought := await self._market.first_price(series, start.at, as_of)):
                prices[symbol] = bought
        if len(prices) < len(start.universe):
            return start, prices
        self._starts[fund.id] = start, prices
        if len(self._starts) > _REMEMBERED:
            self._starts.popitem(last=False)
        return start, prices


def _held(standing: Standing) -> list[str]:
    return [symbol for symbol, position in standing.positions.items() if position.quantity > ZERO]
