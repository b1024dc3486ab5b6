"""Tiers, allowances and what they say when they are used up."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from alphapulse.domain.plans import (
    Allowance,
    LimitName,
    Limits,
    Override,
    Tier,
    affordable,
    included_of,
    lifting_tier,
    parse_limit,
    parse_tier,
    with_overrides,
)
from alphapulse.domain.provisioning import slug_of
from alphapulse.errors import InvalidInput, Misconfigured, TierLimitReached
from alphapulse.packaged import packaged_config
from alphapulse.tenancy.plans import load_plans

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHIPPED = tomllib.loads((packaged_config() / "plans.toml").read_text(encoding="utf-8"))


def test_the_plans_as_shipped() -> None:
    plans = load_plans(SHIPPED)
    assert plans[Tier.STARTER].limits == Limits(3, 5, 10_000, 100_000_000, 1, 100)
    pro, enterprise = plans[Tier.PRO].limits, plans[Tier.ENTERPRISE].limits
    assert (pro.agents, pro.positions, pro.api_calls_per_day, pro.cache_bytes, pro.exchanges) == (
        6,
        25,
        100_000,
        500_000_000,
        3,
    )
    assert (enterprise.agents, enterprise.positions, enterprise.api_calls_per_day, enterprise.exchanges) == (
        None,
        None,
        None,
        None,
    )
    assert enterprise.cache_bytes == 2_000_000_000


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("tiers", "starter", "limits", "agents"), -1, "tiers.starter.limits.agents"),
        (("tiers", "starter", "limits", "agents"), True, "tiers.starter.limits.agents"),
        (("tiers", "starter", "limits", "agent"), 1, "tiers.starter.limits.agent"),
        (("tiers", "pro", "overage", "agents"), 0.5, "tiers.pro.overage.agents"),
        (("tiers", "pro", "overage", "cache_bytes"), "1", "tiers.pro.overage.cache_bytes"),
        (("tiers", "pro", "price"), "1", "tiers.pro.price"),
        (("tiers", "gold"), {}, "gold"),
        (("currency",), "dollars", "currency"),
        (("trial_days",), -1, "trial_days"),
        (("tiers", "enterprise"), 3, "tiers.enterprise"),
    ],
)
def test_a_mistake_in_the_plans_is_named(path: tuple[str, ...], value: Any, named: str) -> None:
    tables: dict[str, Any] = tomllib.loads((packaged_config() / "plans.toml").read_text(encoding="utf-8"))
    table = tables
    for step in path[:-1]:
        table = table[step]
    table[path[-1]] = value
    with pytest.raises(Misconfigured, match=named):
        load_plans(tables)


def test_an_override_holds_until_it_expires() -> None:
    limits = Limits(3, 5, 10_000, 1, 1, 100)
    override = Override(LimitName.AGENTS, 10, NOW + timedelta(hours=1), "pilot", "op@example.com", NOW)
    lifted = Override(LimitName.POSITIONS, None, NOW + timedelta(hours=1), "pilot", "op@example.com", NOW)
    assert with_overrides(limits, [override, lifted], NOW) == replace(limits, agents=10, positions=None)
    assert with_overrides(limits, [override, lifted], NOW + timedelta(hours=1)) == limits


def test_the_least_tier_that_lifts_a_limit_is_named() -> None:
    plans = load_plans(SHIPPED)
    assert lifting_tier(plans, LimitName.AGENTS, 4) is Tier.PRO
    assert lifting_tier(plans, LimitName.AGENTS, 7) is Tier.ENTERPRISE
    assert lifting_tier(plans, LimitName.CACHE_BYTES, 3_000_000_000) is None


def test_what_is_beyond_an_allowance_is_refused_with_the_ways_out() -> None:
    allowance = Allowance(LimitName.AGENTS, Tier.STARTER, 3, 3, Tier.PRO, Decimal(1))
    allowance.insist(3)
    with pytest.raises(TierLimitReached) as refused:
        allowance.insist(4)
    assert refused.value.message == "agents: 4 are more than the 3 that tier starter allows"
    assert "tier pro lifts it" in refused.value.fix
    assert "plan overage --cap" in refused.value.fix
    last = replace(allowance, lifted_by=None, price=None)
    with pytest.raises(TierLimitReached) as refused:
        last.insist(4)
    assert refused.value.fix == "Ask the platform admin for more."


def test_an_unlimited_allowance_admits_anything() -> None:
    assert Allowance(LimitName.AGENTS, Tier.ENTERPRISE, None, None, None, None).admits(10**9)


@pytest.mark.parametrize(
    ("cap", "spent", "price", "units"),
    [
        (None, "0", "1", 0),
        ("10", "0", None, 0),
        ("10", "0", "3", 3),
        ("10", "9.5", "1", 0),
        ("10", "11", "1", 0),
        ("10", "0", "0", 2**53),
    ],
)
def test_overage_ends_where_the_cap_does(cap: str | None, spent: str, price: str | None, units: int) -> None:
    assert affordable(cap and Decimal(cap), Decimal(spent), price and Decimal(price)) == units  # type: ignore[arg-type]


def test_every_limit_has_a_name() -> None:
    limits = Limits(1, 2, 3, 4, 5, 6)
    assert {included_of(limits, name) for name in LimitName} == {1, 2, 3, 4, 5, 6}
    assert parse_limit("agents") is LimitName.AGENTS
    assert parse_tier("pro") is Tier.PRO
    for parse in (parse_limit, parse_tier):
        with pytest.raises(InvalidInput):
            parse("standard")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme Capital, Inc.", "acme-capital-inc"),
        ("  Société Générale ", "societe-generale"),
        ("A" * 60, "a" * 40),
        ("x" * 39 + " y", "x" * 39),
    ],
)
def test_a_slug_is_made_from_a_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@pytest.mark.parametrize("name", ["", "日本", "a", "!!!"])
def test_a_name_that_gives_no_slug_asks_for_one(name: str) -> None:
    with pytest.raises(InvalidInput, match="gives no slug"):
        slug_of(name)
