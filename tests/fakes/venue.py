"""A venue with a memory and bad manners: it fills by the paper rules, and misbehaves as a test tells it to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from enum import Enum, auto

from alphapulse.domain.funds import Fund
from alphapulse.domain.orders import Order, VenueReport, VenueState
from alphapulse.errors import Unavailable, UnknownOutcome
from alphapulse.ports.exchange import Exchange


class Crash(Exception):
    """The process dies here."""


class Manner(Enum):
    """How one call ends."""

    FAIR = auto()
    LOSE_REQUEST = auto()  # nothing arrives, and nobody can tell
    LOSE_ANSWER = auto()  # it acts, and its answer gets lost
    DOWN = auto()  # certainly not reached
    CRASH_BEFORE = auto()  # our process dies before the request is out
    CRASH_AFTER = auto()  # our process dies before the answer is in
    REJECT = auto()
    FORGET = auto()  # it does not know the order, whatever it said before


class Venue:
    """submits, reports: how the first calls of each kind end; all others are fair.

    taken: client order ids in the order in which they were accepted; an id is accepted once. asked: look-ups so far.
    watch: called with each order that arrives, before anything else happens.
    """

    def __init__(
        self,
        paper: Exchange,
        *,
        submits: Iterable[Manner] = (),
        reports: Iterable[Manner] = (),
        cancels: Iterable[Manner] = (),
        watch: Callable[[Order], Awaitable[None]] | None = None,
    ) -> None:
        self.taken: list[str] = []
        self.rejected: set[str] = set()
        self.asked = 0
        self._paper = self._account = paper
        self._submits = list(submits)
        self._reports = list(reports)
        self._cancels = list(cancels)
        self._watch = watch

    @property
    def visibility(self) -> timedelta:
        return timedelta(seconds=1)

    def of(self, fund: Fund) -> Venue:
        self._account = self._paper.of(fund)
        return self

    async def submit(self, order: Order, as_of: datetime) -> VenueReport:
        if self._watch is not None:
            await self._watch(order)
        manner = self._submits.pop(0) if self._submits else Manner.FAIR
        _before(manner)
        if manner is Manner.REJECT:
            self.rejected.add(order.client_order_id)
        elif order.client_order_id not in self.taken:
            self.taken.append(order.client_order_id)
        _after(manner)
        return await self._known(order, as_of)

    async def report(self, order: Order, as_of: datetime) -> VenueReport | None:
        self.asked += 1
        manner = self._reports.pop(0) if self._reports else Manner.FAIR
        _before(manner)
        if manner is Manner.FORGET or order.client_order_id not in {*self.taken, *self.rejected}:
            return None
        return await self._known(order, as_of)

    async def cancel(self, order: Order, as_of: datetime) -> VenueReport:
        manner = self._cancels.pop(0) if self._cancels else Manner.FAIR
        _before(manner)
        _after(manner)
        return await self._account.cancel(order, as_of)

    async def _known(self, order: Order, as_of: datetime) -> VenueReport:
        if order.client_order_id in self.rejected:
            return VenueReport("", VenueState.REJECTED, (), "insufficient funds")
        return await self._account.submit(order, as_of)


def _before(manner: Manner) -> None:
    if manner is Manner.CRASH_BEFORE:
        raise Crash
    if manner is Manner.DOWN:
        raise Unavailable("the venue cannot be reached")
    if manner is Manner.LOSE_REQUEST:
        raise UnknownOutcome("no answer")


def _after(manner: Manner) -> None:
    if manner is Manner.CRASH_AFTER:
        raise Crash
    if manner is Manner.LOSE_ANSWER:
        raise UnknownOutcome("no answer")
