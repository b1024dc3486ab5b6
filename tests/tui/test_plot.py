from __future__ import annotations

from decimal import Decimal

from alphapulse.tui.plot import chart

D = Decimal


def rows(solid: list[int], dotted: list[int], width: int, height: int) -> list[str]:
    found = chart([D(value) for value in solid], [D(value) for value in dotted], width, height)
    assert found is not None
    return ["".join(run.text for run in row) for row in found.rows]


def test_a_rise_goes_from_the_lower_left_to_the_upper_right() -> None:
    drawn = rows(list(range(8)), [], 4, 2)
    assert drawn[0].strip() == drawn[0][-2:]
    assert drawn[1].strip() == drawn[1][:2]


def test_every_row_has_the_width_asked_for() -> None:
    for count in (1, 2, 7, 500):
        drawn = rows([i * i % 37 for i in range(count)], [i % 11 for i in range(count)], 30, 6)
        assert [len(row) for row in drawn] == [30] * 6


def test_a_flat_curve_is_drawn_in_the_middle() -> None:
    drawn = rows([5, 5, 5], [], 3, 3)
    assert [row.strip() != "" for row in drawn] == [False, True, False]


def test_a_fall_of_one_bar_among_many_is_not_lost() -> None:
    values = [100] * 400
    values[150] = 10
    drawn = rows(values, [], 20, 4)
    assert drawn[-1].strip()


def test_the_scale_spans_both_curves() -> None:
    found = chart([D(5), D(9)], [D(2), D(7)], 10, 4)
    assert found is not None
    assert (found.low, found.high) == (D(2), D(9))


def test_nothing_is_drawn_without_values_or_room() -> None:
    assert chart([], [], 10, 4) is None
    assert chart([D(1)], [], 0, 4) is None
