"""Logging in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints

from alphapulse.daemon.access import Call, logged_in, services_of
from alphapulse.daemon.answers import answer
from alphapulse.daemon.bodies import Body, Line
from alphapulse.daemon.routing import add
from alphapulse.domain.tenancy import Token, Whoami
from alphapulse.tenancy.logins import NEVER


class Credentials(Body):
    email: Line
    password: Annotated[str, StringConstraints(max_length=1024)]
    tenant: Line | None = None


class PasswordChange(Body):
    current: Annotated[str, StringConstraints(max_length=1024)]
    new: Annotated[str, StringConstraints(max_length=1024)]


async def login(request: Request, body: Credentials) -> Response:
    """A token for an hour. tenant: slug, needed only by members of several tenants."""
    return answer(await services_of(request).logins.login(body.email, body.password, body.tenant))


async def logout(call: Annotated[Call, logged_in()]) -> Response:
    """End the session: every token of it, and every stream opened with one, within 5 s."""
    await call.services.logins.logout(call.credential)
    return answer({})


async def renew(call: Annotated[Call, logged_in()]) -> Response:
    """Another token of the same session."""
    return answer(await call.services.logins.renew(call.credential))


async def password(call: Annotated[Call, logged_in()], body: PasswordChange) -> Response:
    """Change one's own password. Every other session of the user ends within 5 s; API keys stay."""
    await call.services.logins.change_password(call.credential, body.current, body.new)
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
    add(router, "POST", "/auth/logout", logout, dict[str, str])
    add(router, "POST", "/auth/renew", renew, Token)
    add(router, "POST", "/auth/password", password, dict[str, str])
    add(router, "GET", "/auth/whoami", whoami, Whoami)
