from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.quant import indicators
from alphapulse.quant.window import Floats, Window
from tests.candles import random_walk, window_of

#: Every indicator over closes, with its memory: on how many closes a value depends.
BY_CLOSE: dict[str, tuple[Callable[[Floats], Floats], int]] = {
    "ema": (lambda close: indicators.ema(close, 5), 15),
    "wilder": (lambda close: indicators.wilder(close, 4), 21),
    "log_returns": (indicators.log_returns, 2),
    "realised_volatility": (lambda close: indicators.realised_volatility(close, 6), 7),
    "ewma_volatility": (lambda close: indicators.ewma_volatility(close, 3), 10),
    "rsi": (lambda close: indicators.rsi(close, 4), 22),
    "bollinger_z": (lambda close: indicators.bollinger_z(close, 6), 6),
    "efficiency_ratio": (lambda close: indicators.efficiency_ratio(close, 6), 7),
    "rolling_mean": (lambda close: indicators.rolling_mean(close, 5), 5),
}

closes = st.lists(st.floats(0.01, 1e6), min_size=30, max_size=60)


def test_an_ema_over_a_known_run_is_the_weighted_mean_computed_by_hand() -> None:
    # span 1 keeps 3 bars with weights 1, 0, 0; span 3 has alpha 1/2: weights 1, 1/2, 1/4, ... rescaled.
    values = np.arange(1.0, 10.0)
    assert indicators.ema(values, 1)[2:].tolist() == values[2:].tolist()
    weights = 0.5 ** np.arange(9)
    assert indicators.ema(values, 3)[-1] == pytest.approx(np.dot(weights, values[::-1]) / weights.sum())


def test_an_ema_cut_after_its_memory_is_near_the_endless_one() -> None:
    values = random_walk(400)
    endless, alpha = values[0], 2.0 / 21.0
    for value in values[1:]:
        endless += alpha * (value - endless)
    assert indicators.ema(values, 20)[-1] == pytest.approx(endless, rel=1e-3)


def test_rsi_is_the_share_of_gains() -> None:
    # Gains 3 and losses 1 alternate, so once the averages have settled, gains are between 2/3 and 4/5 of all moves.
    steps = np.tile([3.0, -1.0], 60)
    strength = indicators.rsi(100.0 + np.cumsum(steps), 14)
    assert strength[-1] + strength[-2] == pytest.approx(150.0, abs=0.5)
    assert indicators.rsi(np.arange(1.0, 100.0), 14)[-1] == 100.0
    assert indicators.rsi(np.arange(100.0, 1.0, -1.0), 14)[-1] == 0.0
    assert indicators.rsi(np.full(99, 7.0), 14)[-1] == 50.0


def test_bollinger_z_of_a_known_run() -> None:
    # 1, 2, 3: mean 2, population deviation sqrt(2/3).
    assert indicators.bollinger_z(np.array([1.0, 2.0, 3.0]), 3)[-1] == pytest.approx(1.0 / np.sqrt(2.0 / 3.0))
    assert indicators.bollinger_z(np.full(30, 0.1), 20)[-1] == 0.0


def test_realised_volatility_of_a_known_run() -> None:
    # Log returns +r, -r, +r: mean r/3, sample variance ((2r/3)^2 * 2 + (4r/3)^2) / 2 = 4 r^2 / 3.
    r = 0.1
    close = np.exp(np.array([0.0, r, 0.0, r]))
    assert indicators.realised_volatility(close, 3)[-1] == pytest.approx(r * np.sqrt(4.0 / 3.0))


def test_ewma_volatility_of_equal_moves_is_their_size() -> None:
    close = np.exp(np.tile([0.0, 0.02], 40))
    assert indicators.ewma_volatility(close, 10)[-1] == pytest.approx(0.02)


def test_true_range_counts_the_jump_from_the_close_before() -> None:
    one = np.array([10.0, 20.0])
    window = window_of(one)
    window = Window(
        window.timeframe,
        window.open_ms,
        np.array([10.0, 20.0]),
        np.array([10.0, 21.0]),
        np.array([10.0, 19.0]),
        one,
        one,
    )
    ranges = indicators.true_range(window)
    assert np.isnan(ranges[0])
    assert ranges[1] == 11.0


def test_atr_of_equal_ranges_is_that_range() -> None:
    base = window_of(np.full(120, 50.0))
    window = Window(
        base.timeframe, base.open_ms, base.open, base.close + 1.0, base.close - 1.0, base.close, base.volume
    )
    assert indicators.atr(window, 14)[-1] == pytest.approx(2.0)


def test_efficiency_is_one_on_a_straight_path_and_nought_when_it_returns() -> None:
    assert indicators.efficiency_ratio(np.arange(20.0), 10)[-1] == 1.0
    assert indicators.efficiency_ratio(np.tile([1.0, 2.0], 10), 10)[-1] == 0.0


@pytest.mark.parametrize("name", BY_CLOSE)
def test_an_indicator_needs_exactly_its_memory(name: str) -> None:
    indicator, memory = BY_CLOSE[name]
    close = random_walk(memory)
    assert np.isfinite(indicator(close)[-1])
    assert np.isnan(indicator(close)[:-1]).all()
    assert np.isnan(indicator(close[1:])).all()


@pytest.mark.parametrize("name", BY_CLOSE)
@given(values=closes, at=st.integers(0, 29), factor=st.floats(0.1, 10.0))
def test_an_indicator_never_looks_ahead(name: str, values: list[float], at: int, factor: float) -> None:
    indicator, _ = BY_CLOSE[name]
    before = np.array(values)
    after = before.copy()
    after[at + 1 :] *= factor
    assert np.array_equal(indicator(before)[: at + 1], indicator(after)[: at + 1], equal_nan=True)


@pytest.mark.parametrize("name", [name for name in BY_CLOSE if name != "bollinger_z"])
@given(values=closes, dropped=st.integers(1, 8))
def test_a_value_does_not_depend_on_what_lies_before_its_memory(name: str, values: list[float], dropped: int) -> None:
    indicator, _ = BY_CLOSE[name]
    whole, part = indicator(np.array(values)), indicator(np.array(values)[dropped:])
    known = np.isfinite(part)
    # Sums may be taken in another order, nothing more.
    assert np.allclose(whole[dropped:][known], part[known], rtol=1e-9, atol=1e-9 * max(values))


def test_a_long_series_is_worked_through_in_pieces_with_the_same_result() -> None:
    close = random_walk(70_000)
    whole = indicators.rolling_std(close, 10)
    assert whole[69_999] == pytest.approx(close[-10:].std())
    assert whole[32_768 + 9] == pytest.approx(close[32_768 : 32_768 + 10].std())
    assert np.isfinite(whole[9:]).all()
