"""What the desk needs of a venue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from alphapulse.domain.orders import Order, VenueReport


class Exchange(Protocol):
    """A place that executes orders. Every call may be repeated with the same order and changes nothing the second time.

    Raises UnknownOutcome when the venue did not say whether it acted, Unavailable when it certainly was not
    reached, and answers state ``rejected`` only for the venue's own definitive refusal.
    """

    @property
    def visibility(self) -> timedelta:
        """How long after taking an order the venue may still say that it does not know it; zero when it never does."""
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
