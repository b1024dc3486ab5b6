"""Tiers, and the quantities that each includes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from alphapulse.errors import InvalidInput, TierLimitReached

#: Stands for "any number" where overage costs nothing.
_MOST_UNITS = 2**53


class Tier(StrEnum):
    STARTER = "starter"
    PRO = "pro"
    ENTERPRISE = "enterprise"


@dataclass(frozen=True, slots=True)
class Limits:
    """Included quantities; None: unlimited.

    agents: different agents enabled in the tenant's funds. positions: open at the same time, all funds together.
    api_calls_per_day: requests by scripts in a UTC day. exchanges: different venues of the tenant's funds.
    cache_bytes: of the tenant's part of the cache. requests_per_minute: sustained, all members and keys together.
    """

    agents: int | None
    positions: int | None
    api_calls_per_day: int | None
    cache_bytes: int | None
    exchanges: int | None
    requests_per_minute: int | None


class LimitName(StrEnum):
    """The limits by the names of their fields, for overrides and messages."""

    AGENTS = "agents"
    POSITIONS = "positions"
    API_CALLS_PER_DAY = "api_calls_per_day"
    CACHE_BYTES = "cache_bytes"
    EXCHANGES = "exchanges"
    REQUESTS_PER_MINUTE = "requests_per_minute"


@dataclass(frozen=True, slots=True)
class Plan:
    """A tier as sold. overage: price of one unit beyond the limit for one UTC day, in ``currency``, by limit;
    a limit without a price cannot be exceeded. trial_days: free at the start.
    """

    tier: Tier
    limits: Limits
    overage: dict[LimitName, Decimal]
    currency: str
    trial_days: int


@dataclass(frozen=True, slots=True)
class Override:
    """One limit of one tenant, set by the platform until a time. value None: unlimited."""

    limit: LimitName
    value: int | None
    expires_at: datetime
    reason: str
    actor: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of one limit a tenant may use now. included: of tier and override. allowed: with the overage that the
    tenant's spending cap still pays for. None: unlimited. lifted_by: the least tier that includes one more.
    price: of one unit beyond ``included`` for a day; None where nothing is sold beyond.
    """

    limit: LimitName
    tier: Tier
    included: int | None
    allowed: int | None
    lifted_by: Tier | None
    price: Decimal | None

    def admits(self, wanted: int) -> bool:
        return self.allowed is None or wanted <= self.allowed

    def insist(self, wanted: int) -> None:
        """wanted: what would be used then. Raises TierLimitReached, naming the limit and the tier that lifts it."""
        if self.admits(wanted):
            return
        said = self.limit.value.replace("_", " ")
        ways = [] if self.lifted_by is None else [f"tier {self.lifted_by} lifts it"]
        if self.price is not None:
            ways.append("a tenant admin can have more billed: alphapulse plan overage --cap AMOUNT")
        raise TierLimitReached(
            f"{said}: {wanted} are more than the {self.allowed} that tier {self.tier} allows",
            fix=f"{'; '.join(ways)}." if ways else "Ask the platform admin for more.",
        )


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit as it stands. used: now, or today for calls; None where it is not counted here. overage: units beyond
    ``included`` today. amount: their price this month, all days together.
    """

    limit: LimitName
    included: int | None
    allowed: int | None
    used: int | None
    overage: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class PlanStanding:
    """overage_cap: the most that may be billed beyond the tier in a calendar month; None: nothing is.

    spent: of it, this month.
    """

    tier: Tier
    currency: str
    trial_ends_at: datetime | None
    overage_cap: Decimal | None
    spent: Decimal
    limits: tuple[LimitUse, ...]
    overrides: tuple[Override, ...]


def with_overrides(limits: Limits, overrides: Iterable[Override], now: datetime) -> Limits:
    """The tier's limits with those of the overrides that are in force at ``now``."""
    changes = {each.limit.value: each.value for each in overrides if each.expires_at > now}
    return replace(limits, **changes)


def affordable(cap: Decimal | None, spent: Decimal, price: Decimal | None) -> int:
    """Units beyond the limit that the rest of a month's cap pays for."""
    if cap is None or price is None or spent >= cap:
        return 0
    return int((cap - spent) / price) if price else _MOST_UNITS


def lifting_tier(plans: Mapping[Tier, Plan], limit: LimitName, wanted: int) -> Tier | None:
    """The least tier that includes ``wanted`` of ``limit``; None when none does."""
    for tier in Tier:
        included = included_of(plans[tier].limits, limit)
        if included is None or included >= wanted:
            return tier
    return None


def included_of(limits: Limits, limit: LimitName) -> int | None:
    value: int | None = getattr(limits, limit.value)
    return value


def parse_tier(text: str, field: str = "tier") -> Tier:
    try:
        return Tier(text)
    except ValueError:
        raise InvalidInput(
            f"{field}: {text[:40]!r} is not a tier", field=field, fix=f"Use {', '.join(Tier)}."
        ) from None


def parse_limit(text: str, field: str = "limit") -> LimitName:
    try:
        return LimitName(text)
    except ValueError:
        raise InvalidInput(
            f"{field}: {text[:40]!r} is not a limit", field=field, fix=f"Use one of {', '.join(LimitName)}."
        ) from None
