"""Indicators over whole windows: arrays in, arrays of the same length out, NaN while warming up.

No value looks ahead, and every value depends on a *finite* number of bars before it (its memory), so the same
bar gets the same value from a short window as from years of history. Smoothers that are infinite by their
textbook definition (EMA, Wilder) are therefore cut after ``memory`` bars and their weights rescaled to sum to one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from alphapulse.quant.window import Floats, Window

#: Smoothers are cut after this many spans: what they leave out weighs e^-6, a quarter of a per cent.
SPANS_KEPT = 3
#: Rolling statistics work through this many bars at a time, so that a million bars do not cost gigabytes.
_CHUNK = 32_768


def memory_of(span: int) -> int:
    """Bars that an EMA of ``span`` looks at, itself included."""
    return max(1, SPANS_KEPT * span)


def decaying_weights(alpha: float, memory: int) -> Floats:
    """Weights of the newest bar, the one before it, ... : alpha (1 - alpha)^k for k < memory, rescaled to sum to
    one.
    """
    weights = (1.0 - alpha) ** np.arange(memory, dtype=np.float64)
    return weights / weights.sum()


def weighted(values: Floats, weights: Floats) -> Floats:
    """sum_k weights[k] * values[t - k] at each t; NaN before the first full run."""
    answer = np.full(len(values), np.nan)
    if len(values) >= len(weights):
        answer[len(weights) - 1 :] = np.convolve(values, weights, mode="valid")
    return answer


def ema(values: Floats, span: int) -> Floats:
    """Exponential moving average with alpha = 2 / (span + 1), cut after ``memory_of(span)`` bars."""
    return weighted(values, decaying_weights(2.0 / (span + 1.0), memory_of(span)))


def wilder(values: Floats, period: int) -> Floats:
    """Wilder's smoothing, alpha = 1 / period: an EMA of span 2 * period - 1 (Wilder 1978, New Concepts in Technical
    Trading Systems).
    """
    return ema(values, 2 * period - 1)


def wilder_memory(period: int) -> int:
    """Bars that Wilder's smoothing of ``period`` looks at."""
    return memory_of(2 * period - 1)


def rolling(values: Floats, bars: int, statistic: Callable[[NDArray[np.float64]], Floats]) -> Floats:
    """``statistic`` of each run of ``bars`` values. statistic: (m, bars) -> (m,). NaN before the first full run."""
    answer = np.full(len(values), np.nan)
    if len(values) < bars:
        return answer
    runs = sliding_window_view(values, bars)
    for start in range(0, len(runs), _CHUNK):
        part = runs[start : start + _CHUNK]
        answer[start + bars - 1 : start + bars - 1 + len(part)] = statistic(part)
    return answer


def rolling_mean(values: Floats, bars: int) -> Floats:
    return rolling(values, bars, lambda runs: runs.mean(axis=1))


def rolling_std(values: Floats, bars: int, *, ddof: int = 0) -> Floats:
    """Standard deviation of each run; ddof 0 = of the population, 1 = sample estimate."""
    return rolling(values, bars, lambda runs: runs.std(axis=1, ddof=ddof))


def log_returns(close: Floats) -> Floats:
    """ln(close[t] / close[t - 1]); the first is NaN. close: above zero."""
    answer = np.full(len(close), np.nan)
    if len(close) > 1:
        answer[1:] = np.diff(np.log(close))
    return answer


def realised_volatility(close: Floats, bars: int) -> Floats:
    """Sample standard deviation of the last ``bars`` log returns, per bar (not annualised). Needs bars + 1 closes;
    bars >= 2.
    """
    return rolling_std(log_returns(close), bars, ddof=1)


def ewma_volatility(close: Floats, span: int) -> Floats:
    """Root of the EMA of squared log returns, mean taken as zero, per bar (RiskMetrics 1996, section 5.2).

    Needs memory_of(span) + 1 closes.
    """
    returns = log_returns(close)
    answer = np.full(len(close), np.nan)
    answer[1:] = np.sqrt(ema(returns[1:] ** 2, span))
    return answer


def rsi(close: Floats, period: int = 14) -> Floats:
    """Relative strength index in [0, 100] (Wilder 1978): 100 * up / (up + down), Wilder-smoothed gains and losses.

    50 where nothing moved. Needs wilder_memory(period) + 1 closes.
    """
    answer = np.full(len(close), np.nan)
    if len(close) < 2:
        return answer
    change = np.diff(close)
    up = wilder(np.maximum(change, 0.0), period)
    down = wilder(np.maximum(-change, 0.0), period)
    moved = up + down
    still = moved == 0.0
    answer[1:] = np.where(still, 50.0, 100.0 * up / np.where(still, 1.0, moved))
    return answer


def bollinger_z(values: Floats, bars: int = 20) -> Floats:
    """(value - mean) / standard deviation of the last ``bars`` values (Bollinger 2001: %b restated in deviations).

    The deviation is the population's, as Bollinger has it. 0 where the run is constant.
    """
    mean = rolling_mean(values, bars)
    deviation = rolling_std(values, bars)
    # A constant run has a rounding residue instead of exactly zero.
    flat = deviation <= 1e-12 * np.abs(mean)
    return np.where(flat, 0.0, (values - mean) / np.where(flat, 1.0, deviation))


def true_range(window: Window) -> Floats:
    """max(high - low, |high - previous close|, |low - previous close|), quote currency; the first is NaN (Wilder
    1978).
    """
    answer = np.full(len(window), np.nan)
    if len(window) > 1:
        previous = window.close[:-1]
        high, low = window.high[1:], window.low[1:]
        answer[1:] = np.maximum(high - low, np.maximum(np.abs(high - previous), np.abs(low - previous)))
    return answer


def atr(window: Window, period: int = 14) -> Floats:
    """Average true range, Wilder-smoothed, quote currency. Needs wilder_memory(period) + 1 bars."""
    answer = np.full(len(window), np.nan)
    answer[1:] = wilder(true_range(window)[1:], period)
    return answer


def efficiency_ratio(values: Floats, bars: int) -> Floats:
    """|value[t] - value[t - bars]| over the sum of |steps| between, in [0, 1] (Kaufman 1995, Smarter Trading). 0
    where nothing moved.

    A random walk's is about 1 / sqrt(bars). Needs bars + 1 values.
    """
    answer = np.full(len(values), np.nan)
    if len(values) <= bars:
        return answer
    path = rolling(np.abs(np.diff(values)), bars, lambda runs: runs.sum(axis=1))[bars - 1 :]
    net = np.abs(values[bars:] - values[:-bars])
    still = path == 0.0
    answer[bars:] = np.where(still, 0.0, np.minimum(net / np.where(still, 1.0, path), 1.0))
    return answer
