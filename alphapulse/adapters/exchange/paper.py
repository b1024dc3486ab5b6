"""The paper venue: a pure function of an order and the bars since, by the rules of ``quant/simulation``.

It keeps nothing. Submitting an order and asking for it are the same computation, so a crash loses nothing and
a repeat changes nothing; open orders survive a restart because they are stored orders of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from alphapulse.domain.market import Instrument, Series
from alphapulse.domain.orders import NOT_SENT, Fill, Order, OrderType, VenueReport, VenueState
from alphapulse.errors import NotFound, TryAgain, Unavailable
from alphapulse.quant.simulation import Execution, PaperRules, execute
from alphapulse.quant.window import Window, joined

#: (series, since, until, limit) -> the bars that open at ``since`` or later and had closed at ``until``.
Candles = Callable[[Series, datetime, datetime, int], Awaitable[Window]]
Instruments = Callable[[str], Awaitable[Mapping[str, Instrument]]]

#: Bars asked for at a time.
_PAGE = 5_000


class PaperExchange:
    """Executes orders against candles. rules: spread, slippage, fee, volume share."""

    def __init__(self, candles: Candles, instruments: Instruments, rules: PaperRules | None = None) -> None:
        self._candles = candles
        self._instruments = instruments
        self._rules = rules or PaperRules()

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
        series = Series(request.venue, request.symbol, order.timeframe)
        since = order.at
        if request.type is OrderType.MARKET:
            since -= order.timeframe.length
        execution = execute(request, await self._bars(series, since, as_of), instrument, self._rules)
        return VenueReport(name, *_state(order, execution))

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


def _state(order: Order, execution: Execution) -> tuple[VenueState, tuple[Fill, ...], str]:
    if execution.quantity == order.request.quantity:
        return VenueState.FILLED, execution.fills, ""
    if execution.expired:
        return VenueState.EXPIRED, execution.fills, "not enough volume to fill the rest"
    return VenueState.OPEN, execution.fills, ""
