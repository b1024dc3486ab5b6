"""How money, shares, ages and times read on the screen. Pure text; Decimal in, never float for money."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from alphapulse.domain.money import ZERO, plain

#: Stands where a value is not known; never a zero, which is a value.
UNKNOWN = "n/a"
_CENT = Decimal("0.01")


def money(value: Decimal, currency: str = "") -> str:
    """``value`` to the cent with thousands separated, ``1,234.50 USDT``; finer only where cents would hide it."""
    text = f"{_round(value):,f}"
    return f"{text} {currency}" if currency else text


def gain(value: Decimal) -> str:
    """A change of money with its sign and an arrow, so that it reads without colour: ``▲ +12.30``."""
    rounded = _round(value)
    return f"{arrow(rounded)} {rounded:+,f}"


def arrow(value: Decimal) -> str:
    if value == ZERO:
        return "="
    return "▲" if value > ZERO else "▼"


def percent(fraction: Decimal) -> str:
    """A change as signed percentage of two places: 0.0123 is ``+1.23%``."""
    return f"{(fraction * 100).quantize(_CENT, ROUND_HALF_EVEN):+,f}%"


def share(part: Decimal, whole: Decimal) -> Decimal | None:
    """``part`` as a fraction of ``whole``; None where ``whole`` is zero."""
    return part / whole if whole else None


def price(value: Decimal | None) -> str:
    """A price with as many places as its magnitude needs: 64,250.10, 171.20, 3.1416, 0.00001234."""
    if value is None:
        return UNKNOWN
    if abs(value) >= 1000:
        return f"{value.quantize(_CENT, ROUND_HALF_EVEN):,f}"
    if abs(value) >= 1:
        whole, _, rest = f"{value.quantize(Decimal('0.0001'), ROUND_HALF_EVEN):,f}".partition(".")
        return f"{whole}.{rest.rstrip('0'):0<2}"
    return plain(_significant(value, 4))


def quantity(value: Decimal) -> str:
    """Base currency: at most eight places, no trailing zeros, thousands separated."""
    rounded = value.quantize(Decimal("1e-8"), ROUND_HALF_EVEN)
    if rounded == ZERO and value != ZERO:
        return plain(_significant(value, 2))
    whole, _, rest = plain(rounded).partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}" + (f".{rest}" if rest else "")


def age(span: timedelta) -> str:
    """A duration in its two largest units: ``4s``, ``3m 05s``, ``2h 10m``, ``31d 4h``. Below zero counts as ``0s``."""
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60:02d}m"
    return f"{minutes}m {seconds % 60:02d}s" if minutes else f"{seconds}s"


def moment(at: datetime) -> str:
    """Month, day and minute in UTC: ``03-01 16:00``."""
    return at.astimezone(UTC).strftime("%m-%d %H:%M")


def day(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d")


def safe(text: str) -> str:
    """Text from outside without what could steer a terminal: control, escape and direction characters become spaces."""
    return "".join(character if character.isprintable() else " " for character in text)


def _round(value: Decimal) -> Decimal:
    rounded = value.quantize(_CENT, ROUND_HALF_EVEN)
    if rounded == ZERO and value != ZERO:
        return _significant(value, 2)
    return rounded + ZERO


def _significant(value: Decimal, digits: int) -> Decimal:
    if value == ZERO:
        return ZERO
    return value.quantize(Decimal(1).scaleb(value.adjusted() - digits + 1), ROUND_HALF_EVEN)
