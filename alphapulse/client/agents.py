"""Agents and what they said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from alphapulse.client.connection import LONG, Connection, Page, read
from alphapulse.domain.funds import Fund
from alphapulse.domain.signals import AgentInfo, Signal


class AgentCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Page[AgentInfo]:
        return self._connection.page(AgentInfo, "/agents")

    def get(self, name: str) -> AgentInfo:
        return read(AgentInfo, self._connection.get(f"/agents/{quote(name, safe='')}"))

    def signals(
        self,
        *,
        agent: str | None = None,
        venue: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        limit: int = 50,
    ) -> Page[Signal]:
        """Stored signals, newest first."""
        return self._connection.page(
            Signal,
            "/agents/signals",
            agent=agent,
            venue=venue,
            symbol=symbol,
            timeframe=timeframe,
            limit=limit,
            timeout=LONG,
        )

    def configure(
        self,
        fund: str,
        agent: str,
        *,
        enabled: bool | None = None,
        weight: float | None = None,
        parameters: Mapping[str, float] | None = None,
    ) -> Fund:
        """What is not given stays. The fund's configuration gets its next version, in force from the next bar."""
        body: dict[str, Any] = {"fund": fund, "agent": agent}
        if enabled is not None:
            body["enabled"] = enabled
        if weight is not None:
            body["weight"] = weight
        if parameters:
            body["parameters"] = dict(parameters)
        return read(Fund, self._connection.post("/agents/config", body))
