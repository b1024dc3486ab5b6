"""Signals of agents and what they agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite

from alphapulse.domain.market import Series
from alphapulse.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Signal:
    """One agent's view of one series at one closed bar.

    at: close of the bar. conviction: in [-1, 1], below zero bearish; None = the agent abstained,
    which is not neutral. confidence: in [0, 1], how much the agent trusts this very value.
    numbers: the figures that decided, by name. rationale: one sentence for people.
    parameters_key: canonical text of the parameters; with agent and series it identifies the computation.
    """

    agent: str
    parameters_key: str
    series: Series
    at: datetime
    conviction: float | None
    confidence: float
    rationale: str
    numbers: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        if self.conviction is not None and not -1.0 <= self.conviction <= 1.0:
            raise InvalidInput(f"conviction of {self.agent} is outside [-1, 1]", field="conviction")
        if not (isfinite(self.confidence) and 0.0 <= self.confidence <= 1.0):
            raise InvalidInput(f"confidence of {self.agent} is outside [0, 1]", field="confidence")

    @property
    def abstains(self) -> bool:
        return self.conviction is None


@dataclass(frozen=True, slots=True)
class Vote:
    """A signal with the weight that one fund gives its agent. weight: >= 0."""

    signal: Signal
    weight: float


@dataclass(frozen=True, slots=True)
class Consensus:
    """conviction: in [-1, 1], or None when every agent abstained. votes_cast: how many did not abstain."""

    conviction: float | None
    votes_cast: int
    votes_abstained: int


def consensus(votes: tuple[Vote, ...]) -> Consensus:
    """Mean conviction weighted by weight x confidence; an abstention enters neither sum."""
    cast = [
        (vote.signal.conviction, vote.weight * vote.signal.confidence)
        for vote in votes
        if vote.signal.conviction is not None
    ]
    abstained = len(votes) - len(cast)
    total = sum(weight for _, weight in cast)
    if total == 0.0:
        return Consensus(None, len(cast), abstained)
    mean = sum(conviction * weight for conviction, weight in cast) / total
    convictions = [conviction for conviction, _ in cast]
    # Weights near the smallest float round so coarsely that the mean could leave the range of the votes.
    return Consensus(max(min(convictions), min(max(convictions), mean)), len(cast), abstained)


@dataclass(frozen=True, slots=True)
class AgentParameter:
    """One number that steers an agent or an allocator. minimum, maximum: inclusive. whole: only integers make sense."""

    name: str
    default: float
    minimum: float
    maximum: float
    meaning: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent as shown. lookback: bars it needs at its default parameters. formula, source: what it computes, and
    whose idea that is.

    version: rises when the formula changes, so that signals of two formulas are never taken for one.
    """

    name: str
    version: int
    summary: str
    formula: str
    source: str
    parameters: tuple[AgentParameter, ...]
    lookback: int


def complete_parameters(
    declared: tuple[AgentParameter, ...], given: Mapping[str, float], path: str
) -> dict[str, float]:
    """``given`` with every default filled in, in declared order.

    path: dotted path of the parameters, for the error. Raises InvalidInput for an unknown name, a value that is
    no finite number, outside its range, or fractional where only integers make sense.
    """
    known = {parameter.name: parameter for parameter in declared}
    for name in given:
        if name not in known:
            raise InvalidInput(
                f"{path}.{name[:60]}: no such parameter",
                field=f"{path}.{name[:60]}",
                fix=f"Known parameters: {', '.join(known) or 'none'}.",
            )
    return {name: _checked(parameter, given.get(name, parameter.default), path) for name, parameter in known.items()}


def _checked(parameter: AgentParameter, value: float, path: str) -> float:
    where = f"{path}.{parameter.name}"
    in_range = parameter.minimum <= value <= parameter.maximum  # NaN and infinities fail it too
    if not in_range or (parameter.whole and value != int(value)):
        kind = "a whole number" if parameter.whole else "a number"
        raise InvalidInput(
            f"{where}: {value!r} is not {kind} in [{parameter.minimum:g}, {parameter.maximum:g}]",
            field=where,
            fix=f"{parameter.meaning} Its default is {parameter.default:g}.",
        )
    return float(value)
