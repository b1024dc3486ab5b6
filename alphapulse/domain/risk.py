"""The checks that every order passes before it may leave. How orders are sized: sizing.py.

``judge`` is pure: it takes values and returns values. It runs every check, also after the first failed one, so that
one answer names everything that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from uuid import UUID

from alphapulse.domain.market import Instrument
from alphapulse.domain.money import ZERO, is_multiple, plain
from alphapulse.domain.orders import Order, OrderRequest, Side
from alphapulse.domain.portfolio import Portfolio, Price
from alphapulse.errors import InvalidInput

_SHOWN = Decimal("1e-8")


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Limits of one fund.

    max_order_notional: base currency per order. max_position_fraction: of equity, per symbol.
    max_gross_exposure: of equity, all positions together (1 = fully invested, no leverage).
    price_collar: how far a limit price may lie from the last price, as a fraction of it.
    max_data_age_bars: how many bars old the last price may be. rebalance_threshold: fraction of equity
    below which a difference to the target is left alone. fee_cushion: fraction of every purchase kept back in
    cash for fees, spread and slippage; below what the venue really takes, cash can end below zero.
    """

    max_order_notional: Decimal = Decimal(1_000_000)
    max_position_fraction: Decimal = Decimal("0.5")
    max_gross_exposure: Decimal = Decimal(1)
    price_collar: Decimal = Decimal("0.1")
    max_data_age_bars: int = 2
    rebalance_threshold: Decimal = Decimal("0.02")
    fee_cushion: Decimal = Decimal("0.005")

    def __post_init__(self) -> None:
        if self.max_order_notional <= ZERO:
            raise _unfit("max_order_notional", "must be above zero", "an amount of base currency, for example 10000")
        for name in ("max_position_fraction", "max_gross_exposure", "price_collar"):
            if not ZERO < getattr(self, name) <= 1:
                raise _unfit(name, "must lie in (0, 1]", "a fraction above zero, at most 1, for example 0.25")
        for name in ("rebalance_threshold", "fee_cushion"):
            if not ZERO <= getattr(self, name) < 1:
                raise _unfit(name, "must lie in [0, 1)", "a fraction from zero on, below 1, for example 0.01")
        if not 1 <= self.max_data_age_bars <= 1000:
            raise _unfit("max_data_age_bars", "must lie in [1, 1000]", "a whole number of bars, for example 2")


def _unfit(name: str, rule: str, wanted: str) -> InvalidInput:
    return InvalidInput(f"limits.{name} {rule}", field=f"limits.{name}", fix=f"Give {wanted}.")


class HaltScope(StrEnum):
    FUND = "fund"
    TENANT = "tenant"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Halt:
    """A stop of trading, latched until somebody lifts it. fund: name, for scope ``fund`` only. Times are wall time."""

    id: UUID
    scope: HaltScope
    reason: str
    actor: str
    recorded_at: datetime
    fund_id: UUID | None = None
    fund: str | None = None
    lifted_at: datetime | None = None
    lifted_by: str = ""

    def __str__(self) -> str:
        return f"scope={self.scope} reason={self.reason}"


@dataclass(frozen=True, slots=True)
class Check:
    """One check and how it went. detail: ``key=value key=value`` of the figures compared."""

    code: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every check that was made of one request. Approved when all passed."""

    checks: tuple[Check, ...]

    @property
    def approved(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def denials(self) -> tuple[str, ...]:
        return tuple(str(check) for check in self.checks if not check.passed)


@dataclass(frozen=True, slots=True)
class Openings:
    """How many positions the tenant may hold at once. elsewhere: open, or being opened, in its other funds.

    lifted_by: the tier that allows more, or ``none``.
    """

    allowed: int
    elsewhere: int
    lifted_by: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What the checks compare a request with.

    as_of: market time of the judgement. live_orders: the fund's orders that may still trade.
    halts: one line per halt in force, ``scope=... reason=...``. manual: a person asked for it;
    a halt lets through only what a person orders and what lessens a position.
    clock: where as_of comes from: ``bar`` (the bar decided on), ``wall`` (now, at a venue with a live source) or
    ``catalogue`` (the newest stored candle, at a venue without one, however old it is).
    openings: None where the tenant's plan does not limit its positions.
    """

    portfolio: Portfolio
    instruments: Mapping[str, Instrument]
    limits: RiskLimits
    as_of: datetime
    bar_length: timedelta
    live_orders: tuple[Order, ...] = ()
    halts: tuple[str, ...] = ()
    manual: bool = False
    clock: str = "bar"
    openings: Openings | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """What orders already on their way will take: base currency for purchases, quantity per symbol for sales.

    requests: fingerprint of each such order to a name for it.
    """

    cash: Decimal = ZERO
    bought: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    sold: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    requests: Mapping[str, str] = field(default_factory=dict[str, str])

    def with_order(self, request: OrderRequest, price: Decimal, quantity: Decimal, name: str) -> Reservation:
        symbol = request.symbol
        named = replace(self, requests={**self.requests, request.fingerprint(): name})
        if request.side is Side.BUY:
            return replace(
                named,
                cash=self.cash + price * quantity,
                bought={**self.bought, symbol: self.bought.get(symbol, ZERO) + quantity},
            )
        return replace(named, sold={**self.sold, symbol: self.sold.get(symbol, ZERO) + quantity})


