"""Values as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from alphapulse.cli.text import money, percent, plot, quantity, short, signed, sparkline, time
from tests.cli.examples import ORDER_ID


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("1234567.891"), "1,234,567.89"),
        (Decimal("0.00001234"), "0.00001234"),
        (Decimal(0), "0.00"),
        (Decimal("-0.5"), "-0.5"),
        (None, "-"),
    ],
)
def test_money_keeps_what_matters(value: Decimal | None, shown: str) -> None:
    assert money(value) == shown


def test_a_quantity_keeps_every_place_and_separates_thousands() -> None:
    values = ("1234567.00012345", "-1234", "0.5", "-0.25", "0")
    assert [quantity(Decimal(value)) for value in values] == ["1,234,567.00012345", "-1,234", "0.5", "-0.25", "0"]


def test_a_gain_carries_its_sign() -> None:
    assert (signed(Decimal(3)), signed(Decimal(-3)), percent(0.0123), percent(None)) == (
        "+3.00",
        "-3.00",
        "+1.23 %",
        "-",
    )


def test_times_are_utc_and_say_so() -> None:
    assert time(datetime(2026, 3, 1, 12, tzinfo=UTC)) == "2026-03-01 12:00Z"
    assert time(datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)) == "2026-03-01 12:00:07Z"


def test_an_id_is_shortened_to_what_commands_take() -> None:
    assert short(ORDER_ID) == "1a2b3c4d"


def test_a_sparkline_runs_from_the_lowest_to_the_highest() -> None:
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert sparkline([]) == ""
    assert len(sparkline(list(range(1000)), 40)) == 40


def test_a_flat_line_is_drawn_too() -> None:
    assert sparkline([5, 5, 5]) == "▁▁▁"
    assert len(plot([[5.0, 5.0]], 10, 4)) == 4


def test_a_rising_curve_begins_low_and_ends_high() -> None:
    lines = plot([[0.0, 1.0, 2.0, 3.0]], 8, 4)
    curves = [line.partition("┤")[2] for line in lines]
    assert curves[0].startswith("\u2800")
    assert not curves[-1].startswith("\u2800")
    assert lines[0].lstrip().startswith("3.00")
    assert lines[-1].lstrip().startswith("0.00")
