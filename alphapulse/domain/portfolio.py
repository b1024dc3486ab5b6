"""Books of a fund: double-entry postings, positions and what they are worth.

Every entry's postings sum to zero per asset. Accounts:

- ``wallet``   what the fund holds
- ``capital``  what its owners paid in (negative: the fund owes it to them)
- ``market``   the other side of every trade
- ``fees``     what venues took

Positions and balances derive from fills alone; the stored ones must equal a fresh derivation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from alphapulse.domain.money import ZERO, book
from alphapulse.domain.orders import Fill, Side, derived_id
from alphapulse.errors import Defect


class Account(StrEnum):
    WALLET = "wallet"
    CAPITAL = "capital"
    MARKET = "market"
    FEES = "fees"


class EntryKind(StrEnum):
    CAPITAL = "capital"
    FILL = "fill"


@dataclass(frozen=True, slots=True)
class Posting:
    """amount: of ``asset``; above zero into the account, below zero out of it."""

    account: Account
    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """One balanced set of postings. id derives from its cause, so booking twice is impossible."""

    id: UUID
    kind: EntryKind
    at: datetime
    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        totals: dict[str, Decimal] = {}
        for posting in self.postings:
            totals[posting.asset] = totals.get(posting.asset, ZERO) + posting.amount
        unbalanced = {asset: total for asset, total in totals.items() if total != ZERO}
        if unbalanced:
            raise Defect(f"ledger entry {self.id} does not sum to zero: {unbalanced}")


def capital_entry(fund_id: UUID, asset: str, amount: Decimal, at: datetime) -> Entry:
    """The owners pay ``amount`` in."""
    return Entry(
        derived_id("capital", fund_id),
        EntryKind.CAPITAL,
        at,
        (Posting(Account.WALLET, asset, amount), Posting(Account.CAPITAL, asset, -amount)),
    )


def fill_entry(order_id: UUID, symbol: str, side: Side, fill: Fill) -> Entry:
    base, _, quote = symbol.partition("/")
    quantity = side.sign * fill.quantity
    cost = side.sign * book(fill.price * fill.quantity)
    postings = [
        Posting(Account.WALLET, base, quantity),
        Posting(Account.MARKET, base, -quantity),
        Posting(Account.WALLET, quote, -cost),
        Posting(Account.MARKET, quote, cost),
    ]
    if fill.fee:
        postings += [
            Posting(Account.WALLET, fill.fee_asset, -fill.fee),
            Posting(Account.FEES, fill.fee_asset, fill.fee),
        ]
    return Entry(derived_id("fill", order_id, fill.venue_fill_id), EntryKind.FILL, fill.at, tuple(postings))


@dataclass(frozen=True, slots=True)
class Position:
    """What a fund holds of one symbol, at average cost.

    quantity: base currency, >= 0 on spot. cost: quote currency paid for what is held, fees excluded.
    realised: quote currency gained by sales, fees excluded. fees: quote currency, those paid in either
    currency of the symbol; fees in a third currency stand in the ledger's ``fees`` account only.
    """

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO

    @property
    def average_cost(self) -> Decimal | None:
        """Quote currency per unit held; None when nothing is held."""
        return book(self.cost / self.quantity) if self.quantity else None

    def unrealised(self, price: Decimal) -> Decimal:
        return book(self.quantity * price) - self.cost


def apply_fill(position: Position, side: Side, fill: Fill) -> Position:
    """The position after one fill, by the average-cost method.

    A fee in the base currency leaves with its quantity: it lowers what is held and counts as a fee at the fill's price.
    """
    base, _, quote = position.symbol.partition("/")
    value = book(fill.price * fill.quantity)
    if side is Side.BUY:
        after = replace(position, quantity=position.quantity + fill.quantity, cost=position.cost + value)
    else:
        after = _release(position, fill.quantity, value)
    if fill.fee_asset == quote:
        return replace(after, fees=after.fees + fill.fee)
    if fill.fee_asset == base and fill.fee:
        paid = book(fill.price * fill.fee)
        released = _release(after, fill.fee, paid)
        return replace(released, fees=after.fees + paid)
    return after


def _release(position: Position, quantity: Decimal, value: Decimal) -> Position:
    """``quantity`` leaves for ``value``; its share of the cost becomes realised profit or loss."""
    remaining = position.quantity - quantity
    if remaining == ZERO:
        released = position.cost
    elif position.quantity == ZERO:
        released = value
    else:
        released = book(position.cost * quantity / position.quantity)
    return replace(
        position,
        quantity=remaining,
        cost=position.cost - released,
        realised=position.realised + value - released,
    )


def balances(entries: Iterable[Entry]) -> dict[str, Decimal]:
    """Wallet balance per asset after ``entries``; assets at zero are left out."""
    totals: dict[str, Decimal] = {}
    for entry in entries:
        for posting in entry.postings:
            if posting.account is Account.WALLET:
                totals[posting.asset] = totals.get(posting.asset, ZERO) + posting.amount
    return {asset: total for asset, total in totals.items() if total}


@dataclass(frozen=True, slots=True)
class Price:
    """Last known price of a symbol. value: quote per base. at: market time it was true."""

    value: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Portfolio:
    """One fund's books at a moment. balances: wallet per asset, everything included (reserved or not)."""

    fund_id: UUID
    base_currency: str
    balances: Mapping[str, Decimal]
    positions: Mapping[str, Position]
    prices: Mapping[str, Price] = field(default_factory=dict[str, Price])

    @property
    def cash(self) -> Decimal:
        return self.balances.get(self.base_currency, ZERO)

    @property
    def equity(self) -> Decimal:
        """Base currency: cash plus every balance that has a price. See ``unpriced`` for the rest."""
        total = self.cash
        for asset, amount in self.balances.items():
            price = self.prices.get(f"{asset}/{self.base_currency}")
            if asset != self.base_currency and price is not None:
                total += book(amount * price.value)
        return total

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Assets held whose price is not known; equity leaves them out."""
        return tuple(
            sorted(
                asset
                for asset, amount in self.balances.items()
                if amount and asset != self.base_currency and f"{asset}/{self.base_currency}" not in self.prices
            )
        )

    @property
    def gross_exposure(self) -> Decimal:
        """Base currency: the absolute worth of everything held that is not cash."""
        return sum(
            (
                abs(position.quantity) * self.prices[symbol].value
                for symbol, position in self.positions.items()
                if symbol in self.prices
            ),
            ZERO,
        )


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """at: close of the bar. equity, cash, benchmark: base currency.

    benchmark: worth of the capital had it bought the first decision's universe in equal parts at that bar's close,
    without costs, and held. The part of a symbol without a price then is cash until its first close.
    """

    at: datetime
    equity: Decimal
    cash: Decimal
    benchmark: Decimal


@dataclass(frozen=True, slots=True)
class Holding:
    """One position as shown. Quote currency except quantity (base). price None: no known price."""

    fund_id: UUID
    symbol: str
    quantity: Decimal
    average_cost: Decimal | None
    price: Decimal | None
    price_at: datetime | None
    value: Decimal
    unrealised: Decimal
    realised: Decimal
    fees: Decimal


@dataclass(frozen=True, slots=True)
class PortfolioSummary:
    """A fund's books as shown, or the tenant's total over funds of one base currency (fund_id None).

    as_of: the oldest market time among the prices used; None when nothing is priced.
    """

    fund_id: UUID | None
    name: str
    base_currency: str
    equity: Decimal
    cash: Decimal
    gross_exposure: Decimal
    unrealised: Decimal
    realised: Decimal
    fees: Decimal
    positions: tuple[Holding, ...]
    unpriced: tuple[str, ...]
    as_of: datetime | None


#: Bars from which on a Sharpe ratio is shown to people.
FEWEST_BARS = 30


@dataclass(frozen=True, slots=True)
class Performance:
    """How a fund did over its equity points. Returns and drawdown are fractions (0.1 = 10 %).

    sharpe: annualised mean over standard deviation of per-bar returns, no risk-free rate; None below two bars
    or without variance. Below FEWEST_BARS it says nothing yet: people are shown "-", programs get the number.
    fees: base currency. ledger_balanced: stored books equal a fresh derivation from the fills.
    as_of: close of the last bar that was marked, which the returns reach to; None before the first. Orders, fills and
    fees are counted up to now.
    """

    fund_id: UUID
    as_of: datetime | None
    bars: int
    decisions: int
    orders: int
    fills: int
    denied: int
    fees: Decimal
    total_return: float
    benchmark_return: float
    max_drawdown: float
    sharpe: float | None
    equity_start: Decimal
    equity_end: Decimal
    ledger_balanced: bool
