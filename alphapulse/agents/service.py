"""Signals on demand: each computed once, whoever asks and however often."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import inf
from uuid import UUID

from alphapulse.agents import store
from alphapulse.agents.evaluation import Outcome, Task, abstention, run
from alphapulse.agents.protocol import Agent
from alphapulse.agents.registry import AGENT_FAULTS, Registry, checked
from alphapulse.agents.store import Computation
from alphapulse.clock import Clock
from alphapulse.domain.funds import AgentChoice, parameters_key
from alphapulse.domain.market import Series, Timeframe
from alphapulse.domain.signals import AgentInfo, Signal
from alphapulse.errors import AlphaPulseError
from alphapulse.market.service import Market
from alphapulse.ports.database import Database
from alphapulse.ports.telemetry import Telemetry
from alphapulse.quant.window import Window

Request = tuple[str, Mapping[str, float], Series]

#: Evaluations handed to a thread at a time: some ten milliseconds, so that nothing waits long for the interpreter.
BATCH = 64
#: After this an agent counts as late and abstains; its thread cannot be stopped, but nobody waits for it.
PATIENCE = timedelta(seconds=10)
#: Signals kept in memory, about a kilobyte each.
KEPT = 20_000
#: How long an abstention that more candles could lift is believed, seconds.
_DOUBT_FOR = 1.0
_WINDOWS_AT_ONCE = 16


class Agents:
    """computations: how many evaluations this process has made, of whatever outcome."""

    def __init__(
        self,
        *,
        database: Database,
        market: Market,
        clock: Clock,
        telemetry: Telemetry,
        registry: Registry,
        patience: timedelta = PATIENCE,
    ) -> None:
        self.computations = 0
        self.registry = registry
        self._database = database
        self._market = market
        self._clock = clock
        self._telemetry = telemetry
        self._patience = patience
        #: With the moment of the monotonic clock up to which each is believed.
        self._kept: OrderedDict[Computation, tuple[float, Signal]] = OrderedDict()
        self._running: dict[Computation, asyncio.Task[dict[Computation, Signal]]] = {}

    def catalogue(self) -> list[AgentInfo]:
        """Every installed agent."""
        return self.registry.infos()

    def defaults(self) -> tuple[AgentChoice, ...]:
        """What a new fund uses that names no agents, complete."""
        return self.registry.defaults

    def complete(self, choice: AgentChoice) -> AgentChoice:
        """``choice`` with defaults filled in. Raises NotFound for an unknown agent, InvalidInput naming the
        parameter.
        """
        return self.registry.complete(choice)

    async def signals(self, requests: Iterable[Request], at: datetime) -> list[Signal]:
        """One signal per request, in order. requests: agent, parameters, series. at: a bar's close.

        Looked up in memory, then in the table, else computed and stored; equal requests, also of others at the same
        time, share one computation. An agent that is missing, late or failing, or lacks candles, abstains and says why.
        Raises what the database raises.
        """
        asked = [self._identify(request, at) for request in requests]
        found: dict[Computation, Signal] = {}
        fresh: dict[Computation, Mapping[str, float]] = {}
        waiting: set[asyncio.Task[dict[Computation, Signal]]] = set()
        for wanted, parameters in asked:
            signal = self._recall(wanted)
            if signal is not None:
                found[wanted] = signal
            elif wanted in self._running:
                waiting.add(self._running[wanted])
            else:
                fresh[wanted] = parameters
        if fresh:
            waiting.add(self._start(fresh))
        for task in waiting:
            # Shielded: that one asker goes away must not take the answer from the others.
            found |= await asyncio.shield(task)
        return [found[wanted] for wanted, _ in asked]

    async def list_signals(
        self,
        *,
        tenant_id: UUID | None,
        agent: str | None = None,
        venue: str | None = None,
        symbol: str | None = None,
        timeframe: Timeframe | None = None,
        limit: int = 100,
    ) -> list[Signal]:
        """Stored signals, newest bar first; None leaves a field open.

        tenant_id: only signals that a configuration of this tenant's funds asks for, since another tenant's
        parameters are that tenant's secret; None: everybody's, for the platform admin.
        """
        if tenant_id is None:
            async with self._database.shared() as tx:
                return await store.newest(tx, agent=agent, venue=venue, symbol=symbol, timeframe=timeframe, limit=limit)
        async with self._database.transaction(tenant_id) as tx:
            wanted = [
                (use.agent, self._key(use.agent, use.parameters), use.series)
                for use in await store.uses(tx)
                if agent in {None, use.agent}
                and venue in {None, use.series.venue}
                and symbol in {None, use.series.symbol}
                and timeframe in {None, use.series.timeframe}
            ]
            return await store.newest_of(tx, wanted, limit)

    def _identify(self, request: Request, at: datetime) -> tuple[Computation, Mapping[str, float]]:
        name, parameters, series = request
        return Computation(name, self._key(name, parameters), series, at), parameters

    def _key(self, name: str, parameters: Mapping[str, float]) -> str:
        """Under which the agent's signals are stored."""
        key = parameters_key(dict(parameters))
        agent = self.registry.agents.get(name)
        return f"{key} v{agent.version}" if agent is not None and agent.version > 1 else key

    def _recall(self, wanted: Computation) -> Signal | None:
        known = self._kept.get(wanted)
        if known is None or time.monotonic() >= known[0]:
            return None
        self._kept.move_to_end(wanted)
        return known[1]

    def _keep(self, signals: Mapping[Computation, Signal], believed_for: float = inf) -> None:
        until = time.monotonic() + believed_for
        for wanted, signal in signals.items():
            self._kept[wanted] = (until, signal)
            self._kept.move_to_end(wanted)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _start(self, fresh: Mapping[Computation, Mapping[str, float]]) -> asyncio.Task[dict[Computation, Signal]]:
        task = asyncio.create_task(self._produce(fresh))
        self._running.update(dict.fromkeys(fresh, task))

        def forget(_: asyncio.Task[dict[Computation, Signal]]) -> None:
            for wanted in fresh:
                del self._running[wanted]

        task.add_done_callback(forget)
        return task

    async def _produce(self, fresh: Mapping[Computation, Mapping[str, float]]) -> dict[Computation, Signal]:
        async with self._database.shared() as tx:
            found = await store.find(tx, list(fresh))
        self._keep(found)
        outcomes = await self._compute({wanted: fresh[wanted] for wanted in fresh if wanted not in found})
        lasting = {wanted: outcome.signal for wanted, outcome in outcomes.items() if outcome.lasting}
        if lasting:
            async with self._database.shared() as tx:
                await store.add(tx, list(lasting.values()), self._clock.now())
        self._keep(lasting)
        doubtful = {wanted: outcome.signal for wanted, outcome in outcomes.items() if not outcome.lasting}
        self._keep(doubtful, _DOUBT_FOR)
        return found | lasting | doubtful

    async def _compute(self, fresh: Mapping[Computation, Mapping[str, float]]) -> dict[Computation, Outcome]:
        outcomes: dict[Computation, Outcome] = {}
        ready: list[tuple[Computation, Agent, dict[str, float], int]] = []
        for wanted, parameters in fresh.items():
            try:
                agent = self.registry.get(wanted.agent)
                complete = checked(agent, parameters, "parameters")
                ready.append((wanted, agent, complete, agent.lookback(complete)))
            except AGENT_FAULTS as error:
                outcomes[wanted] = Outcome(abstention(wanted, str(error)), lasting=False)
        windows = await self._windows([(wanted, lookback) for wanted, _, _, lookback in ready])
        tasks: defaultdict[str, list[Task]] = defaultdict(list)
        for wanted, agent, complete, _ in ready:
            window = windows[wanted.series, wanted.at]
            if isinstance(window, Window):
                tasks[wanted.agent].append(Task(wanted, agent, complete, window))
            else:
                outcomes[wanted] = Outcome(abstention(wanted, window), lasting=False)
        for made in await asyncio.gather(*(self._evaluate(batch) for batch in tasks.values())):
            outcomes |= made
        return outcomes

    async def _windows(self, needs: Sequence[tuple[Computation, int]]) -> dict[tuple[Series, datetime], Window | str]:
        """The longest window that anyone needs of each series, or why there is none."""
        longest: dict[tuple[Series, datetime], int] = {}
        for wanted, bars in needs:
            place = (wanted.series, wanted.at)
            longest[place] = max(bars, longest.get(place, 0))
        gate = asyncio.Semaphore(_WINDOWS_AT_ONCE)

        async def fetch(series: Series, at: datetime, bars: int) -> Window | str:
            async with gate:
                try:
                    return await self._market.window(series, at, bars)
                except AlphaPulseError as error:
                    return error.message

        fetched = await asyncio.gather(*(fetch(series, at, bars) for (series, at), bars in longest.items()))
        return dict(zip(longest, fetched, strict=True))

    async def _evaluate(self, tasks: list[Task]) -> dict[Computation, Outcome]:
        """One agent's tasks, in a thread, batch by batch."""
        outcomes: dict[Computation, Outcome] = {}
        name = tasks[0].agent.name
        try:
            for start in range(0, len(tasks), BATCH):
                batch = tasks[start : start + BATCH]
                self.computations += len(batch)
                self._telemetry.count("signals_computed_total", by=len(batch), agent=name)
                async with asyncio.timeout(self._patience.total_seconds()):
                    made = await asyncio.to_thread(_run_all, batch)
                outcomes |= {task.wanted: outcome for task, outcome in zip(batch, made, strict=True)}
        except TimeoutError:
            reason = f"the agent did not answer within {self._patience.total_seconds():g} s"
            missed = [task.wanted for task in tasks if task.wanted not in outcomes]
            outcomes |= {wanted: Outcome(abstention(wanted, reason), lasting=False) for wanted in missed}
        return outcomes


def _run_all(tasks: Sequence[Task]) -> list[Outcome]:
    return [run(task) for task in tasks]
