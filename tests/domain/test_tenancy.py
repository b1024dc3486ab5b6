from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

import pytest

from alphapulse.domain.events import REQUIRED_PERMISSION, EventKind
from alphapulse.domain.lifecycle import TenantState
from alphapulse.domain.tenancy import (
    PERMISSIONS,
    Caller,
    Permission,
    Role,
    parse_email,
    parse_role,
    parse_slug,
)
from alphapulse.errors import Forbidden, InvalidInput

TENANT = UUID(int=5)


def caller(role: Role, tenant: UUID | None = TENANT) -> Caller:
    return Caller("a@b.c", UUID(int=1), UUID(int=2), role, tenant, datetime(2026, 1, 1, tzinfo=UTC))


def test_every_role_includes_what_the_lower_one_may() -> None:
    ladder = [PERMISSIONS[role] for role in (Role.VIEWER, Role.TRADER, Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)]
    assert all(lower < higher for lower, higher in pairwise(ladder))


def test_nobody_below_the_platform_touches_the_platform_or_the_shared_candles() -> None:
    reserved = {
        Permission.PLATFORM_READ,
        Permission.PLATFORM_WRITE,
        Permission.TENANTS_WRITE,
        Permission.MARKET_WRITE,
    }
    assert all(not reserved & PERMISSIONS[role] for role in Role if role is not Role.PLATFORM_ADMIN)


def test_a_viewer_may_look_and_not_trade() -> None:
    viewer = caller(Role.VIEWER)
    viewer.require(Permission.ORDERS_READ)
    with pytest.raises(Forbidden, match="viewer may not orders.write"):
        viewer.require(Permission.ORDERS_WRITE)


@pytest.mark.parametrize(
    ("role", "permission", "whom"),
    [
        (Role.VIEWER, Permission.ORDERS_WRITE, "tenant admin to do it, or for role trader"),
        (Role.TRADER, Permission.AUDIT_READ, "tenant admin to do it, or for role tenant_admin"),
        (Role.TENANT_ADMIN, Permission.PLATFORM_READ, "the platform admin"),
        (Role.VIEWER, Permission.MARKET_WRITE, "the platform admin"),
    ],
)
def test_who_is_refused_is_sent_to_somebody_who_can_help(role: Role, permission: Permission, whom: str) -> None:
    with pytest.raises(Forbidden) as refused:
        caller(role).require(permission)
    assert f"Ask {whom}" in refused.value.fix or f"Ask a {whom}" in refused.value.fix


def test_a_platform_admin_without_a_tenant_is_told_to_name_one() -> None:
    with pytest.raises(InvalidInput, match="needs a tenant"):
        caller(Role.PLATFORM_ADMIN, None).require_tenant()


def test_every_kind_of_event_names_the_permission_it_needs() -> None:
    assert set(REQUIRED_PERMISSION) == set(EventKind)


@pytest.mark.parametrize("slug", ["", "a", "-ab", "ab-", "Acme", "ac me", "a" * 41, "аcme", "ab\n"])
def test_a_slug_that_could_be_mistaken_is_refused(slug: str) -> None:
    with pytest.raises(InvalidInput):
        parse_slug(slug)


def test_addresses_are_compared_without_case_and_only_in_ascii() -> None:
    assert parse_email("Ann@Example.COM") == "ann@example.com"
    for text in ("ann", "ann@", "a b@c.d", "аnn@example.com", "ann@exa\x00mple.com"):
        with pytest.raises(InvalidInput):
            parse_email(text)


def test_nobody_becomes_platform_admin_by_membership() -> None:
    with pytest.raises(InvalidInput):
        parse_role("platform_admin")


def test_an_api_key_may_what_both_its_role_and_its_scopes_grant() -> None:
    key = replace(
        caller(Role.TRADER),
        actor="key:0123456789ab",
        scopes=frozenset({Permission.ORDERS_READ, Permission.MEMBERS_WRITE}),
    )
    key.require(Permission.ORDERS_READ)
    with pytest.raises(Forbidden, match="its scopes are members.write, orders.read"):
        key.require(Permission.ORDERS_WRITE)
    with pytest.raises(Forbidden, match="role trader may not members.write"):
        key.require(Permission.MEMBERS_WRITE)


def test_a_login_that_is_confined_is_told_what_it_lacks() -> None:
    confined = replace(caller(Role.PLATFORM_ADMIN, None), scopes=frozenset())
    assert not any(confined.may(permission) for permission in Permission)
    with pytest.raises(Forbidden) as refused:
        confined.require(Permission.TENANTS_READ)
    assert "totp enable" in refused.value.fix


def test_the_state_of_the_tenant_takes_away_what_its_role_would_grant() -> None:
    admin = replace(caller(Role.TENANT_ADMIN), state=TenantState.SUSPENDED)
    admin.require(Permission.FUNDS_READ)
    admin.require(Permission.RISK_HALT)
    with pytest.raises(Forbidden, match="the tenant is suspended"):
        admin.require(Permission.FUNDS_WRITE)
