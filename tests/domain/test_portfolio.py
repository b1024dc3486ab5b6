"""Books: whatever is filled, value is neither made nor lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.money import ZERO, book
from alphapulse.domain.orders import Fill, Side
from alphapulse.domain.portfolio import (
    Account,
    Entry,
    EntryKind,
    Portfolio,
    Position,
    Posting,
    Price,
    apply_fill,
    balances,
    capital_entry,
    fill_entry,
)
from alphapulse.errors import Defect

AT = datetime(2024, 1, 1, tzinfo=UTC)
FUND = uuid4()
CAPITAL = Decimal(100_000)


def test_a_purchase_adds_cost_and_a_sale_realises_against_the_average() -> None:
    position = apply_fill(Position("BTC/USDT"), Side.BUY, fill("100", "2"))
    position = apply_fill(position, Side.BUY, fill("200", "2"))
    assert position.average_cost == Decimal(150)
    position = apply_fill(position, Side.SELL, fill("300", "1"))
    assert (position.quantity, position.realised, position.cost) == (Decimal(3), Decimal(150), Decimal(450))


def test_selling_everything_leaves_no_cost_behind() -> None:
    position = apply_fill(Position("BTC/USDT"), Side.BUY, fill("3", "1"))
    for quantity in ("0.3", "0.3", "0.4"):
        position = apply_fill(position, Side.SELL, fill("3", quantity))
    assert (position.quantity, position.cost, position.realised) == (ZERO, ZERO, ZERO)


def test_a_fee_in_the_base_currency_lowers_what_is_held() -> None:
    position = apply_fill(Position("BTC/USDT"), Side.BUY, fill("100", "1", fee="0.01", asset="BTC"))
    assert position.quantity == Decimal("0.99")
    assert position.fees == Decimal(1)


def test_an_entry_that_does_not_balance_cannot_exist() -> None:
    with pytest.raises(Defect, match="zero"):
        Entry(uuid4(), EntryKind.FILL, AT, (Posting(Account.WALLET, "BTC", Decimal(1)),))


def test_what_has_no_price_is_named_and_left_out_of_equity() -> None:
    portfolio = Portfolio(FUND, "USDT", {"USDT": Decimal(10), "BTC": Decimal(1)}, {})
    assert portfolio.equity == Decimal(10)
    assert portfolio.unpriced == ("BTC",)


money = st.decimals("0.000001", "90000", places=6)
amounts = st.decimals("0.00000001", "50", places=8)
fees = st.decimals("0", "0.01", places=8)
bases = st.sampled_from(("BTC", "ETH"))
trades = st.lists(st.tuples(bases, st.booleans(), money, amounts, fees, st.booleans()), max_size=25)


@given(trades, money, money)
def test_any_sequence_of_fills_conserves_value(
    drawn: list[tuple[str, bool, Decimal, Decimal, Decimal, bool]], btc: Decimal, eth: Decimal
) -> None:
    """Equity = capital + realised + unrealised - fees, to the last booked digit, after every single fill."""
    entries = [capital_entry(FUND, "USDT", CAPITAL, AT)]
    positions: dict[str, Position] = {}
    prices = {"BTC/USDT": Price(btc, AT), "ETH/USDT": Price(eth, AT)}
    for number, (base, buys, price, quantity, rate, in_base) in enumerate(drawn):
        symbol = f"{base}/USDT"
        position = positions.get(symbol, Position(symbol))
        side = Side.BUY if buys or position.quantity <= ZERO else Side.SELL
        traded = quantity if side is Side.BUY else min(quantity, position.quantity)
        # A venue takes a fee in the base currency out of what it delivers, never on a sale.
        received = in_base and side is Side.BUY
        fee = book(traded * rate) if received else book(traded * price * rate)
        made = Fill(str(number), price, traded, fee, base if received else "USDT", AT)
        entries.append(fill_entry(uuid4(), symbol, side, made))
        positions[symbol] = apply_fill(position, side, made)
        portfolio = Portfolio(FUND, "USDT", balances(entries), positions, prices)
        held = positions.values()
        assert portfolio.equity == (
            CAPITAL
            + sum((each.realised for each in held), ZERO)
            + sum((each.unrealised(prices[each.symbol].value) for each in held), ZERO)
            - sum((each.fees for each in held), ZERO)
        )
        assert all(each.quantity == portfolio.balances.get(each.symbol[:3], ZERO) for each in held)


@given(trades)
def test_the_ledger_sums_to_zero_per_asset_over_all_accounts(
    drawn: list[tuple[str, bool, Decimal, Decimal, Decimal, bool]],
) -> None:
    totals: dict[str, Decimal] = {}
    for number, (base, buys, price, quantity, rate, _) in enumerate(drawn):
        made = Fill(str(number), price, quantity, book(quantity * price * rate), "USDT", AT)
        for posting in fill_entry(uuid4(), f"{base}/USDT", Side.BUY if buys else Side.SELL, made).postings:
            totals[posting.asset] = totals.get(posting.asset, ZERO) + posting.amount
    assert not any(totals.values())


def test_a_fill_in_a_third_currency_pays_its_fee_from_the_wallet() -> None:
    entry = fill_entry(uuid4(), "BTC/USDT", Side.BUY, replace(fill("100", "1"), fee=Decimal("0.1"), fee_asset="BNB"))
    assert balances([entry]) == {"BTC": Decimal(1), "USDT": Decimal(-100), "BNB": Decimal("-0.1")}


def fill(price: str, quantity: str, *, fee: str = "0", asset: str = "USDT") -> Fill:
    return Fill("1", Decimal(price), Decimal(quantity), Decimal(fee), asset, AT)
