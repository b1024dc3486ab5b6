"""Where the dashboard's figures come from: a daemon, asked through the client, or anything else that answers alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from alphapulse.client.api import Client
from alphapulse.client.stream import Link, follow

if TYPE_CHECKING:
    from alphapulse.client.connection import Target
    from alphapulse.domain.decisions import Decision
    from alphapulse.domain.events import Event
    from alphapulse.domain.funds import Fund
    from alphapulse.domain.orders import Order
    from alphapulse.domain.portfolio import EquityPoint, PortfolioSummary
    from alphapulse.domain.risk import Halt, HaltScope
    from alphapulse.domain.tenancy import Whoami

#: Orders of one question, the most that the daemon gives at once.
_PAGE = 1000
#: How an API key begins; it does not expire within the hour, so it needs no renewal.


class Source(Protocol):
    """What the dashboard asks. Every method raises the errors of ``alphapulse.errors``. fund: a fund's name."""

    async def whoami(self) -> Whoami: ...

    async def head(self) -> int:
        """Sequence number of the newest event that the caller may see; 0 when there is none."""
        ...

    async def funds(self) -> Sequence[Fund]: ...

    async def summary(self, fund: str | None) -> PortfolioSummary:
        """The fund's books, or the tenant's total."""
        ...

    async def history(self, fund: str, limit: int) -> Sequence[EquityPoint]:
        """The newest ``limit`` points, oldest first."""
        ...

    async def live_orders(self, fund: str | None) -> Sequence[Order]:
        """Every order that may still trade."""
        ...

    async def decisions(self, fund: str, limit: int) -> Sequence[Decision]:
        """Newest first."""
        ...

    async def halts(self) -> Sequence[Halt]:
        """Halts in force for this tenant, the platform's included."""
        ...

    async def halt(self, scope: HaltScope, reason: str, fund: str | None) -> Halt: ...

    async def resume(self, scope: HaltScope, reason: str, fund: str | None) -> Halt: ...

    def follow(self, since: int) -> AsyncIterator[Event | Link]:
        """Events after ``since`` and word of the connection; raises what another attempt may not mend."""
        ...

    async def close(self) -> None: ...


class DaemonSource:
    """A daemon's answers. The client blocks, so every question is asked from a thread."""

    def __init__(self, target: Target, *, fresh_token: Callable[[], str] | None = None) -> None:
        """fresh_token: gives another token of the same login; None for an API key. Blocks."""
        self._target = target
        self._fresh_token = fresh_token
        self._client = Client(target)

    async def whoami(self) -> Whoami:
        return await asyncio.to_thread(self._client.access.whoami)

    async def head(self) -> int:
        return await asyncio.to_thread(self._head)

    def _head(self) -> int:
        """Doubling steps, then halving ones: a few small questions instead of reading every event."""
        low, step = 0, 1
        while (later := self._first_after(low + step - 1)) is not None:
            low, step = later, step * 2
        high = low + step - 1
        while low < high:
            middle = (low + high) // 2
            later = self._first_after(middle)
            low, high = (low, middle) if later is None else (later, high)
        return low

    def _first_after(self, sequence: int) -> int | None:
        """By the cursor, not by the items: it also counts an event that the caller may not see."""
        cursor = self._client.journal.events(sequence, 1).next
        return None if cursor is None else int(cursor)

    async def funds(self) -> Sequence[Fund]:
        return (await asyncio.to_thread(self._client.funds.list)).items

    async def summary(self, fund: str | None) -> PortfolioSummary:
        return await asyncio.to_thread(self._client.portfolio.summary, fund)

    async def history(self, fund: str, limit: int) -> Sequence[EquityPoint]:
        return (await asyncio.to_thread(self._client.portfolio.history, fund, limit=limit)).items

    async def live_orders(self, fund: str | None) -> Sequence[Order]:
        def ask() -> list[Order]:
            page = self._client.orders.list(fund, status="live", limit=_PAGE)
            found = list(page)
            while page.next is not None:
                page = self._client.orders.list(fund, status="live", limit=_PAGE, before=page.next)
                found += page
            return found

        return await asyncio.to_thread(ask)

    async def decisions(self, fund: str, limit: int) -> Sequence[Decision]:
        return (await asyncio.to_thread(self._client.portfolio.decisions, fund, limit=limit)).items

    async def halts(self) -> Sequence[Halt]:
        return (await asyncio.to_thread(self._client.risk.halts)).items

    async def halt(self, scope: HaltScope, reason: str, fund: str | None) -> Halt:
        return await asyncio.to_thread(self._client.risk.halt, scope.value, reason, fund)

    async def resume(self, scope: HaltScope, reason: str, fund: str | None) -> Halt:
        return await asyncio.to_thread(self._client.risk.resume, scope.value, reason, fund)

    def follow(self, since: int) -> AsyncIterator[Event | Link]:
        return follow(self._target, since, renew=None if self._fresh_token is None else self._renew)

    async def _renew(self) -> str:
        """A fresh token, which the questions asked from now on carry too."""
        assert self._fresh_token is not None
        token = await asyncio.to_thread(self._fresh_token)
        self._target = replace(self._target, credential=token)
        before, self._client = self._client, Client(self._target)
        before.close()
        return token

    async def close(self) -> None:
        self._client.close()
