"""Who may call which route. Every route names a permission, or stands in the short list of public ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant

from alphapulse.daemon.facts import facts_of
from alphapulse.daemon.services import Services
from alphapulse.domain.tenancy import Caller, Permission

#: Routes that ask nobody who they are.
PUBLIC = frozenset(
    {
        ("POST", "/auth/login"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
        ("GET", "/version"),
        ("GET", "/openapi.json"),
    }
)
_CALL = "alphapulse.call"


@dataclass(frozen=True, slots=True)
class Call:
    """An admitted request: who, with which credential, and what they may use."""

    caller: Caller
    credential: str
    services: Services

    @property
    def tenant_id(self) -> UUID:
        """Raises InvalidInput when a platform admin named no tenant."""
        return self.caller.require_tenant()


class Allow:
    """A route's dependency: admits callers whose role grants ``permission``; None: whoever is logged in."""

    def __init__(self, permission: Permission | None) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Call:
        """Raises Unauthenticated, Forbidden, NotFound for a tenant that is not the caller's."""
        scope = request.scope
        known = scope.get(_CALL)
        if known is not None:
            return cast("Call", known)
        services = services_of(request)
        credential = bearer(request.headers.get("authorization", ""))
        caller = await services.logins.authenticate(credential, request.headers.get("x-tenant", ""))
        facts_of(scope).caller = caller
        if self.permission is not None:
            caller.require(self.permission)
        call = Call(caller, credential, services)
        scope[_CALL] = call
        return call


def allow(permission: Permission) -> Any:
    """What a route's ``call`` is annotated with, and so which role may use the route."""
    return Depends(Allow(permission))


def logged_in() -> Any:
    return Depends(Allow(None))


def guard_of(dependant: Dependant) -> Allow | None:
    """What a route declared; None when it declared nothing."""
    return next((part.call for part in dependant.dependencies if isinstance(part.call, Allow)), None)


def services_of(request: Request) -> Services:
    return cast("Services", request.app.state.services)


def bearer(header: str) -> str:
    """The credential in an Authorization header; empty when there is none of this kind."""
    scheme, _, credential = header.partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""
