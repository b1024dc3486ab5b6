"""Decimal arithmetic of money and quantities. Nothing here accepts a float.

Fifteen digits before the point and twelve behind it fit Python's default precision of 28, so every sum of
booked amounts is exact; the finest increment of Binance, Coinbase and Kraken has ten places.
"""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from alphapulse.errors import InvalidInput

ZERO = Decimal(0)
#: Smallest fraction that the books keep of any asset.
QUANTUM = Decimal("1e-12")
#: Largest magnitude accepted at the door; beyond it a number is a typing error, not money.
CEILING = Decimal("1e15")


#: What a person or a program writes for a number; Decimal itself would also take spaces, underscores and other digits.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def parse_decimal(text: str, field: str) -> Decimal:
    """The Decimal a person or a payload wrote. field: named in the error.

    Refuses NaN, infinities, anything but ASCII digits, magnitudes from 1e15 on and more than 12 decimal places.
    """
    if not _NUMBER.fullmatch(text):
        raise InvalidInput(
            f"{field}: {text[:40]!r} is not a number",
            field=field,
            fix='Write it as a plain decimal string, for example "0.125".',
        )
    value = Decimal(text)
    if not value:
        return ZERO  # whatever its exponent: "0e-999" is no reason to print a thousand zeros
    if abs(value) >= CEILING:
        raise InvalidInput(
            f"{field}: {text[:40]!r} is out of range",
            field=field,
            fix="Use a finite number whose magnitude is below 1e15.",
        )
    if value != value.quantize(QUANTUM, rounding=ROUND_DOWN):
        raise InvalidInput(
            f"{field}: {text[:40]!r} has more than 12 decimal places",
            field=field,
            fix="Round it to 12 decimal places or fewer.",
        )
    return value


def floor_to(value: Decimal, increment: Decimal) -> Decimal:
    """The largest multiple of ``increment`` not above ``value`` in magnitude; the sign is kept."""
    return (value / increment).to_integral_value(rounding=ROUND_DOWN) * increment


def is_multiple(value: Decimal, increment: Decimal) -> bool:
    return value % increment == 0


def book(value: Decimal) -> Decimal:
    """``value`` rounded half-even to what the books keep (12 places)."""
    return value.quantize(QUANTUM, rounding=ROUND_HALF_EVEN).normalize() + ZERO


def plain(value: Decimal) -> str:
    """``value`` for the wire and for people: no exponent, no trailing zeros."""
    text = str(value)  # half the price of a format, and the same unless there is an exponent
    if "E" in text:
        text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
