"""Counts in this process: right for one daemon, and the local budget of each where several share a Redis."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import timedelta

from alphapulse.domain.rates import MINUTE_S, Budget, RateVerdict

#: Allowances that are remembered; one takes about 200 bytes. Only strangers' addresses can be so many.
_REMEMBERED = 100_000


class MemoryLimiter:
    """See ports/limits.py. monotonic: seconds that never go back.

    Of each budget only the theoretical arrival time is kept: when the allowance would be whole again.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._whole_at: OrderedDict[str, float] = OrderedDict()

    async def take(self, budgets: Sequence[Budget]) -> RateVerdict:
        return self.spend(budgets)

    async def ping(self) -> None:
        """Nothing can be out of reach here."""

    def spend(self, budgets: Sequence[Budget]) -> RateVerdict:
        """``take`` without the wait that counts elsewhere need."""
        now = self._monotonic()
        tightest: RateVerdict | None = None
        whole: list[tuple[str, float]] = []
        for budget in budgets:
            interval = MINUTE_S / budget.per_minute
            after = max(self._whole_at.get(budget.key, now), now) + interval
            # The span of a whole allowance, less what is spent with this request.
            room = MINUTE_S - (after - now)
            if room < -1e-9:
                wait, reset = timedelta(seconds=-room), timedelta(seconds=after - interval - now)
                return RateVerdict(False, budget.per_minute, 0, reset, wait)
            left = int(room / interval + 1e-9)
            if tightest is None or left < tightest.remaining:
                tightest = RateVerdict(True, budget.per_minute, left, timedelta(seconds=after - now))
            whole.append((budget.key, after))
        for key, after in whole:
            self._whole_at[key] = after
            self._whole_at.move_to_end(key)
        while len(self._whole_at) > _REMEMBERED:
            self._whole_at.popitem(last=False)
        assert tightest is not None
        return tightest
