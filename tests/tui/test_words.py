from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from alphapulse.tui import words

D = Decimal


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0", "0.00"),
        ("-0", "0.00"),
        ("1234567.895", "1,234,567.90"),
        ("-1234.5", "-1,234.50"),
        ("0.004", "0.0040"),
        ("0.000000012345", "0.000000012"),
        ("999999999999999", "999,999,999,999,999.00"),
    ],
)
def test_money_shows_cents_and_never_hides_a_small_amount(value: str, shown: str) -> None:
    assert words.money(D(value)) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("64250.1", "64,250.10"),
        ("171.2", "171.20"),
        ("3.14159", "3.1416"),
        ("0.00001234", "0.00001234"),
        ("1e-18", "0.000000000000000001"),
    ],
)
def test_a_price_has_as_many_places_as_its_magnitude_needs(value: str, shown: str) -> None:
    assert words.price(D(value)) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0.84210000", "0.8421"),
        ("1234567", "1,234,567"),
        ("-0.5", "-0.5"),
        ("1e-18", "0.000000000000000001"),
        ("0", "0"),
    ],
)
def test_a_quantity_has_no_trailing_zeros(value: str, shown: str) -> None:
    assert words.quantity(D(value)) == shown


def test_gains_and_losses_differ_without_colour() -> None:
    assert words.gain(D("12.3")) == "▲ +12.30"
    assert words.gain(D("-12.3")) == "▼ -12.30"
    assert words.gain(D(0)) == "= +0.00"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-3, "0s"), (4, "4s"), (185, "3m 05s"), (7800, "2h 10m"), (2_692_800, "31d 4h")]
)
def test_an_age_is_told_in_its_two_largest_units(seconds: int, shown: str) -> None:
    assert words.age(timedelta(seconds=seconds)) == shown


def test_text_from_outside_cannot_steer_the_terminal() -> None:
    assert words.safe("a\x1b[31m\nb\u202e") == "a [31m b "
