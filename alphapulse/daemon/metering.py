"""Counts the calls that a tenant's plan includes per day, and refuses those beyond.

Counted in this process and added to the tenant's total every few seconds, so that a call costs no statement of its
own; several daemons on one database may together let pass what they made between two additions.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.types import Scope

from alphapulse.clock import Clock
from alphapulse.daemon.limits import Kind
from alphapulse.domain.plans import LimitName
from alphapulse.domain.tenancy import Caller, Role
from alphapulse.errors import AlphaPulseError, TierLimitReached
from alphapulse.tenancy.plans import day_of

if TYPE_CHECKING:
    from alphapulse.tenancy.metering import Metering
    from alphapulse.tenancy.plans import Plans

#: Seconds between two additions to the totals.
EVERY_S = 2.0
#: What the dashboard sends with what it asks for. Its reads are not billed, and so are not counted.
DASHBOARD = (b"x-client", b"dashboard")
#: Beginnings of paths that are a tenant's right or its way out of a limit.
_FREE = ("/auth", "/plan", "/account", "/export")

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Day:
    """total: of all daemons, at the last addition. fresh: made here since."""

    day: datetime
    total: int
    fresh: int


class CallMeter:
    def __init__(self, *, metering: Metering, plans: Plans, clock: Clock) -> None:
        self._metering = metering
        self._plans = plans
        self._clock = clock
        self._days: dict[UUID, _Day] = {}

    async def admit(self, caller: Caller, kind: Kind, scope: Scope) -> None:
        """Counts one call. Raises TierLimitReached when the day's are used up and none beyond is paid for; an order is
        let through, since it may be an exit: its route asks ``insist`` when it is none.
        """
        if caller.tenant_id is None or caller.role is Role.PLATFORM_ADMIN or not billable(kind, scope):
            return
        known = await self._today(caller.tenant_id)
        if kind is not Kind.ORDER:
            await self._insist(caller.tenant_id, known.total + known.fresh + 1)
        known.fresh += 1

    async def insist(self, caller: Caller) -> None:
        """For an order that was counted and is no exit: raises TierLimitReached when it lies beyond the day's calls."""
        if caller.tenant_id is not None and caller.role is not Role.PLATFORM_ADMIN:
            known = await self._today(caller.tenant_id)
            try:
                await self._insist(caller.tenant_id, known.total + known.fresh)
            except TierLimitReached:
                known.fresh -= 1  # nobody pays for what was refused
                raise

    async def _insist(self, tenant_id: UUID, calls: int) -> None:
        (await self._plans.allowance_of(tenant_id, LimitName.API_CALLS_PER_DAY)).insist(calls)

    async def _today(self, tenant_id: UUID) -> _Day:
        day = day_of(self._clock.now())
        known = self._days.get(tenant_id)
        return known if known is not None and known.day == day else await self._begin(tenant_id, day)

    async def run(self) -> None:
        """Adds to the totals until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.add()

    async def close(self) -> None:
        """Adds what was counted last."""
        await self.add()

    async def add(self) -> None:
        """Adds what was counted since the last time; what cannot be added now is added the next time."""
        today = day_of(self._clock.now())
        for tenant_id, known in list(self._days.items()):
            fresh, known.fresh = known.fresh, 0
            if fresh:
                try:
                    known.total = await self._metering.add_calls(tenant_id, fresh)
                    self._plans.forget(tenant_id)
                except AlphaPulseError as error:
                    known.fresh += fresh
                    _log.warning("calls are not added", extra={"tenant": str(tenant_id), "reason": str(error)})
            elif known.day != today:
                del self._days[tenant_id]

    async def _begin(self, tenant_id: UUID, day: datetime) -> _Day:
        total = await self._metering.add_calls(tenant_id, 0)
        # Another request may have begun it while this one asked.
        known = self._days.get(tenant_id)
        if known is None or known.day != day:
            known = self._days[tenant_id] = _Day(day, total, 0)
        return known


def billable(kind: Kind, scope: Scope) -> bool:
    """Whether a call counts: not what reduces risk, and not what a dashboard reads to show it."""
    if kind is Kind.RESERVED or scope["path"].startswith(_FREE):
        return False
    return kind is not Kind.READ or DASHBOARD not in scope["headers"]
