"""Tenants, members, roles, and the one table of who may do what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from alphapulse.errors import Forbidden, InvalidInput

#: Stands for the platform where a tenant id is demanded: the platform's own audit chain and events.
PLATFORM = UUID(int=0)

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,38}[a-z0-9]")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")


class Role(StrEnum):
    PLATFORM_ADMIN = "platform_admin"
    TENANT_ADMIN = "tenant_admin"
    TRADER = "trader"
    VIEWER = "viewer"


class Permission(StrEnum):
    TENANTS_READ = "tenants.read"
    TENANTS_WRITE = "tenants.write"
    MEMBERS_READ = "members.read"
    MEMBERS_WRITE = "members.write"
    FUNDS_READ = "funds.read"
    FUNDS_WRITE = "funds.write"
    AGENTS_READ = "agents.read"
    AGENTS_WRITE = "agents.write"
    ORDERS_READ = "orders.read"
    ORDERS_WRITE = "orders.write"
    RISK_READ = "risk.read"
    RISK_HALT = "risk.halt"
    RISK_RESUME = "risk.resume"
    MARKET_READ = "market.read"
    MARKET_WRITE = "market.write"
    AUDIT_READ = "audit.read"
    EVENTS_READ = "events.read"
    JOBS_READ = "jobs.read"
    PLATFORM_READ = "platform.read"
    PLATFORM_WRITE = "platform.write"


_P = Permission
_READS = frozenset({_P.FUNDS_READ, _P.AGENTS_READ, _P.ORDERS_READ, _P.RISK_READ, _P.MARKET_READ, _P.EVENTS_READ})
_TRADES = _READS | {_P.ORDERS_WRITE, _P.AGENTS_WRITE, _P.FUNDS_WRITE, _P.RISK_HALT}
_ADMINISTERS = _TRADES | {
    _P.MEMBERS_READ,
    _P.MEMBERS_WRITE,
    _P.RISK_RESUME,
    _P.AUDIT_READ,
    _P.JOBS_READ,
    _P.TENANTS_READ,
}

#: Who may do what. Nothing outside this table grants anything.
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _READS,
    Role.TRADER: _TRADES,
    Role.TENANT_ADMIN: _ADMINISTERS,
    Role.PLATFORM_ADMIN: frozenset(Permission),
}


class TenantState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Tenant:
    id: UUID
    slug: str
    name: str
    tier: str
    state: TenantState
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A user as one tenant sees them."""

    user_id: UUID
    tenant_id: UUID
    email: str
    role: Role
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, for which tenant, as what. tenant_id None: a platform admin that named no tenant.

    actor: what the audit log shows (e-mail, or ``key:PREFIX``). session_id: what revocation ends.
    """

    actor: str
    user_id: UUID
    session_id: UUID
    role: Role
    tenant_id: UUID | None
    expires_at: datetime

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]

    def require(self, permission: Permission) -> None:
        """Raises Forbidden unless the role grants ``permission``."""
        if not self.may(permission):
            raise Forbidden(
                f"role {self.role} may not {permission}",
                fix=_who_to_ask(permission),
            )

    def require_tenant(self) -> UUID:
        """The tenant to act in. Raises InvalidInput when a platform admin named none."""
        if self.tenant_id is None:
            raise InvalidInput(
                "this needs a tenant", field="tenant", fix="Name one with --tenant SLUG (X-Tenant header)."
            )
        return self.tenant_id


def _who_to_ask(permission: Permission) -> str:
    """Names the least role in a tenant that grants it; where none does, only the platform's admin can act."""
    for role in (Role.VIEWER, Role.TRADER, Role.TENANT_ADMIN):
        if permission in PERMISSIONS[role]:
            return f"Ask a tenant admin to do it, or for role {role}."
    return "Ask the platform admin to do it: no role in a tenant grants it."


def parse_slug(text: str, field: str = "slug") -> str:
    if not _SLUG.fullmatch(text):
        raise InvalidInput(
            f"{field}: {text[:60]!r} is not a slug",
            field=field,
            fix="Use 2 to 40 lower-case letters, digits and inner hyphens, for example acme-capital.",
        )
    return text


def parse_email(text: str, field: str = "email") -> str:
    """The address in lower case."""
    if not text.isascii() or not _EMAIL.fullmatch(text):
        raise InvalidInput(
            f"{field}: {text[:80]!r} is not an e-mail address",
            field=field,
            fix="Write it as name@example.com, in plain ASCII.",
        )
    return text.lower()


def parse_role(text: str, field: str = "role") -> Role:
    try:
        role = Role(text)
    except ValueError:
        role = Role.PLATFORM_ADMIN
    if role is Role.PLATFORM_ADMIN:
        raise InvalidInput(
            f"{field}: {text[:40]!r} is not a member's role",
            field=field,
            fix="Use tenant_admin, trader or viewer.",
        )
    return role


@dataclass(frozen=True, slots=True)
class Token:
    """What a login gives. token: sent as ``Authorization: Bearer``. tenant: slug; None for the platform's own."""

    token: str
    expires_at: datetime
    tenant: str | None
    role: Role


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key for scripts. prefix: the part that may be shown. key: the whole, once, in the answer that creates it.

    tenant_id None: a key of the platform. expires_at None: good until revoked.
    """

    id: UUID
    tenant_id: UUID | None
    name: str
    prefix: str
    role: Role
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Whoami:
    """The caller as the daemon sees them. tenant: slug. expires_at None: an API key without an end."""

    actor: str
    role: Role
    tenant: str | None
    tenant_id: UUID | None
    user_id: UUID
    expires_at: datetime | None
