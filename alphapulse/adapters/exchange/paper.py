"""The paper venue: a pure function of a fund's orders and the bars since, by the rules of ``quant/simulation``.

It keeps nothing. Submitting an order and asking for it are the same computation, so a crash loses nothing and
a repeat changes nothing; open orders survive a restart because they are stored orders of ours. What was booked stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from alphapulse.domain.funds import Fund
from alphapulse.domain.market import Instrument, Series
from alphapulse.domain.money import ZERO
from alphapulse.domain.orders import NOT_SENT, Fill, Order, OrderType, VenueReport, VenueState
from alphapulse.errors import NotFound, TryAgain, Unavailable
from alphapulse.ports.exchange import ReadOrders
from alphapulse.quant.simulation import Execution, PaperRules, execute
from alphapulse.quant.window import Window, joined

#: (series, since, until, limit) -> the bars that open at ``since`` or later and had closed at ``until``.
Candles = Callable[[Series, datetime, datetime, int], Awaitable[Window]]
Instruments = Callable[[str], Awaitable[Mapping[str, Instrument]]]

#: Bars asked for at a time.
_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class _Account:
    """A fund's orders as they are stored. live: oldest first. booked: fills of the live ones, oldest first.

    taken: by series and close of the bar, what all of the fund's orders took of it, base currency.
    """

    live: tuple[Order, ...]
    booked: Mapping[UUID, tuple[Fill, ...]]
    taken: Mapping[Series, Mapping[datetime, Decimal]]


class PaperExchange:
    """Executes orders against candles. orders_of: a fund's orders as they are stored. rules: spread, slippage, fee,
    volume share. fund: whose account this is; see ``of``.
    """

    def __init__(
        self,
        candles: Candles,
        instruments: Instruments,
        orders_of: ReadOrders,
        rules: PaperRules | None = None,
        *,
        fund: Fund | None = None,
    ) -> None:
        self._candles = candles
        self._instruments = instruments
        self._orders_of = orders_of
        self._rules = rules or PaperRules()
        self._fund = fund
        self._account: _Account | None = None
        self._known: dict[tuple[UUID, datetime], Execution] = {}

    def of(self, fund: Fund) -> PaperExchange:
        """As the port says. The fund's other orders are read at the first question, and once."""
        return PaperExchange(self._candles, self._instruments, self._orders_of, self._rules, fund=fund)

    @property
    def visibility(self) -> timedelta:
        return timedelta(0)

    async def submit(self, order: Order, as_of: datetime) -> VenueReport:
        """The order as it stands at ``as_of``; rejected when the venue does not trade the symbol."""
        if order.cancel_requested_at is not None:
            return await self.cancel(order, as_of)
        return await self._stand(order, as_of)

    async def report(self, order: Order, as_of: datetime) -> VenueReport | None:
        """None for an order that was intended and never booked as taken: this venue is what our books say of it."""
        return None if order.status in NOT_SENT else await self.submit(order, as_of)

    async def cancel(self, order: Order, as_of: datetime) -> VenueReport:
        """The order with what it had filled when the cancel was asked for (``cancel_requested_at``, else ``as_of``)."""
        stand = await self._stand(order, min(as_of, order.cancel_requested_at or as_of))
        if stand.state is not VenueState.OPEN:
            return stand
        return VenueReport(stand.venue_order_id, VenueState.CANCELLED, stand.fills, "cancelled on request")

    async def _stand(self, order: Order, as_of: datetime) -> VenueReport:
        request, name = order.request, f"paper-{order.client_order_id}"
        instrument = (await self._instruments(request.venue)).get(request.symbol)
        if instrument is None:
            return VenueReport(name, VenueState.REJECTED, (), f"{request.symbol} is not traded on {request.venue}")
        account = await self._orders()
        series = _series(order)
        taken = defaultdict(lambda: ZERO, account.taken.get(series, {}))
        for older in account.live:
            if older.id == order.id:
                break
            if _series(older) == series:
                booked = account.booked.get(older.id, ())
                until = min(as_of, older.cancel_requested_at or as_of)
                for fill in (await self._execution(older, until, instrument, taken)).fills:
                    if fill not in booked:
                        taken[fill.at] += fill.quantity
        return VenueReport(name, *_state(order, await self._execution(order, as_of, instrument, taken)))

    async def _execution(
        self, order: Order, as_of: datetime, instrument: Instrument, taken: Mapping[datetime, Decimal]
    ) -> Execution:
        """Computed once per pass: an older order stands where it stood when it was asked about itself."""
        known = self._known.get((order.id, as_of))
        if known is None:
            since = order.at
            if order.request.type is OrderType.MARKET:
                since -= order.timeframe.length
            bars = await self._bars(_series(order), since, as_of)
            booked = (await self._orders()).booked.get(order.id, ())
            known = execute(order.request, bars, instrument, self._rules, booked=booked, taken=taken)
            self._known[order.id, as_of] = known
        return known

    async def _orders(self) -> _Account:
        """Raises ValueError on the venue itself, which is nobody's account."""
        if self._account is None:
            if self._fund is None:
                raise ValueError("ask the account of a fund: PaperExchange.of")
            stored = await self._orders_of(self._fund)
            booked: defaultdict[UUID, list[Fill]] = defaultdict(list)
            taken: defaultdict[Series, defaultdict[datetime, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
            for series, order_id, fill in stored.fills:
                booked[order_id].append(fill)
                taken[series][fill.at] += fill.quantity
            self._account = _Account(stored.live, {key: tuple(found) for key, found in booked.items()}, taken)
        return self._account

    async def _bars(self, series: Series, since: datetime, as_of: datetime) -> Window:
        """Raises Unavailable when the candles cannot be had: the order is then where it was."""
        pages: list[Window] = []
        try:
            while not pages or len(pages[-1]) == _PAGE:
                pages.append(await self._candles(series, since, as_of, _PAGE))
                if len(pages[-1]):
                    since = pages[-1].closed_at(-1)
        except (TryAgain, NotFound) as error:
            raise Unavailable(error.message, fix=error.fix) from error
        return joined(pages)


def _series(order: Order) -> Series:
    return Series(order.request.venue, order.request.symbol, order.timeframe)


def _state(order: Order, execution: Execution) -> tuple[VenueState, tuple[Fill, ...], str]:
    if execution.quantity == order.request.quantity:
        return VenueState.FILLED, execution.fills, ""
    if execution.expired:
        return VenueState.EXPIRED, execution.fills, "not enough volume to fill the rest"
    return VenueState.OPEN, execution.fills, ""
