from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from time import monotonic

from alphapulse.clock import ManualClock
from alphapulse.domain.events import EventKind
from alphapulse.domain.funds import FundState
from alphapulse.domain.portfolio import PortfolioSummary
from alphapulse.errors import NotFound
from alphapulse.tui.feed import Feed
from alphapulse.tui.live import EVERYTHING, Live
from tests.tui.conftest import PATIENCE, QUICK
from tests.tui.memory import NOW, MemorySource, fund


class SlowSource(MemorySource):
    """Answers for the books of ``slow`` only when let go."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.let_go = asyncio.Event()
        self.waiting = 0

    async def summary(self, fund: str | None) -> PortfolioSummary:
        if fund == "slow":
            self.waiting += 1
            await self.let_go.wait()
        return await super().summary(fund)


async def until(condition: Callable[[], object]) -> None:
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0)


@asynccontextmanager
async def feeding(source: MemorySource, live: Live) -> AsyncGenerator[Feed]:
    feed = Feed(source, live, ManualClock(NOW), QUICK)
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_first_fund_that_runs_is_shown_first() -> None:
    source = MemorySource()
    source.all_funds = [fund("asleep", state=FundState.STOPPED), fund("awake")]
    source.books["awake"] = source.books["momentum"]
    live = Live()
    async with feeding(source, live):
        await until(lambda: live.loaded >= EVERYTHING)
    assert live.fund == "awake"


async def test_a_fund_that_does_not_exist_is_said_and_another_shown() -> None:
    live = Live(fund="nosuch")
    async with feeding(MemorySource(), live):
        await until(lambda: live.loaded >= EVERYTHING)
    assert live.fund == "momentum"
    assert isinstance(live.errors[0].error, NotFound)


async def test_the_stream_is_followed_from_before_the_snapshot() -> None:
    source, live = MemorySource(), Live()
    async with feeding(source, live):
        await until(lambda: live.loaded >= EVERYTHING)
        assert source.asked.index("head") < source.asked.index("summary")
        await until(lambda: source.followed)
    assert source.followed == [41]


async def test_a_burst_of_events_costs_one_round_of_reads() -> None:
    source, live = MemorySource(), Live()
    async with feeding(source, live):
        await until(lambda: live.loaded >= EVERYTHING and live.heard_at)
        source.asked.clear()
        source.say(*(source.event(EventKind.EQUITY_MARKED) for _ in range(500)))
        await until(lambda: live.sequence == 541 and not live.wanted)
        await until(lambda: source.asked.count("summary"))
    assert source.asked.count("summary") <= 2


async def test_an_answer_that_comes_after_another_fund_was_chosen_is_dropped() -> None:
    source, live = SlowSource("slow", "quick"), Live(fund="slow")
    async with feeding(source, live) as feed:
        await until(lambda: source.waiting)
        feed.choose("quick")
        source.let_go.set()
        await until(lambda: live.summary is not None)
        assert live.summary is not None
        assert live.summary.name == "quick"
