from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.domain.money import book, floor_to, is_multiple, parse_decimal, plain
from alphapulse.errors import InvalidInput

amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=12)
increments = st.sampled_from([Decimal("0.00001"), Decimal("0.25"), Decimal(1), Decimal("0.003")])


@pytest.mark.parametrize("text", [" 1", "1_0", "\u0660.\u0661", "1e9999", "0e-9999"])
def test_only_plain_ascii_numbers_are_money(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_decimal(text, "quantity")


@pytest.mark.parametrize("text", ["", "ten", "NaN", "Infinity", "1e15", "-1e400", "1e-13", "0x10", "1\x00"])
def test_what_is_not_money_is_refused_and_names_the_field(text: str) -> None:
    with pytest.raises(InvalidInput, match="^quantity: ") as caught:
        parse_decimal(text, "quantity")
    assert caught.value.fix


@pytest.mark.parametrize("text", ["0", "-0.00", "0e-999", "0E+999"])
def test_a_zero_is_a_zero_whatever_its_exponent(text: str) -> None:
    assert parse_decimal(text, "fee_cushion").as_tuple() == Decimal(0).as_tuple()


@given(amounts, increments)
def test_rounding_down_never_raises_the_magnitude_and_loses_less_than_one_step(
    value: Decimal, increment: Decimal
) -> None:
    floored = floor_to(value, increment)
    assert is_multiple(floored, increment)
    assert abs(floored) <= abs(value) < abs(floored) + increment


@given(amounts)
def test_the_plain_form_reads_back_as_the_same_number_without_exponent(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value
    assert "E" not in text


def test_the_books_keep_twelve_places_and_round_half_to_even() -> None:
    assert book(Decimal("0.0000000000025")) == Decimal("2e-12")
    assert book(Decimal("0.0000000000035")) == Decimal("4e-12")


def test_plain_writes_zero_as_zero() -> None:
    assert [plain(Decimal(text)) for text in ("0", "-0.00", "1E+3", "0.10")] == ["0", "0", "1000", "0.1"]
