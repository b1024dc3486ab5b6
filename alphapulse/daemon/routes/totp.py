"""The second factor of whoever is logged in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response

from alphapulse.daemon.access import Call, address_of, logged_in
from alphapulse.daemon.answers import answer
from alphapulse.daemon.bodies import Body, Line, Secret
from alphapulse.daemon.routing import add
from alphapulse.domain.access import Enrolment, RecoveryCodes, SecondFactor


class PasswordOnly(Body):
    password: Secret


class PasswordAndCode(Body):
    password: Secret
    code: Line


async def status(call: Annotated[Call, logged_in()]) -> Response:
    """Whether there is one, and how many recovery codes are left."""
    confined = call.caller.scopes == frozenset() and not call.caller.actor.startswith("key:")
    return answer(await call.services.second_factors.state(call.caller.user_id, required=confined))


async def enrol(request: Request, call: Annotated[Call, logged_in()], body: PasswordOnly) -> Response:
    """A new authenticator. It counts once a code of it was confirmed."""
    async with call.services.logins.proved(call.credential, body.password, address=address_of(request)) as who:
        return answer(await call.services.second_factors.enrol(who.claims.user_id, who.email))


async def confirm(request: Request, call: Annotated[Call, logged_in()], body: PasswordAndCode) -> Response:
    """From now on a log-in needs a code. Answers with the recovery codes, once."""
    async with call.services.logins.proved(call.credential, body.password, address=address_of(request)) as who:
        made = await call.services.second_factors.confirm(
            who.claims.user_id, body.code, actor=who.email, tenant_id=who.claims.tenant_id
        )
    call.services.logins.forget(call.caller.user_id)
    return answer(made)


async def codes(request: Request, call: Annotated[Call, logged_in()], body: PasswordAndCode) -> Response:
    """New recovery codes in place of the old ones."""
    async with call.services.logins.proved(call.credential, body.password, address=address_of(request)) as who:
        made = await call.services.second_factors.renew_codes(
            who.claims.user_id, body.code, actor=who.email, tenant_id=who.claims.tenant_id
        )
    return answer(made)


async def disable(request: Request, call: Annotated[Call, logged_in()], body: PasswordAndCode) -> Response:
    """Log in with the password alone again. code: of the authenticator, or a recovery code."""
    async with call.services.logins.proved(call.credential, body.password, address=address_of(request)) as who:
        await call.services.second_factors.disable(
            who.claims.user_id, body.code, actor=who.email, tenant_id=who.claims.tenant_id
        )
    call.services.logins.forget(call.caller.user_id)
    return answer({})


def routes(router: APIRouter) -> None:
    add(router, "GET", "/auth/totp", status, SecondFactor)
    add(router, "POST", "/auth/totp", enrol, Enrolment)
    add(router, "POST", "/auth/totp/confirm", confirm, RecoveryCodes)
    add(router, "POST", "/auth/totp/codes", codes, RecoveryCodes)
    add(router, "POST", "/auth/totp/disable", disable, dict[str, str])
