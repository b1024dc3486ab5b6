"""Logging in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints

from alphapulse.daemon.access import Call, address_of, logged_in, services_of
from alphapulse.daemon.answers import answer
from alphapulse.daemon.bodies import Body, Line, Secret
from alphapulse.daemon.facts import facts_of
from alphapulse.daemon.routing import add
from alphapulse.domain.tenancy import Token, Whoami
from alphapulse.tenancy.admission import NEVER
from alphapulse.tenancy.doors import LogIn


class Credentials(Body):
    email: Line
    password: Secret
    tenant: Line | None = None
    code: Line | None = None
    device: Secret = ""
    policy_version: Line | None = None


class Refresh(Body):
    refresh_token: Annotated[str, StringConstraints(max_length=1024)]


class PasswordChange(Body):
    current: Secret
    new: Secret


async def login(request: Request, body: Credentials) -> Response:
    """A token for an hour. tenant: slug, needed only by members of several tenants. code: of the authenticator, where
    there is one. device: what an earlier log-in from this machine gave.
    """
    facts_of(request.scope).claimed = body.email
    given = LogIn(
        email=body.email,
        password=body.password,
        tenant=body.tenant,
        code=body.code,
        device=body.device,
        policy_version=body.policy_version,
        address=address_of(request),
        program=request.headers.get("user-agent", ""),
    )
    return answer(await services_of(request).logins.login(given))


async def refresh(request: Request, body: Refresh) -> Response:
    """Another token of the same session, and the next refresh token. One that was used before ends the session."""
    return answer(await services_of(request).logins.refresh(body.refresh_token, address_of(request)))


async def logout(call: Annotated[Call, logged_in()]) -> Response:
    """End the session: every token of it, and every stream opened with one, within 5 s."""
    await call.services.logins.logout(call.credential)
    return answer({})


async def password(request: Request, call: Annotated[Call, logged_in()], body: PasswordChange) -> Response:
    """Change one's own password. Every other session of the user ends within 5 s; API keys stay."""
    logins = call.services.logins
    await logins.change_password(call.credential, body.current, body.new, address=address_of(request))
    return answer({})


async def whoami(call: Annotated[Call, logged_in()]) -> Response:
    """The caller as the daemon sees them."""
    caller = call.caller
    tenant = None if caller.tenant_id is None else await call.services.tenancy.tenant(caller.tenant_id)
    return answer(
        Whoami(
            actor=caller.actor,
            role=caller.role,
            tenant=None if tenant is None else tenant.slug,
            tenant_id=caller.tenant_id,
            user_id=caller.user_id,
            expires_at=None if caller.expires_at == NEVER else caller.expires_at,
        )
    )


def routes(router: APIRouter) -> None:
    add(router, "POST", "/auth/login", login, Token)
    add(router, "POST", "/auth/refresh", refresh, Token)
    add(router, "POST", "/auth/logout", logout, dict[str, str])
    add(router, "POST", "/auth/password", password, dict[str, str])
    add(router, "GET", "/auth/whoami", whoami, Whoami)
