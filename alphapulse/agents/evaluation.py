"""One agent over one window, as a Signal: pure, and proof against whatever the agent does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from alphapulse.agents.protocol import Agent, evaluate, refusal
from alphapulse.agents.registry import AGENT_FAULTS
from alphapulse.agents.store import Computation
from alphapulse.domain.signals import Signal
from alphapulse.quant.window import Window

_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Task:
    """A computation, ready to be run. window: closed bars up to the computation's bar, if there were any."""

    wanted: Computation
    agent: Agent
    parameters: Mapping[str, float]
    window: Window


@dataclass(frozen=True, slots=True)
class Outcome:
    """signal: abstaining where there was no value. lasting: the bars cannot change it any more, so it may be stored."""

    signal: Signal
    lasting: bool


def run(task: Task) -> Outcome:
    """The agent's value at the newest bar. A fault of the agent is an abstention that says so."""
    try:
        return _run(task)
    except AGENT_FAULTS as error:
        return Outcome(abstention(task.wanted, f"the agent failed: {type(error).__name__}: {error}"), lasting=False)


def _run(task: Task) -> Outcome:
    wanted, agent = task.wanted, task.agent
    lookback = agent.lookback(task.parameters)
    problem = refusal(task.window, lookback, wanted.at)
    if problem:
        return Outcome(abstention(wanted, problem), lasting=False)
    view = evaluate(agent, task.window.tail(lookback), task.parameters)
    conviction, confidence = float(view.conviction[-1]), float(view.confidence[-1])
    numbers = {name: value for name, column in view.numbers.items() if isfinite(value := float(column[-1]))}
    if not isfinite(conviction):
        return Outcome(abstention(wanted, "its formula has no value at this bar", numbers), lasting=True)
    rationale = agent.explain(conviction, numbers)
    return Outcome(_signal(wanted, conviction, confidence, rationale, numbers), lasting=True)


def abstention(wanted: Computation, reason: str, numbers: dict[str, float] | None = None) -> Signal:
    return _signal(wanted, None, 0.0, f"Abstains: {reason[:_LONGEST_REASON]}.", numbers or {})


def _signal(
    wanted: Computation, conviction: float | None, confidence: float, rationale: str, numbers: dict[str, float]
) -> Signal:
    at: datetime = wanted.at
    return Signal(wanted.agent, wanted.parameters_key, wanted.series, at, conviction, confidence, rationale, numbers)
