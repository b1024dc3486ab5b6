from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from alphapulse.domain.market import Timeframe
from alphapulse.quant import metrics

#: +10 %, -50 %, +100 %.
EQUITY = np.array([100.0, 110.0, 55.0, 110.0])


def test_total_return_is_last_over_first() -> None:
    assert metrics.total_return(EQUITY) == pytest.approx(0.1)
    assert metrics.total_return(EQUITY[:1]) == 0.0


def test_drawdown_is_measured_from_the_running_peak() -> None:
    assert metrics.drawdowns(EQUITY).tolist() == pytest.approx([0.0, 0.0, 0.5, 0.0])
    assert metrics.max_drawdown(EQUITY) == pytest.approx(0.5)
    assert metrics.max_drawdown(np.array([])) == 0.0
    assert metrics.max_drawdown(np.array([1.0, 2.0, 3.0])) == 0.0


def test_sharpe_is_annualised_by_the_length_of_the_bars() -> None:
    # Returns 0.1, -0.5, 1.0: mean 0.2; deviations -0.1, -0.7, 0.8; sample variance 1.14 / 2 = 0.57.
    per_bar = 0.2 / sqrt(0.57)
    assert metrics.sharpe(EQUITY, Timeframe.D1) == pytest.approx(per_bar * sqrt(365.25))
    assert metrics.sharpe(EQUITY, Timeframe.H4) == pytest.approx(per_bar * sqrt(365.25 * 6))
    assert metrics.annual_volatility(EQUITY, Timeframe.D1) == pytest.approx(sqrt(0.57 * 365.25))


def test_sharpe_is_unknown_without_two_returns_or_without_variance() -> None:
    assert metrics.sharpe(EQUITY[:2], Timeframe.D1) is None
    assert metrics.sharpe(np.full(10, 5.0), Timeframe.D1) is None
    assert metrics.sharpe(np.array([1.0, 2.0, 4.0, 8.0]), Timeframe.D1) is None


def test_sortino_counts_losses_over_all_bars() -> None:
    # One loss of 0.5 in three bars: root of 0.25 / 3.
    assert metrics.sortino(EQUITY, Timeframe.D1) == pytest.approx(0.2 / sqrt(0.25 / 3) * sqrt(365.25))
    assert metrics.sortino(np.array([1.0, 2.0, 3.0]), Timeframe.D1) is None


def test_annual_return_compounds() -> None:
    # 365.25 daily bars make a year.
    equity = 100.0 * 1.5 ** (np.arange(731) / 365.25)
    assert metrics.annual_return(equity, Timeframe.D1) == pytest.approx(0.5)
    assert metrics.annual_return(EQUITY[:1], Timeframe.D1) is None
