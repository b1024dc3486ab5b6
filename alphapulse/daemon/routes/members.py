"""Members of the caller's tenant, and the invitations to become one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints

from alphapulse.daemon.access import Call, allow, services_of
from alphapulse.daemon.answers import Page, answer, page
from alphapulse.daemon.bodies import Body, Line
from alphapulse.daemon.routing import add
from alphapulse.domain.people import Invitation, Offer
from alphapulse.domain.tenancy import Member, Permission, Role

_Secret = Annotated[str, StringConstraints(max_length=1024)]


class NewInvitation(Body):
    email: Line
    role: Line


class NewRole(Body):
    role: Line


class Transfer(Body):
    to: Line
    role: Line = Role.TRADER.value


class InvitationToken(Body):
    token: Line


class Acceptance(Body):
    token: Line
    password: _Secret | None = None
    policy_version: Line | None = None


async def listed(call: Annotated[Call, allow(Permission.MEMBERS_READ)]) -> Response:
    """By e-mail."""
    return page(await call.services.members.list_members(call.tenant_id))


async def change(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], email: str, body: NewRole) -> Response:
    """Give a member another role, at once. Keys of theirs that may more are revoked; the last tenant admin stays."""
    changed = await call.services.members.change_role(call.tenant_id, email, body.role, actor=call.caller.actor)
    call.services.logins.forget_user(changed.user_id)
    return answer(changed)


async def remove(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], email: str) -> Response:
    """Take a user out, and end their sessions and keys here. The last tenant admin stays."""
    removed = await call.services.members.remove(call.tenant_id, email, actor=call.caller.actor)
    call.services.logins.forget_user(removed.user_id)
    return answer(removed)


async def transfer(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], body: Transfer) -> Response:
    """Hand the tenant over: another member becomes its admin, the caller gets ``role``."""
    heir = await call.services.members.transfer(
        call.tenant_id, body.to, body.role, owner=call.caller.user_id, actor=call.caller.actor
    )
    call.services.logins.forget_user(heir.user_id)
    call.services.logins.forget_user(call.caller.user_id)
    return answer(heir)


async def invite(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], body: NewInvitation) -> Response:
    """Offer a membership by mail, for seven days. Inviting again ends the earlier link."""
    made = await call.services.people.invite(call.tenant_id, body.email, body.role, actor=call.caller.actor)
    return answer(made, 201)


async def invitations(call: Annotated[Call, allow(Permission.MEMBERS_READ)]) -> Response:
    """Newest first, those that are over too; never their links."""
    return page(await call.services.people.list_invitations(call.tenant_id))


async def withdraw(call: Annotated[Call, allow(Permission.MEMBERS_WRITE)], email: str) -> Response:
    """End the open invitation of an address; its link is dead."""
    return answer(await call.services.people.withdraw(call.tenant_id, email, actor=call.caller.actor))


async def invite_admin(call: Annotated[Call, allow(Permission.TENANTS_WRITE)], slug: str) -> Response:
    """Invite a tenant's first admin again, as long as it has none. The earlier link is dead."""
    tenant = await call.services.tenancy.get_tenant(slug)
    return answer(await call.services.people.invite_admin(tenant.id, actor=call.caller.actor), 201)


async def look(request: Request, body: InvitationToken) -> Response:
    """What an invitation offers to whom, and which privacy policy accepting it accepts."""
    return answer(await services_of(request).people.look(body.token))


async def accept(request: Request, body: Acceptance) -> Response:
    """Become a member. password: a new one, or that of the account if the address has one."""
    services = services_of(request)
    member = await services.people.accept(body.token, password=body.password, policy_version=body.policy_version)
    services.logins.forget_user(member.user_id)
    return answer(member, 201)


def routes(router: APIRouter) -> None:
    add(router, "GET", "/members", listed, Page[Member])
    add(router, "POST", "/members/invitations", invite, Invitation, status=201)
    add(router, "GET", "/members/invitations", invitations, Page[Invitation])
    add(router, "DELETE", "/members/invitations/{email}", withdraw, Invitation)
    add(router, "POST", "/members/transfer", transfer, Member)
    add(router, "PATCH", "/members/{email}", change, Member)
    add(router, "DELETE", "/members/{email}", remove, Member)
    add(router, "POST", "/tenants/{slug}/invitation", invite_admin, Invitation, status=201)
    add(router, "POST", "/invitations/look", look, Offer)
    add(router, "POST", "/invitations/accept", accept, Member, status=201)
