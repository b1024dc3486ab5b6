"""How orders fill against bars: the rules of the paper venue, shared with backtests.

Pure and deterministic: the same order and the same bars give the same fills, so nothing about a simulated
order has to be stored to survive a restart.

The rules, in order of weight:

1. A bar takes at most ``volume_share`` of its volume from all orders of one fund together, rounded down to the
   instrument's lot; an older order takes first.
2. A market order trades at the close of the bar that closed when it was placed, and what is left at the closes
   of the following bars. It pays half the spread and the slippage, rounded against it to the tick.
3. The rest of a market purchase never pays more than its first bar's price: the cash that was checked suffices.
   After ``market_bars`` bars what is left expires.
4. A limit order trades only in bars that open at or after its placement, and only in those that trade *through*
   its price (low below a purchase's limit, high above a sale's): at a mere touch, others stood in the queue before it.
   It gets its limit, or the open where the bar opened better. It rests until it is filled or cancelled.
5. The fee is ``fee_rate`` of the traded value, in the quote currency or in what was received.

Not simulated: the market impact beyond ``slippage``, maker rebates, latency within a bar.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from alphapulse.domain.market import Instrument
from alphapulse.domain.money import ZERO, book, floor_to
from alphapulse.domain.orders import Fill, OrderRequest, OrderType, Side
from alphapulse.errors import InvalidInput
from alphapulse.quant.window import Window, to_price

NOTHING: Mapping[datetime, Decimal] = MappingProxyType({})


class FeeCurrency(StrEnum):
    QUOTE = "quote"
    RECEIVED = "received"  # base currency for purchases, quote currency for sales


@dataclass(frozen=True, slots=True)
class PaperRules:
    """half_spread, slippage, fee_rate: fractions of the price. volume_share: of a bar's volume, for all
    orders of a fund.

    market_bars: how many bars a market order may take before what is left of it expires.
    """

    half_spread: Decimal = Decimal("0.0001")
    slippage: Decimal = Decimal("0.0002")
    fee_rate: Decimal = Decimal("0.001")
    volume_share: Decimal = Decimal("0.1")
    market_bars: int = 6
    fee_currency: FeeCurrency = FeeCurrency.QUOTE

    def __post_init__(self) -> None:
        for name in ("half_spread", "slippage", "fee_rate"):
            if not ZERO <= getattr(self, name) < 1:
                raise InvalidInput(f"paper.{name} must lie in [0, 1)", field=f"paper.{name}")
        if not ZERO < self.volume_share <= 1:
            raise InvalidInput("paper.volume_share must lie in (0, 1]", field="paper.volume_share")
        if self.market_bars < 1:
            raise InvalidInput("paper.market_bars must be at least 1", field="paper.market_bars")

    @property
    def cost(self) -> Decimal:
        """What a market order loses against the close, fee included, as a fraction, before rounding to the tick."""
        return self.half_spread + self.slippage + self.fee_rate


@dataclass(frozen=True, slots=True)
class Execution:
    """fills: oldest first. expired: the rest will never trade."""

    fills: tuple[Fill, ...]
    expired: bool

    @property
    def quantity(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills), ZERO)


def execute(
    request: OrderRequest,
    bars: Window,
    instrument: Instrument,
    rules: PaperRules,
    *,
    booked: Sequence[Fill] = (),
    taken: Mapping[datetime, Decimal] = NOTHING,
) -> Execution:
    """What became of ``request`` by the end of ``bars``.

    bars: from the bar that closed when the order was placed, if there was one, up to now; for a limit order
    only those that opened at or after its placement. booked: fills of this order that stand already; a bar that gave
    one gives no other. taken: by a bar's close, what the fund's other orders took from it, base currency.
    """
    market = request.type is OrderType.MARKET
    offers = _market_offers(request.side, bars, instrument, rules) if market else _limit_offers(request, bars)
    fills = list(booked)
    left = request.quantity - sum((fill.quantity for fill in booked), ZERO)
    settled = {fill.at for fill in booked}
    for index, price in offers:
        if left <= ZERO:
            break
        at = bars.closed_at(index)
        quantity = min(left, tradable(bars, index, instrument, rules) - taken.get(at, ZERO))
        if quantity > ZERO and at not in settled:
            fills.append(_fill(request, bars, index, price, quantity, rules))
            left -= quantity
    fills.sort(key=lambda fill: fill.at)
    return Execution(tuple(fills), expired=market and left > ZERO and len(bars) >= rules.market_bars)


def tradable(bars: Window, index: int, instrument: Instrument, rules: PaperRules) -> Decimal:
    """Base currency that a fund's orders may take from a bar (rule 1)."""
    return floor_to(rules.volume_share * to_price(bars.volume[index]), instrument.quantity_increment)


def market_price(side: Side, close: Decimal, instrument: Instrument, rules: PaperRules) -> Decimal:
    """What a market order pays or gets when the last price is ``close`` (rule 2)."""
    price = close * (1 + side.sign * (rules.half_spread + rules.slippage))
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    ticks = (price / instrument.price_increment).to_integral_value(rounding=rounding)
    return book(ticks * instrument.price_increment) or book(price)


def _market_offers(
    side: Side, bars: Window, instrument: Instrument, rules: PaperRules
) -> Iterator[tuple[int, Decimal]]:
    first: Decimal | None = None
    for index in range(min(len(bars), rules.market_bars)):
        price = market_price(side, to_price(bars.close[index]), instrument, rules)
        first = price if first is None else first
        if side is Side.SELL or price <= first:
            yield index, price


def _limit_offers(request: OrderRequest, bars: Window) -> Iterator[tuple[int, Decimal]]:
    limit = request.limit_price
    if limit is None:
        raise InvalidInput("a limit order needs limit_price", field="limit_price")
    buys = request.side is Side.BUY
    through = bars.low < float(limit) if buys else bars.high > float(limit)
    for index in np.flatnonzero(through).tolist():
        opened = to_price(bars.open[index])
        yield index, min(limit, opened) if buys else max(limit, opened)


def _fill(
    request: OrderRequest, bars: Window, index: int, price: Decimal, quantity: Decimal, rules: PaperRules
) -> Fill:
    """One bar gives one fill, so the bar's close names it: the same at every restart."""
    base, _, quote = request.symbol.partition("/")
    at = bars.closed_at(index)
    received = rules.fee_currency is FeeCurrency.RECEIVED and request.side is Side.BUY
    fee = quantity * rules.fee_rate if received else price * quantity * rules.fee_rate
    return Fill(f"bar-{at:%Y%m%dT%H%MZ}", price, quantity, book(fee), base if received else quote, at)