def reserved_by(orders: Iterable[Order], prices: Mapping[str, Price]) -> Reservation:
    """What live orders still take. A market order counts at the last price."""
    reservation = Reservation()
    for order in orders:
        price = prices.get(order.request.symbol)
        worth = order.request.limit_price or (price.value if price else ZERO)
        reservation = reservation.with_order(order.request, worth, order.remaining, order.client_order_id)
    return reservation


def judge_plan(requests: Iterable[OrderRequest], situation: Situation) -> list[Verdict]:
    """One verdict per request, in order; what an approved request takes is gone for the next."""
    reservation = reserved_by(situation.live_orders, situation.portfolio.prices)
    verdicts: list[Verdict] = []
    for request in requests:
        verdict = judge(request, situation, reservation)
        verdicts.append(verdict)
        if verdict.approved:
            price = request.limit_price or situation.portfolio.prices[request.symbol].value
            reservation = reservation.with_order(request, price, request.quantity, "same-plan")
    return verdicts


def judge(request: OrderRequest, situation: Situation, reservation: Reservation) -> Verdict:
    """Every check of one request; without an instrument, a price or a common currency only that one."""
    instrument = situation.instruments.get(request.symbol)
    if instrument is None or instrument.venue != request.venue:
        return Verdict((Check("INSTRUMENT_NOT_FOUND", False, f"venue={request.venue} symbol={request.symbol}"),))
    if instrument.quote != situation.portfolio.base_currency:
        detail = f"quote={instrument.quote} base_currency={situation.portfolio.base_currency}"
        return Verdict((Check("QUOTE_CURRENCY_MISMATCH", False, detail),))
    last = situation.portfolio.prices.get(request.symbol)
    if last is None:
        return Verdict((Check("STALE_MARKET_DATA", False, f"symbol={request.symbol} price=none"),))
    price = request.limit_price or last.value
    return Verdict(
        (
            Check("INSTRUMENT_NOT_FOUND", True, f"venue={request.venue} symbol={request.symbol}"),
            _halt(request, situation),
            *_form(request, instrument, price),
            *_price(request, situation, last),
            _order_notional(request, situation, price),
            _free_balance(request, situation, reservation, price),
            *_exposure(request, situation, reservation, price),
            *_opening(request, situation, reservation),
            _duplicate(request, reservation),
        )
    )


def _halt(request: OrderRequest, situation: Situation) -> Check:
    held = situation.portfolio.positions.get(request.symbol)
    reduces = request.side is Side.SELL and held is not None and request.quantity <= held.quantity
    passed = not situation.halts or (situation.manual and reduces)
    return Check("TRADING_HALTED", passed, "; ".join(situation.halts) or "halts=none")


def _form(request: OrderRequest, instrument: Instrument, price: Decimal) -> tuple[Check, ...]:
    notional = request.quantity * price
    checks = [
        Check(
            "QUANTITY_PRECISION",
            is_multiple(request.quantity, instrument.quantity_increment),
            f"quantity={plain(request.quantity)} increment={plain(instrument.quantity_increment)}",
        ),
        Check(
            "QUANTITY_BELOW_MINIMUM",
            request.quantity >= instrument.min_quantity,
            f"quantity={plain(request.quantity)} minimum={plain(instrument.min_quantity)}",
        ),
        Check(
            "NOTIONAL_BELOW_MINIMUM",
            notional >= instrument.min_notional,
            f"notional={_figure(notional)} minimum={plain(instrument.min_notional)}",
        ),
    ]
    if request.limit_price is not None:
        checks.append(
            Check(
                "PRICE_PRECISION",
                is_multiple(request.limit_price, instrument.price_increment),
                f"limit_price={plain(request.limit_price)} increment={plain(instrument.price_increment)}",
            )
        )
    return tuple(checks)


