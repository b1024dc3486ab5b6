"""From target weights to orders: how much to buy and sell of what. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from alphapulse.domain.market import Instrument
from alphapulse.domain.money import ZERO, floor_to
from alphapulse.domain.orders import Order, OrderRequest, OrderType, Side
from alphapulse.domain.portfolio import Portfolio
from alphapulse.domain.risk import Reservation, RiskLimits, reserved_by


def size(
    weights: Mapping[str, float],
    portfolio: Portfolio,
    instruments: Mapping[str, Instrument],
    limits: RiskLimits,
    live_orders: tuple[Order, ...] = (),
) -> list[OrderRequest]:
    """Orders that move the portfolio to ``weights`` (fraction of equity per symbol, >= 0), sales first.

    Symbols with a live order are left alone. Quantities are rounded down to the instrument's increment.
    Purchases are shrunk alike to the free cash and to the room below the gross exposure limit; what sales of
    the same plan bring in is spent from the next bar on. Differences below the rebalance threshold or the
    instrument's minima are left alone. A weight of zero sells the whole position.
    """
    equity = portfolio.equity
    smallest = limits.rebalance_threshold * equity
    busy = {order.request.symbol for order in live_orders}
    sales: list[OrderRequest] = []
    wanted: list[tuple[Instrument, Decimal, Decimal]] = []
    for symbol in sorted(set(weights) - busy):
        price, instrument = portfolio.prices.get(symbol), instruments.get(symbol)
        if price is None or instrument is None:
            continue
        held = _sellable(portfolio, instrument)
        weight = min(max(ZERO, Decimal(repr(weights[symbol]))), limits.max_position_fraction)
        difference = weight * equity - held * price.value
        if weight > ZERO and abs(difference) < smallest:
            continue
        if difference > ZERO:
            wanted.append((instrument, min(difference, limits.max_order_notional), price.value))
        elif held > ZERO:
            quantity = held if weight == ZERO else -difference / price.value
            quantity = min(quantity, limits.max_order_notional / price.value)
            _add(sales, instrument, Side.SELL, quantity, price.value)
    needed = sum((notional for _, notional, _ in wanted), ZERO)
    room = _room(portfolio, limits, reserved_by(live_orders, portfolio.prices))
    share = min(Decimal(1), room / needed) if needed > ZERO and room > ZERO else ZERO
    purchases: list[OrderRequest] = []
    for instrument, notional, price_value in wanted:
        # A remnant of the cash would only buy crumbs, bar after bar.
        if share == 1 or notional * share >= smallest:
            _add(purchases, instrument, Side.BUY, notional * share / price_value, price_value)
    return sales + purchases


def _sellable(portfolio: Portfolio, instrument: Instrument) -> Decimal:
    """What the position holds and the wallet still has: a fee in the base currency may have taken some of it."""
    position = portfolio.positions.get(instrument.symbol)
    if position is None:
        return ZERO
    return min(position.quantity, portfolio.balances.get(instrument.base, ZERO))


def _room(portfolio: Portfolio, limits: RiskLimits, reservation: Reservation) -> Decimal:
    """Base currency that purchases may take now."""
    cash = portfolio.cash / (1 + limits.fee_cushion)
    exposure = limits.max_gross_exposure * portfolio.equity - portfolio.gross_exposure
    return min(cash, exposure) - reservation.cash


def _add(requests: list[OrderRequest], instrument: Instrument, side: Side, quantity: Decimal, price: Decimal) -> None:
    quantity = floor_to(quantity, instrument.quantity_increment)
    if quantity > ZERO and quantity >= instrument.min_quantity and quantity * price >= instrument.min_notional:
        requests.append(
            OrderRequest(instrument.venue, instrument.symbol, side, OrderType.MARKET, quantity, leg=instrument.symbol)
        )
