"""Who may call which route. Every route names a permission, or stands in the short list of public ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from starlette.types import Scope

from alphapulse.daemon.facts import Facts, facts_of
from alphapulse.daemon.limits import Kind, Limited, kind_of
from alphapulse.daemon.services import Services
from alphapulse.domain.tenancy import Caller, Permission
from alphapulse.ports.database import WATCHING

#: Routes that ask nobody who they are.
PUBLIC = frozenset(
    {
        ("POST", "/auth/login"),
        ("POST", "/auth/refresh"),
        ("GET", "/.well-known/jwks.json"),
        ("POST", "/invitations/look"),
        ("POST", "/invitations/accept"),
        ("GET", "/policy"),
        ("POST", "/signup"),
        ("POST", "/signup/finish"),
        ("POST", "/account/confirm"),
        ("POST", "/password/reset"),
        ("POST", "/password/reset/finish"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
        ("POST", "/certificates/check"),
        ("GET", "/accept"),
        ("GET", "/confirm"),
        ("GET", "/reset"),
        ("GET", "/version"),
        ("GET", "/openapi.json"),
    }
)
_CALL = "alphapulse.call"
_LOOKS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Call:
    """An admitted request: who, with which credential, and what they may use.

    refusal: of an order, by the rate limits; the route asks ``spend_order`` when it knows what the order does.
    """

    caller: Caller
    credential: str
    services: Services
    refusal: Limited | None = None

    @property
    def tenant_id(self) -> UUID:
        """Raises InvalidInput when a platform admin named no tenant."""
        return self.caller.require_tenant()

    async def spend_order(self, *, reduces: bool) -> None:
        """For routes of ``ORDERS``, once the body is read: what reduces risk passes a spent budget by its own, and is
        not refused for calls that were used up.

        Raises TooManyRequests, TierLimitReached.
        """
        if not reduces:
            await self.services.meter.insist(self.caller)
        if self.refusal is None:
            return
        if not reduces:
            raise self.refusal
        await self.services.limits.admit(self.caller, Kind.RESERVED, "reduce")


class Allow:
    """A route's dependency: admits callers whose role grants ``permission``; None: whoever is logged in."""

    def __init__(self, permission: Permission | None) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Call:
        """Raises Unauthenticated, Forbidden, TooManyRequests, TierLimitReached, NotFound for another's tenant."""
        scope = request.scope
        known = scope.get(_CALL)
        if known is not None:
            return cast("Call", known)
        services = services_of(request)
        credential = bearer(request.headers.get("authorization", ""))
        caller = await services.logins.authenticate(credential, request.headers.get("x-tenant", ""))
        facts = facts_of(scope)
        facts.caller = caller
        refusal = await _counted(services, scope, facts, caller)
        if self.permission is not None:
            caller.require(self.permission)
        WATCHING.set(caller.watches and scope["method"] in _LOOKS)
        await services.meter.admit(caller, kind_of(scope["method"], scope["route"].path), scope)
        call = Call(caller, credential, services, refusal)
        scope[_CALL] = call
        return call


async def _counted(services: Services, scope: Scope, facts: Facts, caller: Caller) -> Limited | None:
    """Spend from the budgets of the route's kind; gives the refusal of an order, and raises any other."""
    method, path = scope["method"], scope["route"].path
    kind = kind_of(method, path)
    try:
        facts.verdict = await services.limits.admit(caller, kind, f"{method} {path}")
    except Limited as error:
        facts.verdict = error.verdict
        if kind is not Kind.ORDER:
            raise
        return error
    return None


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


def address_of(request: Request) -> str:
    """Where the request comes from; behind a trusted proxy what that says. Empty over a unix socket."""
    return request.client.host if request.client else ""


def bearer(header: str) -> str:
    """The credential in an Authorization header; empty when there is none of this kind."""
    scheme, _, credential = header.partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""
