"""Figures of merit of an equity curve. Returns and drawdowns are fractions (0.1 = 10 %).

equity: one value per bar, base currency, fees included, oldest first, all above zero.
"""

from __future__ import annotations

from datetime import timedelta
from math import sqrt

import numpy as np

from alphapulse.domain.market import Timeframe
from alphapulse.quant.window import Floats

#: Crypto trades every day: a year is 365.25 days of 24 hours, not 252 sessions.
YEAR = timedelta(days=365.25)
#: A spread of returns below this is rounding, not risk.
_NO_SPREAD = 1e-14


def bars_per_year(timeframe: Timeframe) -> float:
    return YEAR / timeframe.length


def bar_returns(equity: Floats) -> Floats:
    """Simple return of each bar on the one before; one shorter than ``equity``, empty below two values."""
    return equity[1:] / equity[:-1] - 1.0


def total_return(equity: Floats) -> float:
    """Last over first, less one; 0 below two values."""
    return float(equity[-1] / equity[0] - 1.0) if len(equity) > 1 else 0.0


def drawdowns(equity: Floats) -> Floats:
    """At each bar, how far equity lies below its running peak, as a fraction in [0, 1]."""
    return 1.0 - equity / np.maximum.accumulate(equity) if len(equity) else equity


def max_drawdown(equity: Floats) -> float:
    """Largest fall from a running peak, as a fraction in [0, 1]; 0 for an empty curve."""
    return float(drawdowns(equity).max(initial=0.0))


def annual_return(equity: Floats, timeframe: Timeframe) -> float | None:
    """Compound growth per year; None below two values. A curve of a few days says little: it is extrapolated."""
    if len(equity) < 2:
        return None
    years = (len(equity) - 1) / bars_per_year(timeframe)
    growth = np.log(equity[-1] / equity[0]) / years
    return float(np.expm1(min(growth, 700.0)))  # beyond e^700 a float has no room


def annual_volatility(equity: Floats, timeframe: Timeframe) -> float | None:
    """Sample standard deviation of per-bar returns, times the root of bars per year; None below three values."""
    returns = bar_returns(equity)
    if len(returns) < 2:
        return None
    return float(returns.std(ddof=1)) * sqrt(bars_per_year(timeframe))


def sharpe(equity: Floats, timeframe: Timeframe) -> float | None:
    """Mean over sample standard deviation of per-bar returns, times the root of bars per year (Sharpe 1994); no
    risk-free rate.

    None below three values or without variance.
    """
    returns = bar_returns(equity)
    if len(returns) < 2:
        return None
    spread = float(returns.std(ddof=1))
    if spread <= _NO_SPREAD:
        return None
    return float(returns.mean()) / spread * sqrt(bars_per_year(timeframe))


def sortino(equity: Floats, timeframe: Timeframe) -> float | None:
    """Mean return over downside deviation, annualised alike; the target is zero (Sortino & Price 1994).

    The downside deviation is the root of the mean of squared losses over *all* bars. None below three values or
    without a loss.
    """
    returns = bar_returns(equity)
    if len(returns) < 2:
        return None
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))
    if downside <= _NO_SPREAD:
        return None
    return float(returns.mean()) / downside * sqrt(bars_per_year(timeframe))
