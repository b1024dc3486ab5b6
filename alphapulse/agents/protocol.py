"""What an agent is: a pure function from a window of closed bars to a view at each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from alphapulse.domain.signals import AgentParameter
from alphapulse.quant.window import Floats, Window

Parameters = Mapping[str, float]

#: Share of the looked-at bars that may be missing. Indicators then take the neighbours as adjacent; beyond it an
#: agent abstains.
TOLERATED_GAPS = 0.02


@dataclass(frozen=True, slots=True)
class View:
    """An agent's opinion at each bar of a window; all arrays have the window's length.

    conviction: in [-1, 1], below zero bearish, NaN = abstain. confidence: in [0, 1], how far to trust this very value.
    numbers: the figures that decided, by name.
    """

    conviction: Floats
    confidence: Floats
    numbers: Mapping[str, Floats]


class Agent(Protocol):
    """Pure: the same window and parameters give the same view; no IO, no clock, no randomness, no state.

    The value at bar t depends on bars t - lookback + 1 ... t and on nothing else, so that live trading (which
    sees ``lookback`` bars) and a backtest (which sees all) agree.
    """

    @property
    def name(self) -> str:
        """Lower-case, as configuration names it."""
        ...

    @property
    def version(self) -> int:
        """Raised whenever the formula changes: stored signals of another version are never taken for this one's."""
        ...

    @property
    def summary(self) -> str: ...

    @property
    def formula(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def parameters(self) -> tuple[AgentParameter, ...]: ...

    def check(self, parameters: Parameters) -> None:
        """Raises InvalidInput where parameters, each in its range, do not fit together."""
        ...

    def lookback(self, parameters: Parameters) -> int:
        """Bars that a value depends on, its own included."""
        ...

    def evaluate(self, window: Window, parameters: Parameters) -> View:
        """The view at each bar of ``window``, NaN conviction before the first full lookback. parameters: complete
        and checked.
        """
        ...

    def explain(self, conviction: float, numbers: Mapping[str, float]) -> str:
        """One sentence that names the numbers which decided."""
        ...


def evaluate(agent: Agent, window: Window, parameters: Parameters) -> View:
    """``agent``'s view with conviction NaN where its lookback is incomplete or has too many gaps."""
    view = agent.evaluate(window, parameters)
    usable = complete_runs(window, agent.lookback(parameters))
    finite = np.isfinite(view.conviction) & np.isfinite(view.confidence)
    return View(
        np.where(usable & finite, np.clip(view.conviction, -1.0, 1.0), np.nan),
        np.clip(np.where(finite, view.confidence, 0.0), 0.0, 1.0),
        view.numbers,
    )


def complete_runs(window: Window, bars: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Where the last ``bars`` bars are there and span no more time than the tolerated gaps allow."""
    answer = np.zeros(len(window), dtype=np.bool_)
    if len(window) >= bars:
        spans = (window.open_ms[bars - 1 :] - window.open_ms[: len(window) - bars + 1]) // window.timeframe.milliseconds
        answer[bars - 1 :] = spans - (bars - 1) <= tolerated(bars)
    return answer


def tolerated(bars: int) -> int:
    """How many of ``bars`` bars may be missing."""
    return int(bars * TOLERATED_GAPS)


def refusal(window: Window, bars: int, at: datetime) -> str:
    """Why ``window`` does not support a value at ``at`` (a bar's close) for a lookback of ``bars``; empty when it
    does.
    """
    if len(window) == 0:
        return f"no candles had closed at {at:%Y-%m-%d %H:%M} UTC"
    newest = window.closed_at(-1)
    if newest < at:
        return f"the newest candle closed at {newest:%Y-%m-%d %H:%M} UTC, the one of {at:%Y-%m-%d %H:%M} UTC is missing"
    if len(window) < bars:
        return f"needs {bars} candles, has {len(window)}"
    if not complete_runs(window, bars)[-1]:
        span = int(window.open_ms[-1] - window.open_ms[-bars]) // window.timeframe.milliseconds + 1
        return f"{span - bars} of the last {span} candles are missing"
    return ""
