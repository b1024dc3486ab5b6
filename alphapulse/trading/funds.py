"""Funds: created with their capital, configured in versions, started and stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.events import EventKind
from alphapulse.domain.funds import (
    AgentChoice,
    ConfigVersion,
    Fund,
    FundConfig,
    FundMode,
    FundState,
)
from alphapulse.domain.portfolio import capital_entry
from alphapulse.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from alphapulse.events import store as event_store
from alphapulse.ports.database import Database, Transaction
from alphapulse.quant.allocation import complete_allocator
from alphapulse.trading import book_store, fund_store, replay_store
from alphapulse.trading.quota import Quota

if TYPE_CHECKING:
    from alphapulse.agents.service import Agents
    from alphapulse.market.service import Market


class Funds:
    """``fund`` is a name or an id; an unknown one, or another tenant's, raises NotFound."""

    def __init__(self, *, database: Database, market: Market, agents: Agents, clock: Clock, quota: Quota) -> None:
        self._database = database
        self._market = market
        self._agents = agents
        self._clock = clock
        self._quota = quota

    async def create(
        self, tenant_id: UUID, name: str, mode: FundMode, capital: Decimal, config: FundConfig, actor: str
    ) -> Fund:
        """A stopped fund whose owners paid ``capital`` in. Raises AlreadyExists for a taken name, InvalidInput,
        TierLimitReached.
        """
        config = await self._checked(config)
        now = self._clock.now()
        fund = Fund(uuid4(), tenant_id, name, mode, FundState.STOPPED, capital, 1, config, now)
        async with self._database.transaction(tenant_id) as tx:
            await self._quota.insist(tx, tenant_id, fund.id, config, None)
            try:
                await fund_store.insert(tx, fund, actor)
            except AlreadyExists:
                raise AlreadyExists(
                    f"fund {name} exists already",
                    fix=f"Choose another name, or change that one: `alphapulse funds config set {name} KEY=VALUE`.",
                ) from None
            entry = capital_entry(fund.id, config.base_currency, capital, now)
            await book_store.add_entries(tx, fund.id, [entry], now)
            await book_store.set_balances(tx, fund.id, {config.base_currency: capital})
            await self._tell(tx, EventKind.FUND_CREATED, fund, actor)
            after = {"name": name, "mode": mode, "state": fund.state, "capital": capital, "config": config}
            await self._record(tx, "fund.create", fund, None, after, actor)
        return fund

    async def list(self, tenant_id: UUID) -> list[Fund]:
        """By name."""
        async with self._database.transaction(tenant_id) as tx:
            return await fund_store.all_of(tx)

    async def many(self, tenant_id: UUID, ids: Sequence[UUID]) -> list[Fund]:
        """Those of ``ids`` that exist, by name."""
        async with self._database.transaction(tenant_id) as tx:
            return await fund_store.all_of(tx, ids)

    async def get(self, tenant_id: UUID, fund: str) -> Fund:
        async with self._database.transaction(tenant_id) as tx:
            return await fund_store.find(tx, fund)

    async def start(self, tenant_id: UUID, fund: str, actor: str) -> Fund:
        """From the next bar on the schedule runs the fund.

        Raises Conflict while it is replayed, when no agent is enabled, and when a symbol has neither candles of the
        fund's timeframe nor a live source: it could decide nothing.
        """
        await self._able(await self.get(tenant_id, fund))
        return await self._set_state(tenant_id, fund, FundState.RUNNING, EventKind.FUND_STARTED, actor)

    async def stop(self, tenant_id: UUID, fund: str, actor: str) -> Fund:
        """No more decisions; orders on their way are still settled, and a person may still place orders."""
        return await self._set_state(tenant_id, fund, FundState.STOPPED, EventKind.FUND_STOPPED, actor)

    async def configure(self, tenant_id: UUID, fund: str, config: FundConfig, actor: str) -> Fund:
        """``config`` as the next version, in force from the next bar.

        Raises InvalidInput, TierLimitReached, and Conflict for another venue, another base currency, or another
        timeframe while the fund is replayed: its books are kept in these.
        """
        config = await self._checked(config)
        async with self._database.transaction(tenant_id) as tx:
            found = await self._locked(tx, fund)
            return await self._configured(tx, found, config, actor)

    async def set_agent(
        self,
        tenant_id: UUID,
        fund: str,
        agent: str,
        *,
        enabled: bool | None = None,
        weight: float | None = None,
        parameters: Mapping[str, float] | None = None,
        actor: str,
    ) -> Fund:
        """Change one agent of a fund, as the next version; an agent that the fund does not use yet is added.

        parameters: those to change; the others stay. What is None stays.
        """
        async with self._database.transaction(tenant_id) as tx:
            found = await self._locked(tx, fund)
            chosen = {choice.name: choice for choice in found.config.agents}
            before = chosen.get(agent) or AgentChoice(agent)
            chosen[agent] = self._agents.complete(
                AgentChoice(
                    agent,
                    {**before.parameters, **(parameters or {})},
                    before.weight if weight is None else weight,
                    before.enabled if enabled is None else enabled,
                )
            )
            config = replace(found.config, agents=tuple(chosen.values()))
            return await self._configured(tx, found, config, actor)

    async def versions(self, tenant_id: UUID, fund: str) -> Sequence[ConfigVersion]:
        """Newest first."""
        async with self._database.transaction(tenant_id) as tx:
            found = await fund_store.find(tx, fund)
            return await fund_store.versions(tx, found.id)

    async def config(self, tenant_id: UUID, fund: str, version: int) -> ConfigVersion:
        async with self._database.transaction(tenant_id) as tx:
            return await _version(tx, await fund_store.find(tx, fund), version)

    async def rollback(self, tenant_id: UUID, fund: str, version: int, actor: str) -> Fund:
        """An old version's configuration as the next version; history is never rewritten."""
        old = await self.config(tenant_id, fund, version)
        return await self.configure(tenant_id, fund, old.config, actor)

    async def _able(self, fund: Fund) -> None:
        config = fund.config
        if fund.state is FundState.RUNNING:
            return
        if not any(choice.enabled for choice in config.agents):
            raise Conflict(
                f"fund {fund.name} has no agent that is enabled: it would decide nothing",
                fix=f"Enable one with: alphapulse agents enable AGENT --fund {fund.name}",
            )
        missing = await self.without_candles(config)
        if missing:
            raise Conflict(
                f"{', '.join(missing)} on {config.venue}: no candle of {config.timeframe} and no live source",
                fix="Import some with: alphapulse market import FILE, or change the fund's universe or timeframe.",
            )

    async def without_candles(self, config: FundConfig) -> list[str]:
        """Symbols of the universe that can have no price: no stored candle of the timeframe, no live source."""
        missing: list[str] = []
        for symbol in config.universe:
            try:
                await self._market.now(config.venue, (symbol,), config.timeframe)
            except NotFound:
                missing.append(symbol)
        return missing

    async def _checked(self, config: FundConfig) -> FundConfig:
        """Complete and tradable: agents and allocator with every parameter, symbols that the venue has."""
        known = await self._market.instruments(config.venue)
        for symbol in config.universe:
            if symbol not in known:
                some = ", ".join(sorted(known)[:5]) or "none; import candles first: alphapulse market import FILE"
                raise InvalidInput(
                    f"universe: {symbol} is not traded on {config.venue}",
                    field="universe",
                    fix=f"Use instruments of {config.venue}: {some}.",
                )
        return replace(
            config,
            agents=tuple(self._agents.complete(choice) for choice in config.agents),
            allocator_parameters=complete_allocator(config.allocator, config.allocator_parameters),
        )

    async def _locked(self, tx: Transaction, fund: str) -> Fund:
        """The fund as it is once its row is ours."""
        found = await fund_store.find(tx, fund)
        await fund_store.lock(tx, found.id)
        return await fund_store.find(tx, str(found.id))

    async def _configured(self, tx: Transaction, fund: Fund, config: FundConfig, actor: str) -> Fund:
        for name in ("venue", "base_currency"):
            if getattr(config, name) != getattr(fund.config, name):
                raise Conflict(
                    f"{name} of fund {fund.name} cannot change: its books are kept in it", fix="Create another fund."
                )
        if config.timeframe is not fund.config.timeframe and await replay_store.running(tx, fund.id):
            raise Conflict(f"fund {fund.name} is being replayed", fix="Change its timeframe when the replay is over.")
        if config == fund.config:
            return fund
        await self._quota.insist(tx, fund.tenant_id, fund.id, config, fund.config)
        version = await fund_store.add_config(tx, fund, config, actor, self._clock.now())
        configured = replace(fund, config=config, config_version=version)
        await self._tell(tx, EventKind.FUND_CONFIGURED, configured, actor)
        before, after = ({"version": one.config_version, "config": one.config} for one in (fund, configured))
        await self._record(tx, "fund.configure", fund, before, after, actor)
        return configured

    async def _set_state(self, tenant_id: UUID, fund: str, state: FundState, kind: EventKind, actor: str) -> Fund:
        async with self._database.transaction(tenant_id) as tx:
            found = await self._locked(tx, fund)
            if found.state is state:
                return found
            if state is FundState.RUNNING and await replay_store.running(tx, found.id):
                raise Conflict(f"fund {found.name} is being replayed", fix="Start it when the replay is over.")
            await fund_store.set_state(tx, found.id, state)
            changed = replace(found, state=state)
            await self._tell(tx, kind, changed, actor)
            action = "fund.start" if state is FundState.RUNNING else "fund.stop"
            await self._record(tx, action, found, {"state": found.state}, {"state": state}, actor)
        return changed

    async def _record(
        self,
        tx: Transaction,
        action: str,
        fund: Fund,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any],
        actor: str,
    ) -> None:
        now = self._clock.now()
        await record_change(tx, actor=actor, action=action, subject=fund.name, before=before, after=after, at=now)

    async def _tell(self, tx: Transaction, kind: EventKind, fund: Fund, actor: str) -> None:
        now = self._clock.now()
        payload = {"fund": fund.name, "state": fund.state, "config_version": fund.config_version, "actor": actor}
        await event_store.append(tx, kind, str(fund.id), now, now, payload)


async def _version(tx: Transaction, fund: Fund, version: int) -> ConfigVersion:
    found = await fund_store.versions(tx, fund.id, version)
    if not found:
        raise NotFound(
            f"fund {fund.name} has no configuration version {version}",
            fix=f"See its versions with: alphapulse funds config show {fund.name} --all",
        )
    return found[0]
