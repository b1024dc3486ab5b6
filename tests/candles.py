"""Windows of candles for tests, and where recorded ones lie."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from alphapulse.domain.market import Timeframe
from alphapulse.quant.window import Floats, Window, to_ms

START = datetime(2026, 1, 1, tzinfo=UTC)
RECORDED = Path(__file__).resolve().parents[2] / "shared" / "data" / "candles"

#: Recorded candles are not part of the repository.
needs_recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason=f"recorded candles are not at {RECORDED}")


def window_of(closes: Floats | list[float], *, timeframe: Timeframe = Timeframe.H4, start: datetime = START) -> Window:
    """Bars that close at ``closes``, open at the close before and trade 10 units; high and low are a little outside."""
    close = np.asarray(closes, dtype=np.float64)
    opened = np.concatenate([close[:1], close[:-1]])
    open_ms = to_ms(start) + np.arange(len(close), dtype=np.int64) * timeframe.milliseconds
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    return Window(timeframe, open_ms, opened, high, low, close, np.full(len(close), 10.0))


def random_walk(bars: int, *, seed: int = 1, volatility: float = 0.01, start: float = 100.0) -> Floats:
    """Closes of a geometric random walk; volatility: of the log steps."""
    steps = np.random.default_rng(seed).normal(0.0, volatility, bars)
    return start * np.exp(np.cumsum(steps))


def without(window: Window, *missing: int) -> Window:
    """``window`` lacking the bars at these places."""
    keep = np.ones(len(window), dtype=np.bool_)
    keep[list(missing)] = False
    return Window(
        window.timeframe,
        window.open_ms[keep],
        window.open[keep],
        window.high[keep],
        window.low[keep],
        window.close[keep],
        window.volume[keep],
    )
