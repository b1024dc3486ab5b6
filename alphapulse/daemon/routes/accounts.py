"""People's own accounts: sign-up, the address, a forgotten password, the privacy policy."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response

from alphapulse.daemon.access import Call, logged_in, services_of
from alphapulse.daemon.answers import answer
from alphapulse.daemon.bodies import Body, Line, Secret
from alphapulse.daemon.routing import add
from alphapulse.domain.people import Policy, Sent
from alphapulse.domain.plans import Tier
from alphapulse.domain.tenancy import Tenant


class SignUp(Body):
    email: Line
    slug: Line
    name: Line
    tier: Line = Tier.STARTER.value
    policy_version: Line | None = None


class SignUpEnd(Body):
    token: Line
    password: Secret | None = None


class PolicyAcceptance(Body):
    version: Line


class Confirmation(Body):
    token: Line


class Forgotten(Body):
    email: Line


class NewPassword(Body):
    token: Line
    password: Secret


async def policy(request: Request, version: str | None = None) -> Response:
    """The privacy policy in force, or an earlier version of it."""
    return answer(services_of(request).policies.get(version))


async def accept_policy(call: Annotated[Call, logged_in()], body: PolicyAcceptance) -> Response:
    """Accept the version in force. A log-in asks for it as well."""
    await call.services.accounts.accept_policy(call.caller.user_id, body.version, actor=call.caller.actor)
    return answer({})


async def sign_up(request: Request, body: SignUp) -> Response:
    """Ask for a tenant of one's own, where that is open. A mail follows, whoever the address belongs to."""
    sent = await services_of(request).accounts.sign_up(
        email=body.email, slug=body.slug, name=body.name, tier=body.tier, policy_version=body.policy_version
    )
    return answer(sent, 202)


async def finish_sign_up(request: Request, body: SignUpEnd) -> Response:
    """Go on with the mailed link: the address is confirmed, and the tenant is provisioned. password: as for accepting
    an invitation.
    """
    services = services_of(request)
    return answer(await services.accounts.finish_sign_up(body.token, password=body.password), 202)


async def send_confirmation(call: Annotated[Call, logged_in()]) -> Response:
    """Mail a link that confirms the caller's address."""
    return answer(await call.services.accounts.send_confirmation(call.caller.user_id), 202)


async def confirm(request: Request, body: Confirmation) -> Response:
    """The mailed link confirms the address."""
    await services_of(request).accounts.confirm(body.token)
    return answer({})


async def forgot(request: Request, body: Forgotten) -> Response:
    """Mail a link to set a new password. The answer is the same for addresses that nobody has."""
    return answer(await services_of(request).accounts.forgot(body.email), 202)


async def reset(request: Request, body: NewPassword) -> Response:
    """Set a new password with the mailed link. Every session of the user ends; API keys and second factor stay."""
    services = services_of(request)
    user_id, email = await services.accounts.reset(body.token, body.password)
    services.logins.forget_user(user_id)
    await services.logins.throttle.clear(email)
    return answer({})


def routes(router: APIRouter) -> None:
    add(router, "GET", "/policy", policy, Policy)
    add(router, "POST", "/policy/acceptance", accept_policy, dict[str, str])
    add(router, "POST", "/signup", sign_up, Sent, status=202)
    add(router, "POST", "/signup/finish", finish_sign_up, Tenant, status=202)
    add(router, "POST", "/account/confirmation", send_confirmation, Sent, status=202)
    add(router, "POST", "/account/confirm", confirm, dict[str, str])
    add(router, "POST", "/password/reset", forgot, Sent, status=202)
    add(router, "POST", "/password/reset/finish", reset, dict[str, str])
