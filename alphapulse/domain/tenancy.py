"""Tenants, their members, and who is asking. Who may do what stands in permissions.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from alphapulse.domain.lifecycle import TenantState, permits
from alphapulse.domain.lookalikes import imitation
from alphapulse.domain.permissions import PERMISSIONS, WITHOUT_SUPPORT, Permission, Role
from alphapulse.domain.plans import Tier
from alphapulse.errors import Forbidden, InvalidInput

#: The user who holds the keys that the platform makes for itself at its first start.
PLATFORM_USER = "platform@localhost"
#: Stands for the platform where a tenant id is demanded: the platform's own audit chain and events.
PLATFORM = UUID(int=0)

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,38}[a-z0-9]")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")


@dataclass(frozen=True, slots=True)
class Tenant:
    id: UUID
    slug: str
    name: str
    tier: Tier
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
    state: of the tenant; None without one. scopes: what an API key is confined to; None for all that the role grants;
    empty for a login that still lacks a second factor. support: the open session by which a platform admin may change
    the tenant.
    """

    actor: str
    user_id: UUID
    session_id: UUID
    role: Role
    tenant_id: UUID | None
    expires_at: datetime
    state: TenantState | None = None
    scopes: frozenset[Permission] | None = None
    support: UUID | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the role grants it, the key's scopes hold it, the state leaves it, and support is open for it."""
        if permission not in PERMISSIONS[self.role] or (self.scopes is not None and permission not in self.scopes):
            return False
        if self._lacks_support(permission):
            return False
        return self.state is None or permits(self.state, permission)

    def require(self, permission: Permission) -> None:
        """Raises Forbidden unless ``may``, naming what stands against it."""
        if self.may(permission):
            return
        if permission not in PERMISSIONS[self.role]:
            raise Forbidden(f"role {self.role} may not {permission}", fix=_who_to_ask(permission))
        if self.scopes is not None and not self.actor.startswith("key:"):
            raise Forbidden(
                f"this login may not {permission} before it has a second factor", fix="Run `alphapulse totp enable`."
            )
        if self.scopes is not None and permission not in self.scopes:
            held = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(
                f"this API key may not {permission}: its scopes are {held}",
                fix=f"Make a key for it: alphapulse keys create NAME --role {self.role} --scope {permission}",
            )
        if self._lacks_support(permission):
            raise Forbidden(
                f"the platform may not {permission} in a tenant without an open support session",
                fix="Open one: alphapulse support open TENANT --reason WHY --ticket REFERENCE --minutes 30",
            )
        raise Forbidden(
            f"the tenant is {self.state}, which leaves no {permission}", fix="Ask the platform admin about the tenant."
        )

    @property
    def watches(self) -> bool:
        """Whether this is the platform in a tenant, without support open there: it looks, and changes nothing."""
        return self.role is Role.PLATFORM_ADMIN and self.tenant_id is not None and self.support is None

    def _lacks_support(self, permission: Permission) -> bool:
        return self.watches and permission not in WITHOUT_SUPPORT

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
            f"{field}: {text[:60]!r} is not a slug{_because(text)}",
            field=field,
            fix="Use 2 to 40 lower-case letters, digits and inner hyphens, for example acme-capital.",
        )
    return text


def parse_email(text: str, field: str = "email") -> str:
    """The address in lower case."""
    if not text.isascii() or not _EMAIL.fullmatch(text):
        raise InvalidInput(
            f"{field}: {text[:80]!r} is not an e-mail address{_because(text)}",
            field=field,
            fix="Write it as name@example.com, in plain ASCII.",
        )
    return text.lower()


def parse_person(text: str, field: str = "email") -> str:
    """The address in lower case, if it may become a member's."""
    email = parse_email(text, field)
    if email == PLATFORM_USER:
        raise InvalidInput(f"{field}: {email} is the platform's own", field=field, fix="Name a person's address.")
    return email


def _because(text: str) -> str:
    found = imitation(text)
    return f": it has a {found}" if found else ""


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
    """What a login gives. token: sent as ``Authorization: Bearer``. tenant: slug; None for the platform's own.

    refresh_token: good for the next token, once; good until refresh_until. device: shown at later log-ins of this user
    from this machine, which failures from elsewhere then do not slow down; a log-in gives it, a refresh does not.
    """

    token: str
    expires_at: datetime
    tenant: str | None
    role: Role
    refresh_token: str = ""
    refresh_until: datetime | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key for scripts. prefix: the part that may be shown. key: the whole, once, in the answer that creates it.

    tenant_id None: a key of the platform. expires_at None: good until revoked. scopes: what it is confined to; None for
    all that the role grants. last_used_at: to the minute. replaces: the key that it was made to follow.
    """

    id: UUID
    tenant_id: UUID | None
    name: str
    prefix: str
    role: Role
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    scopes: tuple[Permission, ...] | None = None
    last_used_at: datetime | None = None
    replaces: UUID | None = None
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
