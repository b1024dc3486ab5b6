"""What a tenant may use: the limits of its tier, the platform's overrides in force, and the overage it pays for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, cast
from uuid import UUID

from alphapulse.clock import Clock
from alphapulse.domain.money import ZERO
from alphapulse.domain.plans import (
    Allowance,
    LimitName,
    Limits,
    Plan,
    Tier,
    affordable,
    included_of,
    lifting_tier,
    with_overrides,
)
from alphapulse.errors import Misconfigured
from alphapulse.ports.database import Database, Transaction
from alphapulse.tenancy import plans_store, usage_store

#: How long limits are remembered. A change by this process is forgotten at once, another replica's after this.
REMEMBERED = timedelta(seconds=3)
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a tenant. cap: of a month's overage; None where none is wanted. spent: of it, this month.

    beyond: units beyond the limit that are paid for today.
    """

    tier: Tier
    limits: Limits
    cap: Decimal | None
    spent: Decimal
    beyond: Mapping[LimitName, int]


@dataclass(frozen=True, slots=True)
class _Remembered:
    """until: of the monotonic clock, seconds."""

    terms: Terms
    allowances: Mapping[LimitName, Allowance]
    until: float


class Plans:
    """of_tier: every plan, see ``load_plans``."""

    def __init__(self, *, database: Database, clock: Clock, plans: Mapping[Tier, Plan]) -> None:
        self.of_tier = plans
        self._database = database
        self._clock = clock
        self._remembered: dict[UUID, _Remembered] = {}

    async def limits_of(self, tenant_id: UUID) -> Limits:
        """Of the tier, with overrides in force. Raises NotFound for an unknown tenant, Unavailable."""
        return (await self._of(tenant_id)).terms.limits

    async def allowance_of(self, tenant_id: UUID, limit: LimitName) -> Allowance:
        """How much of ``limit`` the tenant may use now. Raises NotFound, Unavailable."""
        return (await self._of(tenant_id)).allowances[limit]

    def allowance(self, terms: Terms, limit: LimitName) -> Allowance:
        included, price = included_of(terms.limits, limit), self.of_tier[terms.tier].overage.get(limit)
        allowed = included
        if included is not None:
            allowed = included + terms.beyond.get(limit, 0) + affordable(terms.cap, terms.spent, price)
        lifted_by = None if included is None else lifting_tier(self.of_tier, limit, included + 1)
        return Allowance(limit, terms.tier, included, allowed, lifted_by, price)

    async def terms_in(self, tx: Transaction, tenant_id: UUID) -> Terms:
        """As stored, in a transaction bound to the tenant. Raises NotFound."""
        now = self._clock.now()
        tier, cap = await plans_store.tier_and_cap(tx, tenant_id)
        limits = with_overrides(self.of_tier[tier].limits, await plans_store.overrides(tx, tenant_id), now)
        if cap is None:
            return Terms(tier, limits, None, ZERO, {})
        today = await usage_store.today(tx, tenant_id, day_of(now))
        spent = await usage_store.spent(tx, tenant_id, month_of(now))
        beyond = {name: use.overage for name, use in today.items()}
        return Terms(tier, limits, cap, sum(spent.values(), ZERO), beyond)

    def forget(self, tenant_id: UUID) -> None:
        """After a change of tier, overrides or cap: the next question reads them anew."""
        self._remembered.pop(tenant_id, None)

    async def _of(self, tenant_id: UUID) -> _Remembered:
        known = self._remembered.get(tenant_id)
        if known is not None and known.until > time.monotonic():
            return known
        async with self._database.transaction(tenant_id) as tx:
            terms = await self.terms_in(tx, tenant_id)
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        allowances = {limit: self.allowance(terms, limit) for limit in LimitName}
        found = _Remembered(terms, allowances, time.monotonic() + REMEMBERED.total_seconds())
        self._remembered[tenant_id] = found
        return found


def day_of(at: datetime) -> datetime:
    """Start of the UTC day."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def month_of(at: datetime) -> datetime:
    """Start of the calendar month, UTC."""
    return day_of(at).replace(day=1)


def load_plans(tables: Mapping[str, Any]) -> dict[Tier, Plan]:
    """The plans in ``config/plans.toml``. Raises Misconfigured naming the key at fault."""
    tiers = _table(tables, "tiers")
    unknown = sorted(set(tables) - {"currency", "trial_days", "tiers"}) + sorted(set(tiers) - set(Tier))
    if unknown:
        raise _wrong(unknown[0], "is not known here")
    currency, trial_days = tables.get("currency", "USD"), tables.get("trial_days", 0)
    if not isinstance(currency, str) or len(currency) != 3:
        raise _wrong("currency", "is three letters, for example USD")
    if not isinstance(trial_days, int) or not 0 <= trial_days <= 365:
        raise _wrong("trial_days", "lies in [0, 365]")
    return {tier: _plan(tier, _table(tiers, tier, "tiers."), currency, trial_days) for tier in Tier}


def _plan(tier: Tier, table: Mapping[str, Any], currency: str, trial_days: int) -> Plan:
    where = f"tiers.{tier}"
    unknown = sorted(set(table) - {"limits", "overage"})
    if unknown:
        raise _wrong(f"{where}.{unknown[0]}", "is not known here")
    limits = _table(table, "limits", f"{where}.")
    for name, value in limits.items():
        if name not in set(LimitName):
            raise _wrong(f"{where}.limits.{name}", f"is not a limit; use {', '.join(LimitName)}")
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise _wrong(f"{where}.limits.{name}", "is a whole number, 0 or more; leave it out for unlimited")
    values = {name.value: limits.get(name.value) for name in LimitName}
    overage = {LimitName(name): _price(where, name, text) for name, text in _overage(table, where).items()}
    return Plan(tier, Limits(**values), overage, currency, trial_days)


def _overage(table: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    prices = cast("Mapping[str, Any]", table.get("overage", {}))
    for name in prices:
        if name not in {LimitName.AGENTS, LimitName.POSITIONS, LimitName.API_CALLS_PER_DAY, LimitName.EXCHANGES}:
            raise _wrong(f"{where}.overage.{name}", "cannot be sold beyond the limit")
    return prices


def _price(where: str, name: str, text: object) -> Decimal:
    try:
        price = Decimal(text) if isinstance(text, str) else Decimal(-1)
    except InvalidOperation:
        price = Decimal(-1)
    if not price.is_finite() or price < 0:
        raise _wrong(f"{where}.overage.{name}", 'is a price written as text, for example "0.50"')
    return price


def _table(tables: Mapping[str, Any], name: str, before: str = "") -> Mapping[str, Any]:
    found = tables.get(name)
    if not isinstance(found, dict):
        raise _wrong(f"{before}{name}", "is a table, and it is missing")
    return cast("dict[str, Any]", found)


def _wrong(key: str, problem: str) -> Misconfigured:
    return Misconfigured(f"plans.toml: {key} {problem}", fix="Correct config/plans.toml.")
