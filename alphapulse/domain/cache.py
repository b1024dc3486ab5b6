"""What a cache holds for whom."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """bytes, quota: keys and values together, as stored. hits, misses, evictions: since the cache was last emptied.

    An entry whose time is over counts until it is looked for or its room is needed.
    """

    entries: int
    bytes: int
    quota: int
    hits: int
    misses: int
    evictions: int

    @property
    def hit_rate(self) -> float | None:
        """As a fraction in [0, 1]; None before anything was looked for."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None
