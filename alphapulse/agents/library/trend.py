"""Trend: is the price where a drifting market would have it, rather than a random walk?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alphapulse.agents.protocol import Parameters, View
from alphapulse.domain.signals import AgentParameter
from alphapulse.errors import InvalidInput
from alphapulse.quant.indicators import (
    decaying_weights,
    efficiency_ratio,
    ema,
    ewma_volatility,
    memory_of,
)
from alphapulse.quant.window import Floats, Window

FAST = AgentParameter("fast", 8.0, 2.0, 200.0, "Span of the fast average, in bars.", whole=True)
SLOW = AgentParameter("slow", 32.0, 4.0, 400.0, "Span of the slow average, in bars; above fast.", whole=True)
SENSITIVITY = AgentParameter(
    "sensitivity",
    1.0,
    0.1,
    5.0,
    "Slope of the answer: at 1, a crossover of one standard deviation means conviction 0.76.",
)


@dataclass(frozen=True, slots=True)
class Trend:
    name: str = "trend"
    version: int = 1
    summary: str = "Follows the crossover of two moving averages, measured in standard deviations of a random walk."
    formula: str = (
        "z = (EMA_fast(ln p) - EMA_slow(ln p)) / (s * g); conviction = tanh(sensitivity * z). "
        "s: EWMA volatility of log returns over slow bars, lagged by one bar; g: standard deviation that the "
        "difference "
        "of the two averages has for a random walk of unit volatility. "
        "confidence = q / (1 + q), q = Kaufman's efficiency ratio over slow bars * sqrt(slow), which is 1 for a "
        "random walk."
    )
    source: str = (
        "Volatility-normalised EMA crossover: Baz, Granger, Harvey, Le Roux & Rattray (2015), Dissecting Investment "
        "Strategies in the Cross Section and Time Series. Efficiency ratio: Kaufman (1995), Smarter Trading. "
        "Trend in futures: Moskowitz, Ooi & Pedersen (2012), Time Series Momentum."
    )
    parameters: tuple[AgentParameter, ...] = (FAST, SLOW, SENSITIVITY)

    def check(self, parameters: Parameters) -> None:
        if parameters["fast"] >= parameters["slow"]:
            raise InvalidInput(
                "fast must be below slow", field="parameters.fast", fix="Choose a fast span below the slow one."
            )

    def lookback(self, parameters: Parameters) -> int:
        # The lagged volatility reaches furthest: one bar for the lag, one for the first return.
        return memory_of(int(parameters["slow"])) + 2

    def evaluate(self, window: Window, parameters: Parameters) -> View:
        fast, slow = int(parameters["fast"]), int(parameters["slow"])
        log_price = np.log(window.close)
        spread = ema(log_price, fast) - ema(log_price, slow)
        deviation = _lagged(ewma_volatility(window.close, slow)) * crossover_deviation(fast, slow)
        known = deviation > 0.0
        z = np.where(known, spread / np.where(known, deviation, 1.0), np.nan)
        efficiency = efficiency_ratio(log_price, slow)
        q = efficiency * np.sqrt(slow)
        return View(
            np.tanh(parameters["sensitivity"] * z),
            q / (1.0 + q),
            {"z": z, "spread": spread, "deviation": deviation, "efficiency": efficiency},
        )

    def explain(self, conviction: float, numbers: Mapping[str, float]) -> str:
        side = "above" if numbers["spread"] >= 0.0 else "below"
        return (
            f"The fast average is {abs(numbers['spread']):.2%} {side} the slow one, {numbers['z']:+.2f} standard "
            f"deviations "
            f"of a random walk; the path's efficiency is {numbers['efficiency']:.2f}: conviction {conviction:+.2f}."
        )


def crossover_deviation(fast: int, slow: int) -> float:
    """Standard deviation of EMA_fast - EMA_slow of a random walk whose steps have unit variance.

    The difference is sum_k c_k * step[t - k] with c_k the weight that the slow average puts beyond lag k less
    the fast one's, so its variance is sum c_k^2.
    """
    memory = memory_of(slow)
    quick = np.zeros(memory)
    quick[: memory_of(fast)] = decaying_weights(2.0 / (fast + 1.0), memory_of(fast))
    steady = decaying_weights(2.0 / (slow + 1.0), memory)
    return float(np.sqrt(np.sum(np.cumsum(quick - steady) ** 2)))


def _lagged(values: Floats) -> Floats:
    """The value of the bar before: a jump must show in z at once, not hide in its own volatility."""
    answer = np.full(len(values), np.nan)
    answer[1:] = values[:-1]
    return answer


AGENT = Trend()
