"""How many requests may pass in how long, and what one request found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from alphapulse.domain.cache_keys import CacheKey

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Budget:
    """Requests that share one allowance. per_minute: how many come back in a minute, evenly; also how many may be
    spent at once after a pause, so that at most twice as many pass in the first minute of a burst.
    """

    key: CacheKey
    per_minute: int


@dataclass(frozen=True, slots=True)
class RateVerdict:
    """What a request was told. Of several budgets: the one that refused, else the one with the least left.

    limit: of that budget, per minute. remaining: how many more could pass at once. reset: until all are back.
    retry_after: until the same request can pass; zero when it was allowed.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: timedelta
    retry_after: timedelta = timedelta(0)
