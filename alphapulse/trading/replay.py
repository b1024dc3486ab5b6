"""Replays: one fund over past bars through the very cycle that live trading runs, as a stored run.

The cursor moves in the last transaction of each bar, so a restart goes on exactly where the crash was. One fund
has one timeline: a replay needs a stopped fund and begins after everything that the fund did before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.events import EventKind
from alphapulse.domain.funds import Fund, FundState, Replay, ReplayState
from alphapulse.domain.market import EPOCH, Series, Timeframe
from alphapulse.errors import AlphaPulseError, Conflict, InvalidInput, NotFound, StorageFull
from alphapulse.events import store as event_store
from alphapulse.ports.database import Database, Transaction
from alphapulse.trading import fund_store, replay_store
from alphapulse.trading.cycle import Cycle
from alphapulse.trading.recording import After

if TYPE_CHECKING:
    from alphapulse.market.service import Market

#: Enqueues the job in the transaction that stores the run.
Enqueue = Callable[[Transaction, Replay], Awaitable[None]]

#: Bars of one replay at most: eleven years of hours. At the speed of a database that is an hour of work, not a week.
MOST_BARS = 100_000


class _Over(Exception):
    """The run was ended by somebody else; the bar that noticed is rolled back."""


class Replays:
    def __init__(self, *, database: Database, cycle: Cycle, market: Market, clock: Clock) -> None:
        self._database = database
        self._cycle = cycle
        self._market = market
        self._clock = clock

    async def start(
        self,
        tenant_id: UUID,
        fund: str,
        *,
        start_at: datetime | None = None,
        end_at: datetime | None = None,
        bars: int | None = None,
        enqueue: Enqueue | None = None,
        actor: str = "job:replay",
    ) -> Replay:
        """Store a run; ``run`` does it. start_at, end_at: close of the first and the last bar, floored to bars.

        end_at: the newest closed bar when not given. start_at: ``bars`` before the end when that is given, else the
        bar after what the fund did last, else the first bar that every symbol of the universe has. On a venue that
        has imported candles only, a start before the first of them becomes that first bar; bars_total says how many
        are left; a live venue's first candle counts as far as its source knows it.
        Raises InvalidInput, also for more than MOST_BARS; Conflict when the fund runs, is replayed already, or has
        been beyond start_at.
        """
        async with self._database.transaction(tenant_id) as tx:
            found = await fund_store.find(tx, fund)
            last = await replay_store.last_activity(tx, found.id)
        first, end = await self._span(found, start_at, end_at, bars, last)
        async with self._database.transaction(tenant_id) as tx:
            await fund_store.lock(tx, found.id)
            found = await fund_store.find(tx, str(found.id))
            await self._require_idle(tx, found, first)
            total = replay_store.slots(first, end, found.config.timeframe)
            replay = Replay(uuid4(), found.id, first, end, None, ReplayState.RUNNING, "", total, 0)
            await replay_store.insert(tx, replay, self._clock.now())
            if enqueue is not None:
                await enqueue(tx, replay)
            after = {"fund": found.name, "start_at": first, "end_at": end, "bars": total}
            now, subject = self._clock.now(), str(replay.id)
            await record_change(
                tx, actor=actor, action="fund.replay", subject=subject, before=None, after=after, at=now
            )
        return replay

    async def get(self, tenant_id: UUID, fund: str, replay_id: UUID) -> Replay:
        """Raises NotFound unless the run is this fund's."""
        async with self._database.transaction(tenant_id) as tx:
            found = await fund_store.find(tx, fund)
            return await _existing(tx, replay_id, found.id)

    async def run(self, tenant_id: UUID, replay_id: UUID, *, lasting: timedelta | None = None) -> Replay:
        """Do what is left of a run, and give it as it stands then. May be called again, also by two at once.

        lasting: no bar is begun later than this after the first, so that the run may come back unfinished.
        An error of ours that a repeat cannot cure ends the run as failed; what passes (Unavailable and the like, and
        StorageFull) is raised, and the job comes again.
        """
        async with self._database.transaction(tenant_id) as tx:
            replay = await _existing(tx, replay_id)
            fund = await fund_store.find(tx, str(replay.fund_id))
        length = fund.config.timeframe.length
        at = replay.start_at if replay.cursor is None else replay.cursor + length
        began = monotonic()
        try:
            while replay.state is ReplayState.RUNNING and at <= replay.end_at:
                await self._cycle.run(fund, at, after=self._advance(fund, replay, at))
                at += length
                if lasting is not None and monotonic() - began >= lasting.total_seconds():
                    break
        except _Over:
            pass
        except AlphaPulseError as error:
            if error.retryable or isinstance(error, StorageFull):
                raise
            await self.fail(tenant_id, replay_id, error.message)
        async with self._database.transaction(tenant_id) as tx:
            return await _existing(tx, replay_id)

    async def fail(self, tenant_id: UUID, replay_id: UUID, error: str) -> None:
        """End a run that cannot go on; what it did so far stands."""
        async with self._database.transaction(tenant_id) as tx:
            replay = await _existing(tx, replay_id)
            if await replay_store.end(tx, replay_id, ReplayState.FAILED, error):
                await self._tell(tx, replay, ReplayState.FAILED, replay.cursor or replay.start_at, error)

    async def stop(self, tenant_id: UUID, fund: str, replay_id: UUID, *, actor: str) -> Replay:
        """End a run for good, and give it; what it did so far stands. A stopped one is given as it is.

        The bar under way is not marked as done. Raises NotFound, and Conflict when the run ended by itself.
        """
        async with self._database.transaction(tenant_id) as tx:
            found = await fund_store.find(tx, fund)
            # A bar's transactions hold the fund first and the run later: the same order here, or the two would wait
            # for each other.
            await fund_store.lock(tx, found.id)
            replay = await _existing(tx, replay_id, found.id)
            if replay.state is ReplayState.STOPPED:
                return replay
            if not await replay_store.end(tx, replay_id, ReplayState.STOPPED):
                raise Conflict(f"the replay has {replay.state} already", fix="There is nothing to stop.")
            await self._tell(tx, replay, ReplayState.STOPPED, replay.cursor or replay.start_at, "")
            before, after = ({"state": state} for state in (replay.state, ReplayState.STOPPED))
            now, subject = self._clock.now(), str(replay_id)
            await record_change(
                tx, actor=actor, action="fund.replay_stop", subject=subject, before=before, after=after, at=now
            )
            return await _existing(tx, replay_id)

    def _advance(self, fund: Fund, replay: Replay, at: datetime) -> After:
        async def advance(tx: Transaction) -> None:
            if not await replay_store.advance(tx, replay.id, at):
                raise _Over
            if at + fund.config.timeframe.length > replay.end_at:
                await self._tell(tx, replay, ReplayState.FINISHED, at, "")

        return advance

    async def _tell(self, tx: Transaction, replay: Replay, state: ReplayState, at: datetime, error: str) -> None:
        payload = {"fund_id": replay.fund_id, "state": state, "bars": replay.bars_total, "error": error}
        await event_store.append(tx, EventKind.REPLAY_FINISHED, str(replay.id), at, self._clock.now(), payload)

    async def _span(
        self,
        fund: Fund,
        start_at: datetime | None,
        end_at: datetime | None,
        bars: int | None,
        last: datetime | None,
    ) -> tuple[datetime, datetime]:
        timeframe, config = fund.config.timeframe, fund.config
        newest = await self._market.now(config.venue, list(config.universe), timeframe)
        end = newest if end_at is None else min(newest, timeframe.floor(end_at))
        earliest = await self._earliest(fund)
        if start_at is not None:
            if bars is not None and end_at is not None:
                raise InvalidInput("give two of start_at, end_at and bars, not all three", field="bars")
            first = max(timeframe.floor(start_at), earliest or EPOCH)
            end = end if bars is None else min(end, first + (bars - 1) * timeframe.length)
        elif bars is not None:
            first = _before(end, bars, timeframe, earliest or EPOCH)
        elif last is not None:
            first = timeframe.floor(last) + timeframe.length
        else:
            first = await self._first_common(fund)
        if (bars is not None and bars < 1) or first > end:
            known = "" if earliest is None else f"; {config.venue} has bars closing from {earliest:%Y-%m-%d %H:%M}"
            raise InvalidInput(
                f"no bar to replay from {first:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
                + (f"{known} to {newest:%Y-%m-%d %H:%M}" if known else ""),
                field="start_at" if start_at else "bars",
                fix="Choose a span inside the candles: alphapulse market list",
            )
        if (total := replay_store.slots(first, end, timeframe)) > MOST_BARS:
            raise InvalidInput(
                f"{total:,} bars from {first:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC are more than the"
                f" {MOST_BARS:,} of one replay",
                field="bars",
                fix=f"Replay it in parts, oldest first: --from with --bars {MOST_BARS}.",
            )
        return first, end

    async def _earliest(self, fund: Fund) -> datetime | None:
        """Close of the first bar of any symbol: of the stored ones, or as early as the live source may have any."""
        if (begins := self._market.begins(fund.config.venue)) is not None:
            return fund.config.timeframe.floor(begins) + fund.config.timeframe.length
        return min((await self._firsts(fund)).values(), default=None)

    async def _firsts(self, fund: Fund) -> dict[str, datetime]:
        """Close of the first stored bar of each symbol that has any."""
        config = fund.config
        return {
            info.symbol: info.first + config.timeframe.length
            for info in await self._market.series()
            if (info.venue, info.timeframe) == (config.venue, config.timeframe) and info.symbol in config.universe
        }

    async def _first_common(self, fund: Fund) -> datetime:
        """Close of the first bar that every symbol has."""
        config = fund.config
        firsts = await self._firsts(fund)
        if len(firsts) < len(config.universe):
            missing = next(symbol for symbol in config.universe if symbol not in firsts)
            series = Series(config.venue, missing, config.timeframe)
            raise InvalidInput(
                f"no candles of {series.symbol} on {series.venue} in {series.timeframe} are stored",
                field="start_at",
                fix="Import candles (alphapulse market import FILE), or name start_at or bars.",
            )
        return max(firsts.values())

    async def _require_idle(self, tx: Transaction, fund: Fund, first: datetime) -> None:
        if fund.state is FundState.RUNNING:
            raise Conflict(f"fund {fund.name} is running", fix=f"Stop it first: alphapulse funds stop {fund.name}")
        if await replay_store.running(tx, fund.id):
            raise Conflict(f"fund {fund.name} is being replayed already")
        last = await replay_store.last_activity(tx, fund.id)
        if last is not None and last >= first:
            raise Conflict(
                f"fund {fund.name} has traded up to {last:%Y-%m-%d %H:%M} UTC and cannot go back",
                fix="Start later, or create a fresh fund for this span.",
            )


def _before(end: datetime, bars: int, timeframe: Timeframe, earliest: datetime) -> datetime:
    """Close of the first of ``bars`` bars up to ``end``, but none before ``earliest``."""
    wanted = min(bars, (end - earliest) // timeframe.length + 1)
    return end - (wanted - 1) * timeframe.length


async def _existing(tx: Transaction, replay_id: UUID, fund_id: UUID | None = None) -> Replay:
    replay = await replay_store.get(tx, replay_id, fund_id)
    if replay is None:
        raise NotFound(f"there is no replay {replay_id}")
    return replay
