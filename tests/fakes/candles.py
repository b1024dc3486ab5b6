"""Made-up candles: deterministic, lively enough to be traded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from alphapulse.domain.market import Timeframe
from alphapulse.quant.window import Window, to_ms

START = datetime(2024, 1, 1, tzinfo=UTC)


def wander(seed: int, bars: int, *, price: float = 100.0, volume: float = 1_000.0, start: datetime = START) -> Window:
    """A random walk of hourly bars with a slow swing, two decimals."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(0.0, 0.01, bars) + 0.004 * np.sin(np.arange(bars) / 7.0 + seed)
    close = np.round(price * np.exp(np.cumsum(steps)), 2)
    opened = np.concatenate([[price], close[:-1]])
    high = np.round(np.maximum(opened, close) * 1.002, 2)
    low = np.round(np.minimum(opened, close) * 0.998, 2)
    return _window(opened, high, low, close, np.full(bars, volume), start)


def path(closes: Sequence[float], *, volumes: Sequence[float] | None = None, start: datetime = START) -> Window:
    """Hourly bars with these closes; each opens at the close before and has no wicks."""
    close = np.array(closes, dtype=np.float64)
    opened = np.concatenate([close[:1], close[:-1]])
    volume = np.array(volumes if volumes is not None else [1_000.0] * len(close), dtype=np.float64)
    return _window(opened, np.maximum(opened, close), np.minimum(opened, close), close, volume, start)


def _window(*columns: object) -> Window:
    *values, start = columns
    assert isinstance(start, datetime)
    arrays = [np.asarray(value, dtype=np.float64) for value in values]
    first = to_ms(start)
    opens = first + np.arange(len(arrays[0]), dtype=np.int64) * Timeframe.H1.milliseconds
    return Window(Timeframe.H1, opens, *arrays)
