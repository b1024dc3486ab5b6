"""Funds, their configurations, replays. A fund is named by its name or its id."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

from alphapulse.client.connection import LONG, Connection, Page, read
from alphapulse.domain.funds import ConfigVersion, Fund, FundConfig, FundMode, Replay


class FundCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Page[Fund]:
        return self._connection.page(Fund, "/funds")

    def create(self, name: str, mode: FundMode, capital: Decimal, config: FundConfig) -> Fund:
        body = {"name": name, "mode": mode, "capital": capital, "config": config}
        return read(Fund, self._connection.post("/funds", body))

    def get(self, fund: str) -> Fund:
        return read(Fund, self._connection.get(_path(fund)))

    def start(self, fund: str) -> Fund:
        return read(Fund, self._connection.post(f"{_path(fund)}/start"))

    def stop(self, fund: str) -> Fund:
        return read(Fund, self._connection.post(f"{_path(fund)}/stop"))

    def configs(self, fund: str) -> Page[ConfigVersion]:
        return self._connection.page(ConfigVersion, f"{_path(fund)}/configs")

    def config(self, fund: str, version: int) -> ConfigVersion:
        return read(ConfigVersion, self._connection.get(f"{_path(fund)}/configs/{version}"))

    def configure(self, fund: str, config: FundConfig) -> Fund:
        """The whole configuration as the next version, in force from the next bar."""
        return read(Fund, self._connection.request("PUT", f"{_path(fund)}/config", body=config))

    def rollback(self, fund: str, version: int) -> Fund:
        """An old version's configuration as the next version."""
        return read(Fund, self._connection.post(f"{_path(fund)}/rollback", {"version": version}))

    def start_replay(
        self,
        fund: str,
        *,
        start_at: datetime | None = None,
        end_at: datetime | None = None,
        bars: int | None = None,
    ) -> Replay:
        """A stored run over past bars, done by a job. bars: so many up to ``end_at``, the newest when not given."""
        body: dict[str, Any] = {"start_at": start_at, "end_at": end_at, "bars": bars}
        given = {name: value for name, value in body.items() if value is not None}
        return read(Replay, self._connection.post(f"{_path(fund)}/replays", given, timeout=LONG))

    def replay(self, fund: str, replay_id: UUID) -> Replay:
        return read(Replay, self._connection.get(f"{_path(fund)}/replays/{replay_id}"))

    def stop_replay(self, fund: str, replay_id: UUID) -> Replay:
        return read(Replay, self._connection.request("DELETE", f"{_path(fund)}/replays/{replay_id}"))


def _path(fund: str) -> str:
    return f"/funds/{quote(fund, safe='')}"
