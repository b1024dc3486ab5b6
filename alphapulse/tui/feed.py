"""Keeps a Live fed: reads what is wanted, follows the stream, comes back after every loss."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from alphapulse.client.stream import Link, LinkState
from alphapulse.domain.events import Event
from alphapulse.domain.funds import FundState
from alphapulse.domain.portfolio import EquityPoint
from alphapulse.errors import AlphaPulseError, NotFound, TryAgain, Unavailable
from alphapulse.tui.live import EVERYTHING, OF_A_FUND, Health, Live, Section, combined

if TYPE_CHECKING:
    from alphapulse.clock import Clock
    from alphapulse.domain.decisions import Decision
    from alphapulse.domain.risk import Halt, HaltScope
    from alphapulse.tui.source import Source

#: Points of the curve, decisions shown, and funds whose curves and decisions are put together for the total.
POINTS, DECISIONS, FUNDS_TOGETHER = 500, 12, 8


@dataclass(frozen=True, slots=True)
class Pace:
    """between_reads: at most one read in it on average, however many events come. first_retry, last_retry: pauses
    after failures, doubling. look_again: how often everything is read although no event asked for it.
    """

    between_reads: timedelta = timedelta(seconds=1)
    first_retry: timedelta = timedelta(seconds=1)
    last_retry: timedelta = timedelta(seconds=15)
    look_again: timedelta = timedelta(seconds=60)


class Feed:
    """Reads from ``source`` into ``live``; errors go there too, and none ends the feed. ``run`` is its own task."""

    def __init__(self, source: Source, live: Live, clock: Clock, pace: Pace | None = None) -> None:
        self._source = source
        self._live = live
        self._clock = clock
        self._pace = pace or Pace()
        self._ask = asyncio.Event()
        self._again = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        await self._begin()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_reading())
            tasks.create_task(self._keep_following())
            tasks.create_task(self._keep_looking())

    def refresh(self) -> None:
        """Reads everything again, and tries a stream that was refused once more."""
        self._live.want(EVERYTHING)
        self._ask.set()
        self._again.set()

    def choose(self, fund: str | None) -> None:
        self._live.choose(fund)
        self._ask.set()

    async def halt(self, scope: HaltScope, reason: str, fund: str | None) -> Halt:
        return await self._latch(self._source.halt(scope, reason, fund))

    async def resume(self, scope: HaltScope, reason: str, fund: str | None) -> Halt:
        return await self._latch(self._source.resume(scope, reason, fund))

    async def _latch(self, change: Awaitable[Halt]) -> Halt:
        """Asked once. Whatever came of it, the halts are read again: after a lost answer only they tell the truth."""
        try:
            return await change
        finally:
            self._live.want({Section.HALTS})
            self._ask.set()

    async def _begin(self) -> None:
        """Who we are, which funds there are, and where the stream stands; snapshots are read after that, so that no
        event falls between the two.
        """
        pause = self._pace.first_retry
        while True:
            try:
                self._live.caller = await self._source.whoami()
                self._live.sequence = await self._source.head()
                self._live.put(Section.FUNDS, tuple(await self._source.funds()))
            except AlphaPulseError as error:
                pause = await self._failed("connect", error, pause)
            else:
                break
        self._choose_first()
        self._live.want(EVERYTHING)
        self._ask.set()

    def _choose_first(self) -> None:
        """The fund that was asked for; without one, or when there is no such fund, the first that runs."""
        live = self._live
        if live.fund is not None and live.chosen is None:
            names = ", ".join(fund.name for fund in live.funds) or "none yet"
            missing = NotFound(f"no fund {live.fund!r}", fix=f"Funds here: {names}.")
            live.fail("choose fund", missing, self._clock.now())
            live.choose(None)
        if live.fund is None and live.funds:
            running = [fund for fund in live.funds if fund.state is FundState.RUNNING]
            live.choose((running or live.funds)[0].name)

    async def _failed(self, place: str, error: AlphaPulseError, pause: timedelta) -> timedelta:
        """Notes the error and waits; the next pause. A refusal waits until somebody asks again."""
        self._live.fail(place, error, self._clock.now())
        self._again.clear()
        if isinstance(error, TryAgain):
            self._live.lost()
            await _wait(self._again, pause)
            return min(pause * 2, self._pace.last_retry)
        self._live.link = Health.REFUSED
        await self._again.wait()
        self._live.link = Health.CONNECTING
        return self._pace.first_retry

    async def _keep_following(self) -> None:
        pause = self._pace.first_retry
        while True:
            try:
                async for item in self._source.follow(self._live.sequence):
                    pause = self._pace.first_retry
                    self._take(item)
                self._live.lost()
                await _wait(self._again, pause)
            except AlphaPulseError as error:
                pause = await self._failed("stream", error, pause)

    def _take(self, item: Event | Link) -> None:
        now = self._clock.now()
        if isinstance(item, Event):
            self._live.hear(item, now)
        elif item.state is LinkState.DOWN:
            broken = Unavailable(f"the event stream broke: {item.detail}", fix="It is put up again by itself.")
            self._live.fail("stream", broken, now)
            self._live.lost()
        else:
            if item.state is LinkState.UP and self._live.heard_at is not None:
                self._live.want(EVERYTHING)
            self._live.heard(now)
        if self._live.wanted:
            self._ask.set()

    async def _keep_looking(self) -> None:
        """A snapshot now and then even without events: prices age, and an event may be of a kind we do not know."""
        while True:
            await asyncio.sleep(self._pace.look_again.total_seconds())
            self._live.want(EVERYTHING)
            self._ask.set()

    async def _keep_reading(self) -> None:
        pause = self._pace.first_retry
        while True:
            await self._ask.wait()
            self._ask.clear()
            sections, fund = frozenset(self._live.wanted), self._live.fund
            self._live.wanted.clear()
            failed = [
                section
                for section, went_well in zip(
                    sections, await asyncio.gather(*(self._read(section, fund) for section in sections)), strict=True
                )
                if not went_well
            ]
            # A dashboard shares its tenant's rate limit: what reads much rests longer.
            await asyncio.sleep(self._pace.between_reads.total_seconds() * max(1, len(sections)))
            if not failed:
                pause = self._pace.first_retry
                continue
            self._live.want(failed)
            await _wait(self._ask, pause)
            self._ask.set()
            pause = min(pause * 2, self._pace.last_retry)

    async def _read(self, section: Section, fund: str | None) -> bool:
        """Whether it went well. A value that comes after another fund was chosen is dropped; that fund's is wanted."""
        live = self._live
        try:
            value = await self._value(section, fund)
        except AlphaPulseError as error:
            if section not in OF_A_FUND or live.fund == fund:
                now = self._clock.now()
                live.fail(section.value, error, now)
                live.failing.setdefault(section, now)
                live.changed.add(section)
                return False
            return True
        if section not in OF_A_FUND or live.fund == fund:
            live.put(section, value)
        return True

    async def _value(self, section: Section, fund: str | None) -> object:
        source = self._source
        match section:
            case Section.FUNDS:
                return tuple(await source.funds())
            case Section.HALTS:
                return tuple(halt for halt in await source.halts() if halt.lifted_at is None)
            case Section.SUMMARY:
                return await source.summary(fund)
            case Section.ORDERS:
                return tuple(sorted(await source.live_orders(fund), key=lambda order: order.at, reverse=True))
            case Section.HISTORY:
                return await self._history(fund)
            case Section.DECISIONS:
                return await self._decisions(fund)

    def _together(self) -> list[str]:
        return [fund.name for fund in self._live.funds[:FUNDS_TOGETHER]]

    async def _history(self, fund: str | None) -> Sequence[EquityPoint]:
        """The fund's curve, or the sum of all; none where there are too many funds to add up here."""
        if fund is not None:
            return tuple(await self._source.history(fund, POINTS))
        if len(self._live.funds) > FUNDS_TOGETHER:
            return ()
        histories = [tuple(await self._source.history(name, POINTS)) for name in self._together()]
        begun = min((history[0].at for history in histories if history), default=None)
        if begun is None:
            return ()
        # A fund without a bar yet is worth what was paid in.
        waiting = [fund.capital for fund, history in zip(self._live.funds, histories, strict=False) if not history]
        return combined([*histories, *((EquityPoint(begun, paid, paid, paid),) for paid in waiting)])

    async def _decisions(self, fund: str | None) -> Sequence[Decision]:
        if fund is not None:
            return tuple(await self._source.decisions(fund, DECISIONS))
        found = [decision for name in self._together() for decision in await self._source.decisions(name, DECISIONS)]
        return tuple(sorted(found, key=lambda decision: decision.at, reverse=True)[:DECISIONS])


async def _wait(event: asyncio.Event, pause: timedelta) -> None:
    """Until ``event`` or for ``pause``, whichever is sooner."""
    try:
        async with asyncio.timeout(pause.total_seconds()):
            await event.wait()
    except TimeoutError:
        return