def _price(request: OrderRequest, situation: Situation, last: Price) -> tuple[Check, ...]:
    age = situation.as_of - last.at
    allowed = situation.limits.max_data_age_bars * situation.bar_length
    checks = [
        Check(
            "STALE_MARKET_DATA",
            timedelta(0) <= age <= allowed,
            f"age_s={int(age.total_seconds())} max_s={int(allowed.total_seconds())}"
            f" as_of={situation.as_of:%Y-%m-%dT%H:%M:%SZ} clock={situation.clock}",
        )
    ]
    if request.limit_price is not None:
        distance = abs(request.limit_price - last.value) / last.value
        checks.append(
            Check(
                "PRICE_COLLAR",
                distance <= situation.limits.price_collar,
                f"limit_price={plain(request.limit_price)} last={plain(last.value)}"
                f" distance={distance:.4f} max={plain(situation.limits.price_collar)}",
            )
        )
    return tuple(checks)


def _order_notional(request: OrderRequest, situation: Situation, price: Decimal) -> Check:
    notional, limit = request.quantity * price, situation.limits.max_order_notional
    return Check(
        "NOTIONAL_EXCEEDS_MAX_PER_ORDER",
        notional <= limit,
        f"notional={_figure(notional)} max={plain(limit)}",
    )


def _free_balance(request: OrderRequest, situation: Situation, reservation: Reservation, price: Decimal) -> Check:
    portfolio = situation.portfolio
    if request.side is Side.BUY:
        notional = request.quantity * price
        free = portfolio.cash / (1 + situation.limits.fee_cushion) - reservation.cash
        detail = f"notional={_figure(notional)} free={_figure(free)} asset={portfolio.base_currency}"
        return Check("NOTIONAL_EXCEEDS_FREE_BALANCE", notional <= free, detail)
    base = request.symbol.partition("/")[0]
    held = portfolio.balances.get(base, ZERO)
    if request.quantity > held:
        return Check(
            "SHORT_NOT_SUPPORTED",
            False,
            f"quantity={plain(request.quantity)} held={plain(held)} asset={base}",
        )
    free = held - reservation.sold.get(request.symbol, ZERO)
    detail = f"quantity={plain(request.quantity)} free={plain(free)} asset={base}"
    return Check("NOTIONAL_EXCEEDS_FREE_BALANCE", request.quantity <= free, detail)


def _exposure(
    request: OrderRequest, situation: Situation, reservation: Reservation, price: Decimal
) -> tuple[Check, ...]:
    """A sale lowers exposure and is never held up by these two.

    In both, what is held counts at the last price, and this order at its limit price if it has one.
    """
    if request.side is Side.SELL:
        return ()
    portfolio, limits = situation.portfolio, situation.limits
    equity = portfolio.equity
    held = portfolio.positions.get(request.symbol)
    quantity = (held.quantity if held else ZERO) + reservation.bought.get(request.symbol, ZERO)
    last = portfolio.prices[request.symbol].value
    position = quantity * last + request.quantity * price
    gross = portfolio.gross_exposure + reservation.cash + request.quantity * price
    position_limit, gross_limit = limits.max_position_fraction * equity, limits.max_gross_exposure * equity
    return (
        Check(
            "POSITION_LIMIT", position <= position_limit, f"position={_figure(position)} max={_figure(position_limit)}"
        ),
        Check("GROSS_EXPOSURE_LIMIT", gross <= gross_limit, f"gross={_figure(gross)} max={_figure(gross_limit)}"),
    )


def _opening(request: OrderRequest, situation: Situation, reservation: Reservation) -> tuple[Check, ...]:
    """Whether the tenant's plan allows one more position. More of what is held, and every sale, is none."""
    openings = situation.openings
    if openings is None or request.side is Side.SELL:
        return ()
    here = {symbol for symbol, position in situation.portfolio.positions.items() if position.quantity > ZERO}
    opened = len(here.union(reservation.bought))
    wanted = openings.elsewhere + len(here.union(reservation.bought, {request.symbol}))
    passed = wanted <= openings.allowed or wanted == openings.elsewhere + opened
    detail = f"positions={wanted} max={openings.allowed} lifted_by={openings.lifted_by}"
    return (Check("TIER_POSITIONS", passed, detail),)


def _figure(value: Decimal) -> str:
    """A product as the checks print it: at most eight decimals; what is compared keeps them all."""
    return plain(value.quantize(_SHOWN, rounding=ROUND_HALF_EVEN))


def _duplicate(request: OrderRequest, reservation: Reservation) -> Check:
    twin = reservation.requests.get(request.fingerprint())
    return Check("DUPLICATE_ORDER", twin is None, f"twin={twin or 'none'}")
