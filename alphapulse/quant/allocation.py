"""From convictions and volatilities to target weights: fractions of equity per symbol, long only.

An allocator answers for the symbols it has a view on. Conviction at or below zero: weight 0, which sells.
No conviction (every agent abstained) or no usable volatility: the symbol is *absent*, which leaves its position alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from alphapulse.domain.signals import AgentParameter, complete_parameters
from alphapulse.errors import InvalidInput

Parameters = Mapping[str, float]
Convictions = Mapping[str, float | None]
Volatilities = Mapping[str, float | None]

#: Per bar. A price that moves less is pegged or not traded, and would draw all weight to itself.
LEAST_VOLATILITY = 1e-9

VOLATILITY_BARS = AgentParameter(
    "volatility_bars", 30.0, 5.0, 1000.0, "Bars over which each symbol's volatility is measured.", whole=True
)
CAP = AgentParameter("cap", 0.4, 0.01, 1.0, "Largest weight of one symbol before conviction scales it.")
EXPOSURE = AgentParameter("exposure", 0.95, 0.01, 1.0, "Sum of all weights when every conviction is 1.")


@dataclass(frozen=True, slots=True)
class Allocator:
    """weigh: convictions above zero and volatilities above zero of the same symbols, and complete parameters ->
    weights.
    """

    name: str
    summary: str
    parameters: tuple[AgentParameter, ...]
    weigh: Callable[[dict[str, float], dict[str, float], Parameters], dict[str, float]]


def inverse_volatility(
    convictions: dict[str, float], volatilities: dict[str, float], parameters: Parameters
) -> dict[str, float]:
    """conviction_i * share_i, where the shares are proportional to 1 / volatility_i, sum to ``exposure`` and are
    capped.

    Inverse-volatility weights are risk parity where all correlations are equal (Maillard, Roncalli & Teiletche
    2010, section 2.3). Scaling by conviction afterwards makes weak views hold cash.
    """
    symbols = sorted(convictions)
    raw = [1.0 / volatilities[symbol] for symbol in symbols]
    shares = fill_to_cap(raw, parameters["exposure"], parameters["cap"])
    return {symbol: convictions[symbol] * share for symbol, share in zip(symbols, shares, strict=True)}


def fill_to_cap(raw: list[float], total: float, cap: float) -> list[float]:
    """Shares proportional to ``raw`` that sum to ``total``, none above ``cap``.

    What the cap takes from one goes to the others in proportion, until none is above it (water-filling);
    when all are at the cap the rest of ``total`` stays uninvested. raw: finite, above zero.
    """
    shares = [0.0] * len(raw)
    free = sorted(range(len(raw)), key=lambda index: -raw[index])
    left = total
    weight_left = sum(raw)
    # Largest first: once one fits under the cap, all that follow do too.
    for position, index in enumerate(free):
        share = left * raw[index] / weight_left
        if share <= cap:
            rest = free[position:]
            for other in rest:
                shares[other] = left * raw[other] / weight_left
            break
        shares[index] = cap
        left -= cap
        weight_left = sum(raw[other] for other in free[position + 1 :])
    return shares


ALLOCATORS: Mapping[str, Allocator] = {
    "inverse_volatility": Allocator(
        "inverse_volatility",
        "Shares in inverse proportion to volatility, capped per symbol and scaled by conviction.",
        (VOLATILITY_BARS, CAP, EXPOSURE),
        inverse_volatility,
    )
}


def complete_allocator(name: str, parameters: Parameters) -> dict[str, float]:
    """``parameters`` with defaults filled in. Raises InvalidInput for an unknown allocator, name or value."""
    return complete_parameters(_find(name).parameters, parameters, "allocator_parameters")


def volatility_bars(parameters: Parameters) -> int:
    """Bars of log returns that the volatilities handed to ``allocate`` must be measured over."""
    return int(parameters.get(VOLATILITY_BARS.name, VOLATILITY_BARS.default))


def allocate(
    name: str, parameters: Parameters, convictions: Convictions, volatilities: Volatilities
) -> dict[str, float]:
    """Target weights by the named allocator. volatilities: per bar, as ``indicators.realised_volatility`` gives
    them.
    """
    allocator = _find(name)
    wanted: dict[str, float] = {}
    risks: dict[str, float] = {}
    weights: dict[str, float] = {}
    for symbol, conviction in convictions.items():
        if conviction is None:
            continue
        if conviction <= 0.0:
            weights[symbol] = 0.0
            continue
        risk = volatilities.get(symbol)
        if risk is not None and risk >= LEAST_VOLATILITY:
            wanted[symbol], risks[symbol] = conviction, risk
    if wanted:
        weights |= allocator.weigh(wanted, risks, complete_allocator(name, parameters))
    return weights


def _find(name: str) -> Allocator:
    allocator = ALLOCATORS.get(name)
    if allocator is None:
        raise InvalidInput(
            f"allocator: there is no {name[:60]!r}", field="allocator", fix=f"Use one of {', '.join(ALLOCATORS)}."
        )
    return allocator
