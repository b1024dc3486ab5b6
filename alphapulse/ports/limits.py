"""Who counts requests against their allowances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from alphapulse.domain.rates import Budget, RateVerdict


class RateLimiter(Protocol):
    """The generic cell rate algorithm: an allowance comes back evenly, and no window has an edge to wait for."""

    async def take(self, budgets: Sequence[Budget]) -> RateVerdict:
        """Spend one of each budget, or of none when one of them is spent. At least one budget.

        Raises Unavailable when the count cannot be reached; nothing is known to be spent then.
        """
        ...

    async def ping(self) -> None:
        """Raises Unavailable unless counts can be reached."""
        ...
