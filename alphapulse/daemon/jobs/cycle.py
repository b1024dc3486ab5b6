"""The cycle job: every due fund of one timeframe decides on one closed bar."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from alphapulse.clock import Clock
from alphapulse.daemon.jobs import store
from alphapulse.domain.funds import Fund
from alphapulse.domain.market import Timeframe, parse_timeframe
from alphapulse.domain.wire import parse_time
from alphapulse.errors import AlphaPulseError, Refused, Unavailable
from alphapulse.ports.database import Database
from alphapulse.ports.telemetry import Telemetry
from alphapulse.trading.cycle import Cycle
from alphapulse.trading.funds import Funds

#: Funds that decide at the same time; more would only queue for database connections.
_AT_ONCE = 4
#: Older slots than these are not listed one by one.
_MOST_MISSED = 10_000

_log = logging.getLogger(__name__)


class CycleJob:
    """settle: how long after its close a bar is decided on."""

    def __init__(
        self,
        *,
        database: Database,
        funds: Funds,
        cycle: Cycle,
        clock: Clock,
        telemetry: Telemetry,
        settle: timedelta,
    ) -> None:
        self._database = database
        self._funds = funds
        self._cycle = cycle
        self._clock = clock
        self._telemetry = telemetry
        self._settle = settle

    async def run(self, arguments: Mapping[str, str]) -> None:
        """arguments: timeframe, slot (the bar's close); asked: somebody wants it now, so that a fund started since
        then decides as well. A fund that fails does not stop the others; a slot that is no longer the newest is
        left to the newest one's job, which records it as missed.

        Raises Unavailable when repeating may help at least one fund, Refused when it helps none.
        """
        timeframe = parse_timeframe(arguments["timeframe"])
        slot = parse_time(arguments["slot"], "slot")
        if slot < timeframe.floor(self._clock.now() - self._settle):
            _log.info("slot overtaken by a newer one", extra={"timeframe": timeframe, "slot": arguments["slot"]})
            return
        failures: dict[UUID, Exception] = {}
        gate = asyncio.Semaphore(_AT_ONCE)
        async with self._database.shared() as tx:
            due = await store.due_funds(tx, timeframe)
        async with asyncio.TaskGroup() as group:
            for tenant_id, fund_id in due:
                group.create_task(self._guarded(tenant_id, fund_id, slot, gate, failures, asked="asked" in arguments))
        if failures:
            raise _summary(failures, len(due))

    async def _guarded(
        self,
        tenant_id: UUID,
        fund_id: UUID,
        slot: datetime,
        gate: asyncio.Semaphore,
        failures: dict[UUID, Exception],
        *,
        asked: bool,
    ) -> None:
        async with gate:
            try:
                for fund in await self._funds.many(tenant_id, [fund_id]):
                    await self._decide(fund, slot, asked=asked)
            except Exception as error:  # noqa: BLE001 -- the outermost loop of one fund's cycle: the others go on
                failures[fund_id] = error
                trace = None if isinstance(error, AlphaPulseError) else error
                _log.error("a fund's cycle failed", extra={"fund": str(fund_id), "error": str(error)}, exc_info=trace)
        self._telemetry.count("fund_cycles_total", outcome="failed" if fund_id in failures else "done")

    async def _decide(self, fund: Fund, slot: datetime, *, asked: bool) -> None:
        timeframe = fund.config.timeframe
        async with self._database.transaction(fund.tenant_id) as tx:
            decided = await store.decided_until(tx, fund.id)
            if decided is not None and decided >= slot - timeframe.length:
                begins = decided
            else:
                # A gap: bars that closed while the fund was stopped were not missed.
                started = await store.started_at(tx, fund.id)
                begins = max((at for at in (decided, started and timeframe.floor(started)) if at), default=None)
        if begins is not None and begins >= slot and decided != slot and not asked:
            return  # started after this bar had closed: the next one is its first
        missed = _between(begins, slot, timeframe)
        if missed:
            await self._cycle.missed(fund, missed)
        await self._cycle.run(fund, slot)


def _between(begins: datetime | None, slot: datetime, timeframe: Timeframe) -> list[datetime]:
    """Closes after ``begins`` and before ``slot``, the newest _MOST_MISSED of them."""
    if begins is None:
        return []
    count = min(_MOST_MISSED, (slot - begins) // timeframe.length - 1)
    return [slot - timeframe.length * back for back in range(count, 0, -1)]


def _summary(failures: Mapping[UUID, Exception], due: int) -> AlphaPulseError:
    first = next(iter(failures.values()))
    text = f"{len(failures)} of {due} funds failed, the first ({next(iter(failures))}) with {first}"
    lost = all(isinstance(error, Refused) for error in failures.values())
    return Refused(text) if lost else Unavailable(text)
