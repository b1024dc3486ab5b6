"""Which agents there are: one module each in ``agents/library``, and out-of-tree ones by entry point."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from alphapulse.agents import library
from alphapulse.agents.protocol import Agent
from alphapulse.domain.funds import AgentChoice
from alphapulse.domain.signals import AgentInfo, complete_parameters
from alphapulse.errors import AlphaPulseError, InvalidInput, Misconfigured, NotFound

ENTRY_POINTS = "alphapulse.agents"

#: What foreign code may raise when it is loaded or run; deliberately without the exceptions that end a process.
AGENT_FAULTS: tuple[type[Exception], ...] = (
    AlphaPulseError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


class Registry:
    """The installed agents and what a new fund uses of them.

    agents: by name. defaults: choices for a fund that names none, complete. problems: one line for each
    out-of-tree agent that could not be loaded; the rest works without it.
    """

    def __init__(
        self, agents: Mapping[str, Agent], defaults: tuple[AgentChoice, ...] = (), problems: tuple[str, ...] = ()
    ) -> None:
        self.agents = dict(agents)
        self.defaults = defaults
        self.problems = problems

    def get(self, name: str, field: str = "agent") -> Agent:
        """Raises NotFound for a name that no installed agent has."""
        agent = self.agents.get(name)
        if agent is None:
            raise NotFound(
                f"{field}: there is no agent {name[:60]!r}", fix=f"Installed: {', '.join(self.agents) or 'none'}."
            )
        return agent

    def infos(self) -> list[AgentInfo]:
        return [info(agent) for agent in self.agents.values()]

    def complete(self, choice: AgentChoice) -> AgentChoice:
        """``choice`` with every parameter filled in and checked. Raises NotFound, or InvalidInput naming the
        parameter.
        """
        agent = self.get(choice.name)
        return AgentChoice(choice.name, checked(agent, choice.parameters, "parameters"), choice.weight, choice.enabled)


def info(agent: Agent) -> AgentInfo:
    defaults = {parameter.name: parameter.default for parameter in agent.parameters}
    return AgentInfo(
        agent.name,
        agent.version,
        agent.summary,
        agent.formula,
        agent.source,
        agent.parameters,
        agent.lookback(defaults),
    )


def checked(agent: Agent, parameters: Mapping[str, float], path: str) -> dict[str, float]:
    """``parameters`` complete and fitting together; path: named in the error."""
    complete = complete_parameters(agent.parameters, parameters, path)
    agent.check(complete)
    return complete


def load_registry(document: Mapping[str, Any]) -> Registry:
    """The library, the installed entry points, and the defaults of ``document`` (config/agents.toml, parsed).

    Raises Misconfigured, naming the key, for an unknown agent, parameter, range or type.
    """
    agents = library_agents()
    problems: list[str] = []
    for point in entry_points(group=ENTRY_POINTS):
        problem = _add(agents, point)
        if problem:
            problems.append(problem)
    return Registry(agents, parse_defaults(document, agents), tuple(problems))


def library_agents() -> dict[str, Agent]:
    """Every module of ``agents/library``, by name. Each holds its agent as ``AGENT``."""
    names = sorted(module.name for module in pkgutil.iter_modules(library.__path__))
    agents = (importlib.import_module(f"{library.__name__}.{name}").AGENT for name in names)
    return {agent.name: agent for agent in cast("Any", agents)}


def _add(agents: dict[str, Agent], point: EntryPoint) -> str:
    """Loads one out-of-tree agent (an instance, or what makes one without arguments); returns the problem, if any."""
    try:
        loaded: Any = point.load()
        agent: Agent = cast("Callable[[], Agent]", loaded)() if isinstance(loaded, type) else loaded
        name = agent.name
        info(agent)
    except AGENT_FAULTS as error:
        return f"agent {point.name} ({point.value}) cannot be loaded: {type(error).__name__}: {error}"
    if name in agents:
        return f"agent {point.name} ({point.value}) is left out: the name {name} is taken"
    agents[name] = agent
    return ""


def parse_defaults(document: Mapping[str, Any], agents: Mapping[str, Agent]) -> tuple[AgentChoice, ...]:
    """The ``[agents.<name>]`` tables of config/agents.toml: ``enabled``, ``weight``, ``parameters``; each may be
    left out.
    """
    unknown = sorted(set(document) - {"agents"})
    if unknown:
        raise Misconfigured(f"agents.toml: unknown key {unknown[0]!r}", fix="Write tables named [agents.<name>].")
    tables = _table(document.get("agents", {}), "agents")
    return tuple(_choice(name, _table(table, f"agents.{name}"), agents) for name, table in tables.items())


def _choice(name: str, table: Mapping[str, Any], agents: Mapping[str, Agent]) -> AgentChoice:
    where = f"agents.{name}"
    if name not in agents:
        raise Misconfigured(f"agents.toml: {where}: there is no such agent", fix=f"Installed: {', '.join(agents)}.")
    unknown = sorted(set(table) - {"enabled", "weight", "parameters"})
    if unknown:
        raise Misconfigured(
            f"agents.toml: {where}.{unknown[0]}: unknown key", fix="Known: enabled, weight, parameters."
        )
    enabled, weight = table.get("enabled", True), table.get("weight", 1.0)
    if not isinstance(enabled, bool):
        raise Misconfigured(f"agents.toml: {where}.enabled must be true or false")
    given = {
        key: _number(value, f"{where}.parameters.{key}")
        for key, value in _table(table.get("parameters", {}), where).items()
    }
    try:
        return AgentChoice(
            name, checked(agents[name], given, f"{where}.parameters"), _number(weight, f"{where}.weight"), enabled
        )
    except InvalidInput as error:
        place = "" if error.message.startswith(error.field) else f"{error.field}: "
        raise Misconfigured(f"agents.toml: {place}{error.message}", fix=error.fix) from error


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Misconfigured(f"agents.toml: {where} must be a table")
    return cast("Mapping[str, Any]", value)


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misconfigured(f"agents.toml: {where} must be a number")
    return float(value)
