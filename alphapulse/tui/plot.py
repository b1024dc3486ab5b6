"""Two curves as braille: each character cell is 2 by 4 dots (Unicode block U+2800).

The first curve is drawn solid, the second dotted, so that they differ without colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

_BLANK = 0x2800
#: Bit of the dot in column x (0, 1) and row y (0 at the top), by the Unicode chart.
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
#: A dotted curve sets every n-th column of dots.
_DOTTED = 2


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring characters of one look. layer: 1 solid curve, 2 dotted curve, 0 empty."""

    text: str
    layer: int


@dataclass(frozen=True, slots=True)
class Chart:
    """rows: top first, each ``width`` characters. low, high: what the bottom and the top edge stand for."""

    rows: tuple[tuple[Run, ...], ...]
    low: Decimal
    high: Decimal


def chart(solid: Sequence[Decimal], dotted: Sequence[Decimal], width: int, height: int) -> Chart | None:
    """Both curves on one scale, oldest value at the left, newest at the right edge.

    width, height: in characters. Columns that stand for several values show their whole range, so that a
    short fall is not lost. None without values or room.
    """
    everything = [*solid, *dotted]
    if not everything or width < 1 or height < 1:
        return None
    low, high = min(everything), max(everything)
    cells: dict[tuple[int, int], tuple[int, int]] = {}
    _draw(cells, dotted, (low, high), (width, height), layer=2)
    _draw(cells, solid, (low, high), (width, height), layer=1)
    rows = tuple(_row(cells, y, width) for y in range(height))
    return Chart(rows, low, high)


def _draw(
    cells: dict[tuple[int, int], tuple[int, int]],
    values: Sequence[Decimal],
    scale: tuple[Decimal, Decimal],
    size: tuple[int, int],
    *,
    layer: int,
) -> None:
    """Sets the dots of one curve; a cell that both curves cross belongs to the one drawn last."""
    width, height = size[0] * 2, size[1] * 4
    previous: int | None = None
    for x, (least, greatest, last) in enumerate(_columns(values, width)):
        top, bottom, end = (_level(value, scale, height) for value in (greatest, least, last))
        if previous is not None and layer == 1:
            top, bottom = min(top, max(previous, top)), max(bottom, min(previous, bottom))
            top, bottom = min(top, previous + 1, bottom), max(bottom, previous - 1, top)
        previous = end
        if layer == 2:
            if x % _DOTTED:
                continue
            top = bottom = end
        for y in range(top, bottom + 1):
            key = (x // 2, y // 4)
            bits = cells.get(key, (0, layer))[0]
            cells[key] = (bits | _BITS[x % 2][y % 4], layer)


def _columns(values: Sequence[Decimal], width: int) -> list[tuple[Decimal, Decimal, Decimal]]:
    """Per column of dots: least, greatest and last of the values that fall on it; a value may span columns."""
    count = len(values)
    if count == 0:
        return []
    columns: list[tuple[Decimal, Decimal, Decimal]] = []
    for x in range(width):
        start = x * count // width
        stop = max(start + 1, (x + 1) * count // width)
        part = values[start:stop]
        columns.append((min(part), max(part), part[-1]))
    return columns


def _level(value: Decimal, scale: tuple[Decimal, Decimal], height: int) -> int:
    """Row of dots for ``value``, 0 at the top; the middle where the scale has no extent."""
    low, high = scale
    if high == low:
        return height // 2
    return int((high - value) / (high - low) * (height - 1) + Decimal("0.5"))


def _row(cells: dict[tuple[int, int], tuple[int, int]], y: int, width: int) -> tuple[Run, ...]:
    line = [cells.get((x, y), (0, 0)) for x in range(width)]
    return tuple(
        Run("".join(chr(_BLANK + bits) if bits else " " for bits, _ in part), layer)
        for layer, part in ((layer, list(group)) for layer, group in groupby(line, key=lambda cell: cell[1]))
    )
