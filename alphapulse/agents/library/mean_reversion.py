"""Mean reversion: has the price run so far from its average that a return is likelier than going on?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alphapulse.agents.protocol import Parameters, View
from alphapulse.domain.signals import AgentParameter
from alphapulse.errors import InvalidInput
from alphapulse.quant.indicators import bollinger_z, efficiency_ratio, rsi, wilder_memory
from alphapulse.quant.window import Window

BARS = AgentParameter("bars", 20.0, 5.0, 400.0, "Bars of the average and its deviation.", whole=True)
RSI_PERIOD = AgentParameter(
    "rsi_period", 14.0, 2.0, 100.0, "Period of the relative strength index, in bars.", whole=True
)
ENTRY = AgentParameter(
    "entry", 1.0, 0.0, 4.0, "Standard deviations from the average below which there is no opinion but 0."
)
FULL = AgentParameter(
    "full", 2.5, 0.5, 6.0, "Standard deviations from the average at which conviction is complete; above entry."
)


@dataclass(frozen=True, slots=True)
class MeanReversion:
    name: str = "mean_reversion"
    version: int = 1
    summary: str = "Buys what fell unusually far below its average and sells what rose above it, when RSI agrees."
    formula: str = (
        "z = (p - mean) / deviation of the last `bars` closes; r = RSI(rsi_period) / 50 - 1. "
        "stretch = clip((|z| - entry) / (full - entry), 0, 1); agreement = clip(0.5 + sign(z) * r, 0, 1); "
        "conviction = -sign(z) * stretch * agreement. "
        "confidence = 1 / (1 + q), q = Kaufman's efficiency ratio over `bars` bars * sqrt(bars): low while the "
        "price trends."
    )
    source: str = (
        "Bands in standard deviations: Bollinger (2001), Bollinger on Bollinger Bands. RSI: Wilder (1978), New "
        "Concepts in "
        "Technical Trading Systems. Efficiency ratio: Kaufman (1995), Smarter Trading. Short-term reversal: "
        "Lehmann (1990), "
        "Fads, Martingales, and Market Efficiency."
    )
    parameters: tuple[AgentParameter, ...] = (BARS, RSI_PERIOD, ENTRY, FULL)

    def check(self, parameters: Parameters) -> None:
        if parameters["entry"] >= parameters["full"]:
            raise InvalidInput("entry must be below full", field="parameters.entry", fix="Choose an entry below full.")

    def lookback(self, parameters: Parameters) -> int:
        return max(int(parameters["bars"]), wilder_memory(int(parameters["rsi_period"]))) + 1

    def evaluate(self, window: Window, parameters: Parameters) -> View:
        bars, entry, full = int(parameters["bars"]), parameters["entry"], parameters["full"]
        z = bollinger_z(window.close, bars)
        strength = rsi(window.close, int(parameters["rsi_period"]))
        stretch = np.clip((np.abs(z) - entry) / (full - entry), 0.0, 1.0)
        agreement = np.clip(0.5 + np.sign(z) * (strength / 50.0 - 1.0), 0.0, 1.0)
        efficiency = efficiency_ratio(np.log(window.close), bars)
        q = efficiency * np.sqrt(bars)
        return View(
            # Adding zero turns the -0.0 of an unstretched price into a plain 0.
            -np.sign(z) * stretch * agreement + 0.0,
            1.0 / (1.0 + q),
            {"z": z, "rsi": strength, "agreement": agreement, "efficiency": efficiency},
        )

    def explain(self, conviction: float, numbers: Mapping[str, float]) -> str:
        side = "above" if numbers["z"] >= 0.0 else "below"
        return (
            f"The price is {abs(numbers['z']):.2f} standard deviations {side} its average, RSI is "
            f"{numbers['rsi']:.0f} and "
            f"agrees by {numbers['agreement']:.2f}; the path's efficiency is {numbers['efficiency']:.2f}: "
            f"conviction {conviction:+.2f}."
        )


AGENT = MeanReversion()
