"""Values as people read them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from uuid import UUID

from alphapulse.domain.money import plain

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.-=*#%@"
#: Bit of each dot of a braille cell, by row, left then right.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
NONE = "-"


def money(value: Decimal | None, places: int = 2) -> str:
    """With thousands separated; more places for what is smaller than one."""
    if value is None:
        return NONE
    if value and abs(value) < 1:
        return plain(value.quantize(Decimal("1e-8"), rounding=ROUND_HALF_EVEN))
    return f"{value:,.{places}f}"


def signed(value: Decimal) -> str:
    return f"+{money(value)}" if value > 0 else money(value)


def quantity(value: Decimal) -> str:
    """Every place it has, with thousands separated."""
    whole, point, rest = plain(value).partition(".")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.removeprefix('-')):,}{point}{rest}"


def percent(fraction: float | None) -> str:
    """A fraction as per cent, with its sign."""
    return NONE if fraction is None else f"{fraction * 100:+.2f} %"


def share(fraction: float | None) -> str:
    """A fraction that has no sign, as per cent."""
    return NONE if fraction is None else f"{fraction * 100:.2f} %"


def number(value: float | None, places: int = 2) -> str:
    return NONE if value is None else f"{value:.{places}f}"


def time(at: datetime | None) -> str:
    if at is None:
        return NONE
    form = "%Y-%m-%d %H:%MZ" if at.second == 0 else "%Y-%m-%d %H:%M:%SZ"
    return at.astimezone(UTC).strftime(form)


def short(value: UUID | str) -> str:
    """The first eight characters of an id: enough for people, and taken by every command that wants an order."""
    return str(value)[:8]


def unicode_works() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") in {"utf8", "utf16", "utf32"}


def sparkline(values: Sequence[float], width: int = 48) -> str:
    """One line of blocks from the lowest to the highest value; the mean of each column."""
    if not values:
        return ""
    columns = _resample(values, min(width, len(values)))
    low, high = min(columns), max(columns)
    blocks = _BLOCKS if unicode_works() else _ASCII_BLOCKS
    span = (high - low) or 1.0
    return "".join(blocks[min(7, int((value - low) / span * 8))] for value in columns)


def plot(lines: Sequence[Sequence[float]], width: int = 72, height: int = 12) -> list[str]:
    """Curves over one another in braille, two dots wide and four high per character, with the scale at the left.

    Without Unicode: one row of characters per curve.
    """
    filled = [line for line in lines if line]
    if not filled:
        return []
    if not unicode_works():
        return [sparkline(line, width) for line in filled]
    low, high = min(map(min, filled)), max(map(max, filled))
    span = (high - low) or 1.0
    cells = [[0] * width for _ in range(height)]
    for line in filled:
        previous: int | None = None
        for x, value in enumerate(_stretched(line, width * 2)):
            y = round((high - value) / span * (height * 4 - 1))
            steps = range(min(previous, y), max(previous, y) + 1) if previous is not None else (y,)
            for step in steps:
                cells[step // 4][x // 2] |= _DOTS[step % 4][x % 2]
            previous = y
    return [f"{_scale(row, height, low, high):>14} ┤{_braille(cell)}" for row, cell in enumerate(cells)]


def _braille(cells: Sequence[int]) -> str:
    return "".join(chr(0x2800 + cell) for cell in cells).rstrip("\u2800")


def _scale(row: int, height: int, low: float, high: float) -> str:
    if row not in {0, height // 2, height - 1}:
        return ""
    return f"{high - (high - low) * row / (height - 1):,.2f}"


def _stretched(values: Sequence[float], width: int) -> list[float]:
    """``width`` values: means where there are more, straight lines between them where there are fewer."""
    if len(values) >= width or len(values) == 1:
        return _resample(values, width)
    step = (len(values) - 1) / (width - 1)
    stretched: list[float] = []
    for column in range(width):
        left = min(int(column * step), len(values) - 2)
        part = column * step - left
        stretched.append(values[left] * (1 - part) + values[left + 1] * part)
    return stretched


def _resample(values: Sequence[float], width: int) -> list[float]:
    """``width`` values: means where there are more, repeats where there are fewer."""
    count = len(values)
    columns: list[float] = []
    for column in range(width):
        start = column * count // width
        end = max(start + 1, (column + 1) * count // width)
        part = values[start:end]
        columns.append(sum(part) / len(part))
    return columns
