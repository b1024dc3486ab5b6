"""Agents with an opinion that a test can foresee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alphapulse.agents.protocol import Parameters, View
from alphapulse.domain.signals import AgentParameter
from alphapulse.quant.window import Window


@dataclass(frozen=True, slots=True)
class Weathervane:
    """Bullish after a bar that rose, bearish after one that fell, neutral otherwise."""

    name: str = "weathervane"
    version: int = 1
    summary: str = "Points where the last bar went."
    formula: str = "conviction = strength * sign(close - open)"
    source: str = "made for tests"
    parameters: tuple[AgentParameter, ...] = (AgentParameter("strength", 1.0, 0.0, 1.0, "Size of the conviction."),)

    def check(self, parameters: Parameters) -> None:
        pass

    def lookback(self, parameters: Parameters) -> int:
        return 1

    def evaluate(self, window: Window, parameters: Parameters) -> View:
        move = window.close - window.open
        return View(parameters["strength"] * np.sign(move), np.ones(len(window)), {"move": move})

    def explain(self, conviction: float, numbers: Mapping[str, float]) -> str:
        return f"The last bar moved by {numbers['move']:+.2f}: conviction {conviction:+.2f}."
