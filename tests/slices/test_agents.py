"""Signals are computed once, shared, stored, and an agent that cannot answer abstains."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.telemetry.prometheus import PrometheusTelemetry
from alphapulse.agents.protocol import Agent, Parameters, View
from alphapulse.agents.registry import Registry, library_agents
from alphapulse.agents.service import Agents
from alphapulse.clock import ManualClock
from alphapulse.domain.funds import AgentChoice
from alphapulse.domain.market import Series, Timeframe
from alphapulse.domain.signals import AgentParameter
from alphapulse.errors import NotFound
from alphapulse.market.catalogue import Catalogue
from alphapulse.market.service import Market
from alphapulse.quant.window import Window
from tests.candles import START, random_walk, window_of, without

BARS = 120
BAR = timedelta(hours=4)
END = START + BARS * BAR
SERIES = tuple(Series("binance", symbol, Timeframe.H4) for symbol in ("BTC/USDT", "ETH/USDT", "SOL/USDT"))
BTC = SERIES[0]
TREND = {"fast": 4.0, "slow": 8.0, "sensitivity": 1.0}


@dataclass(frozen=True)
class Scripted:
    """Does in ``evaluate`` whatever the test wants, then is bullish."""

    act: Callable[[Window], None]
    name: str = "scripted"
    version: int = 1
    summary: str = "Made for tests."
    formula: str = "conviction = 1"
    source: str = "none"
    parameters: tuple[AgentParameter, ...] = ()

    def check(self, parameters: Parameters) -> None:
        pass

    def lookback(self, parameters: Parameters) -> int:
        return 2

    def evaluate(self, window: Window, parameters: Parameters) -> View:
        self.act(window)
        ones = np.ones(len(window))
        return View(ones, ones, {"close": window.close, "nothing": ones * np.nan})

    def explain(self, conviction: float, numbers: Mapping[str, float]) -> str:
        return f"Always, at {numbers['close']:.2f}."


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    stored = Catalogue(tmp_path / "candles")
    for seed, series in enumerate(SERIES):
        stored.merge(series, window_of(random_walk(BARS, seed=seed)), "import")
    return stored


def agents_on(database: PostgresDatabase, catalogue: Catalogue, *more: Agent, patience: float = 10.0) -> Agents:
    clock = ManualClock(END)
    return Agents(
        database=database,
        market=Market(catalogue=catalogue, sources={}, instruments={}, clock=clock),
        clock=clock,
        telemetry=PrometheusTelemetry(),
        registry=Registry({**library_agents(), **{agent.name: agent for agent in more}}),
        patience=timedelta(seconds=patience),
    )


async def test_a_signal_says_what_was_decided_and_why(database: PostgresDatabase, catalogue: Catalogue) -> None:
    agents = agents_on(database, catalogue)
    [signal] = await agents.signals([("trend", TREND, BTC)], END)
    assert signal.conviction is not None
    assert -1.0 <= signal.conviction <= 1.0
    assert 0.0 < signal.confidence < 1.0
    assert (signal.agent, signal.series, signal.at) == ("trend", BTC, END)
    assert set(signal.numbers) == {"z", "spread", "deviation", "efficiency"}
    assert f"{signal.numbers['z']:+.2f}" in signal.rationale


async def test_equal_requests_are_computed_once_and_answered_in_their_order(
    database: PostgresDatabase, catalogue: Catalogue
) -> None:
    agents = agents_on(database, catalogue)
    requests = [("trend", TREND, series) for series in SERIES] + [("mean_reversion", {}, BTC)]
    turned = {"sensitivity": 1.0, "slow": 8.0, "fast": 4.0}
    answers = await agents.signals([*requests, ("trend", turned, BTC)], END)
    assert [(signal.agent, signal.series) for signal in answers[:4]] == [(name, series) for name, _, series in requests]
    assert answers[4] is answers[0]
    assert agents.computations == 4
    assert await agents.signals(requests, END) == answers[:4]
    assert agents.computations == 4
    await agents.signals(requests, END - BAR)
    assert agents.computations == 8


async def test_a_thousand_funds_at_once_share_each_computation(
    database: PostgresDatabase, catalogue: Catalogue
) -> None:
    agents = agents_on(database, catalogue)
    requests = [(name, {}, series) for series in SERIES for name in ("trend", "mean_reversion")]
    answers = await asyncio.gather(*(agents.signals(requests, END) for _ in range(1000)))
    assert agents.computations == 6
    assert all(answer == answers[0] for answer in answers)


async def test_another_process_reads_what_was_stored(database: PostgresDatabase, catalogue: Catalogue) -> None:
    requests = [("trend", TREND, series) for series in SERIES]
    first, second = agents_on(database, catalogue), agents_on(database, catalogue)
    assert await first.signals(requests, END) == await second.signals(requests, END)
    assert (first.computations, second.computations) == (3, 0)


async def test_two_processes_that_compute_at_once_agree(database: PostgresDatabase, catalogue: Catalogue) -> None:
    requests = [("trend", TREND, series) for series in SERIES]
    first, second = agents_on(database, catalogue), agents_on(database, catalogue)
    one, other = await asyncio.gather(first.signals(requests, END), second.signals(requests, END))
    assert one == other
    assert len(await first.list_signals(tenant_id=None)) == 3


async def test_a_new_version_of_an_agent_does_not_answer_with_old_signals(
    database: PostgresDatabase, catalogue: Catalogue
) -> None:
    old = agents_on(database, catalogue, Scripted(lambda _: None))
    new = agents_on(database, catalogue, Scripted(lambda _: None, version=2))
    for agents in (old, new):
        await agents.signals([("scripted", {}, BTC)], END)
    assert (old.computations, new.computations) == (1, 1)


async def test_stored_signals_are_listed_newest_first(database: PostgresDatabase, catalogue: Catalogue) -> None:
    agents = agents_on(database, catalogue)
    for bars in range(3):
        await agents.signals([("trend", TREND, series) for series in SERIES], END - bars * BAR)
    found = await agents.list_signals(
        tenant_id=None, agent="trend", venue="binance", symbol="BTC/USDT", timeframe=Timeframe.H4
    )
    assert [signal.at for signal in found] == [END, END - BAR, END - 2 * BAR]
    assert len(await agents.list_signals(tenant_id=None, limit=4)) == 4
    assert await agents.list_signals(tenant_id=None, agent="mean_reversion") == []


async def test_an_agent_abstains_where_candles_lack_and_says_which(
    database: PostgresDatabase, catalogue: Catalogue
) -> None:
    agents = agents_on(database, catalogue)
    nowhere = Series("binance", "XRP/USDT", Timeframe.H4)
    early = await agents.signals([("trend", TREND, BTC)], START + 10 * BAR)
    late = await agents.signals([("trend", TREND, BTC), ("trend", TREND, nowhere)], END + BAR)
    reasons = [signal.rationale for signal in early + late]
    assert all(signal.abstains for signal in early + late)
    assert "needs 26 candles, has 10" in reasons[0]
    assert "newest candle closed" in reasons[1]
    assert "no 4h candles of XRP/USDT" in reasons[2]
    assert await agents.list_signals(tenant_id=None) == []


async def test_an_abstention_for_want_of_candles_ends_when_they_come(
    database: PostgresDatabase, tmp_path: Path
) -> None:
    catalogue = Catalogue(tmp_path / "late")
    whole = window_of(random_walk(BARS))
    catalogue.merge(BTC, without(whole, *range(100, 110)), "import")
    assert (await agents_on(database, catalogue).signals([("trend", TREND, BTC)], END))[0].abstains
    catalogue.merge(BTC, whole, "import")
    assert not (await agents_on(database, catalogue).signals([("trend", TREND, BTC)], END))[0].abstains


async def test_a_failing_agent_abstains_and_the_others_answer(database: PostgresDatabase, catalogue: Catalogue) -> None:
    def fail(_: Window) -> None:
        raise ZeroDivisionError("by zero")

    agents = agents_on(database, catalogue, Scripted(fail))
    broken, fine = await agents.signals([("scripted", {}, BTC), ("trend", TREND, BTC)], END)
    assert broken.abstains
    assert broken.rationale == "Abstains: the agent failed: ZeroDivisionError: by zero."
    assert not fine.abstains


async def test_a_late_agent_abstains_and_the_others_answer(database: PostgresDatabase, catalogue: Catalogue) -> None:
    go_on = Event()

    def wait(_: Window) -> None:
        go_on.wait(30)

    agents = agents_on(database, catalogue, Scripted(wait), patience=0.2)
    try:
        late, fine = await agents.signals([("scripted", {}, BTC), ("trend", TREND, BTC)], END)
    finally:
        go_on.set()
    assert late.abstains
    assert "did not answer within 0.2 s" in late.rationale
    assert not fine.abstains


async def test_an_agent_that_is_not_installed_or_wrongly_steered_abstains(
    database: PostgresDatabase, catalogue: Catalogue
) -> None:
    agents = agents_on(database, catalogue)
    gone, steered = await agents.signals([("astrology", {}, BTC), ("trend", {"fast": 1e6}, BTC)], END)
    assert "there is no agent 'astrology'" in gone.rationale
    assert "parameters.fast" in steered.rationale
    assert agents.computations == 0


async def test_numbers_that_are_none_are_left_out(database: PostgresDatabase, catalogue: Catalogue) -> None:
    [signal] = await agents_on(database, catalogue, Scripted(lambda _: None)).signals([("scripted", {}, BTC)], END)
    assert set(signal.numbers) == {"close"}


async def test_who_leaves_early_does_not_take_the_answer_from_others(
    database: PostgresDatabase, catalogue: Catalogue
) -> None:
    started, go_on = Event(), Event()

    def wait(_: Window) -> None:
        started.set()
        go_on.wait(30)

    agents = agents_on(database, catalogue, Scripted(wait))
    first = asyncio.create_task(agents.signals([("scripted", {}, BTC)], END))
    await asyncio.to_thread(started.wait, 30)
    second = asyncio.create_task(agents.signals([("scripted", {}, BTC)], END))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go_on.set()
    assert [signal.conviction for signal in await second] == [1.0]
    assert agents.computations == 1


async def test_evaluations_leave_the_event_loop_free(database: PostgresDatabase, catalogue: Catalogue) -> None:
    agents = agents_on(database, catalogue)
    requests = [("trend", {**TREND, "sensitivity": 1.0 + number / 1000.0}, BTC) for number in range(1000)]
    work = asyncio.create_task(agents.signals(requests, END))
    longest, last = 0.0, time.perf_counter()
    while not work.done():
        await asyncio.sleep(0)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    assert len(await work) == 1000
    # Preparing and storing a thousand rows takes tens of milliseconds; evaluating them here would take a second.
    assert longest < 0.5


async def test_the_catalogue_of_agents_and_choices(database: PostgresDatabase, catalogue: Catalogue) -> None:
    agents = agents_on(database, catalogue)
    infos = {info.name: info for info in agents.catalogue()}
    assert set(infos) == {"trend", "mean_reversion"}
    assert infos["trend"].lookback == 98
    assert [parameter.name for parameter in infos["trend"].parameters] == ["fast", "slow", "sensitivity"]
    assert agents.complete(AgentChoice("trend")).parameters == {"fast": 8.0, "slow": 32.0, "sensitivity": 1.0}
    with pytest.raises(NotFound):
        agents.complete(AgentChoice("astrology"))
