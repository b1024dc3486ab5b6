"""What the desk needs of a venue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from alphapulse.domain.funds import Fund
from alphapulse.domain.market import Series
from alphapulse.domain.orders import Fill, Order, VenueReport


@dataclass(frozen=True, slots=True)
class AccountOrders:
    """What a simulated venue must know of a fund's other orders.

    live: oldest first, by when their intent was committed. fills: booked ones that share bars with the live orders,
    oldest first, each with its order and the bars it is from.
    """

    live: tuple[Order, ...]
    fills: tuple[tuple[Series, UUID, Fill], ...]


#: The orders of a fund as they are stored now.
ReadOrders = Callable[[Fund], Awaitable[AccountOrders]]


class Exchange(Protocol):
    """A place that executes orders. Every call may be repeated with the same order and changes nothing the second time.

    Raises UnknownOutcome when the venue did not say whether it acted, Unavailable when it certainly was not
    reached, and answers state ``rejected`` only for the venue's own definitive refusal.
    """

    @property
    def visibility(self) -> timedelta:
        """How long after taking an order the venue may still say that it does not know it; zero when it never does."""
        ...

    def of(self, fund: Fund) -> Exchange:
        """The venue as this fund's account sees it, for one pass over the fund's orders."""
        ...

    async def submit(self, order: Order, as_of: datetime) -> VenueReport:
        """Hand the order over under its client order id."""
        ...

    async def report(self, order: Order, as_of: datetime) -> VenueReport | None:
        """What the venue knows of the order at ``as_of``; None when it definitively does not know it."""
        ...

    async def cancel(self, order: Order, as_of: datetime) -> VenueReport:
        """Withdraw what is left; an order that is already final is reported as it stands."""
        ...
