"""A fund and its versioned configuration."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from alphapulse.domain.market import Timeframe, parse_symbol, parse_venue
from alphapulse.domain.money import ZERO
from alphapulse.domain.risk import RiskLimits
from alphapulse.errors import InvalidInput

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class FundMode(StrEnum):
    PAPER = "paper"


class FundState(StrEnum):
    STOPPED = "stopped"
    RUNNING = "running"


def parameters_key(parameters: dict[str, float]) -> str:
    """Canonical text of parameters: equal for equal parameters in any order."""
    return json.dumps({name: float(parameters[name]) for name in sorted(parameters)})


@dataclass(frozen=True, slots=True)
class AgentChoice:
    """One agent as a fund uses it. parameters: complete, already checked against the agent's ranges. weight: >= 0."""

    name: str
    parameters: dict[str, float] = field(default_factory=dict[str, float])
    weight: float = 1.0
    enabled: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight <= 1000.0:
            raise InvalidInput(
                f"weight of agent {self.name} must lie in [0, 1000]",
                field=f"agents.{self.name}.weight",
                fix="Give a weight against the fund's other agents, for example 2.",
            )


@dataclass(frozen=True, slots=True)
class FundConfig:
    """What a fund trades and how; changed only as a whole, as the next version.

    universe: symbols, all quoted in base_currency. allocator: name in ``quant/allocation``.
    allocator_parameters: by name, checked by the allocator.
    """

    venue: str
    timeframe: Timeframe
    base_currency: str
    universe: tuple[str, ...]
    agents: tuple[AgentChoice, ...]
    limits: RiskLimits
    allocator: str = "inverse_volatility"
    allocator_parameters: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        parse_venue(self.venue)
        if not self.universe:
            raise InvalidInput("universe is empty", field="universe", fix="Name at least one symbol.")
        if len(set(self.universe)) != len(self.universe):
            raise InvalidInput("universe names a symbol twice", field="universe", fix="Name each symbol once.")
        for symbol in self.universe:
            if parse_symbol(symbol, "universe").partition("/")[2] != self.base_currency:
                raise InvalidInput(
                    f"universe: {symbol} is not quoted in {self.base_currency}",
                    field="universe",
                    fix="Every symbol must be quoted in base_currency.",
                )
        names = [choice.name for choice in self.agents]
        if len(set(names)) != len(names):
            raise InvalidInput("agents names an agent twice", field="agents", fix="Name each agent once.")


@dataclass(frozen=True, slots=True)
class Fund:
    """capital: base currency paid in at creation. config_version: the version now in force."""

    id: UUID
    tenant_id: UUID
    name: str
    mode: FundMode
    state: FundState
    capital: Decimal
    config_version: int
    config: FundConfig
    created_at: datetime

    def __post_init__(self) -> None:
        parse_fund_name(self.name)
        if self.capital <= ZERO:
            raise InvalidInput(
                "capital must be above zero",
                field="capital",
                fix="Give what is paid in, in base currency, for example 100000.",
            )


def parse_fund_name(text: str, field: str = "name") -> str:
    if not _NAME.fullmatch(text):
        raise InvalidInput(
            f"{field}: {text[:80]!r} is not a fund name",
            field=field,
            fix="Use lower-case letters, digits and hyphens, at most 63, for example momentum-eu.",
        )
    return text


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """One stored configuration of a fund. version: 1, 2, 3 ...; recorded_at: wall time."""

    version: int
    config: FundConfig
    actor: str
    recorded_at: datetime


class ReplayState(StrEnum):
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"  # by a person, and for good


@dataclass(frozen=True, slots=True)
class Replay:
    """A stored run of one fund over past bars, bar by bar through the cycle that live trading uses.

    start_at, end_at: close of the first and of the last bar. cursor: close of the last bar done, None before
    the first. bars_total, bars_done: slots of the fund's timeframe, gaps included.
    """

    id: UUID
    fund_id: UUID
    start_at: datetime
    end_at: datetime
    cursor: datetime | None
    state: ReplayState
    error: str
    bars_total: int
    bars_done: int
