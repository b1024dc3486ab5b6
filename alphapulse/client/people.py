"""Members, invitations, and one's own account."""

from __future__ import annotations

from urllib.parse import quote

from alphapulse.client.connection import Connection, Page, read
from alphapulse.domain.people import Invitation, Offer, Policy, Sent
from alphapulse.domain.tenancy import Member, Role, Tenant


class PeopleCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # -- members -----------------------------------------------------------------------------------------------------

    def members(self) -> Page[Member]:
        return self._connection.page(Member, "/members")

    def change_role(self, email: str, role: Role) -> Member:
        """In force at their next request. Raises Conflict for the last tenant admin."""
        return read(Member, self._connection.request("PATCH", _member(email), body={"role": role.value}))

    def remove_member(self, email: str) -> None:
        """Ends the member's sessions and keys in this tenant. Raises Conflict for the last tenant admin."""
        self._connection.request("DELETE", _member(email))

    def transfer(self, to: str, role: Role) -> Member:
        """``to`` becomes tenant admin, the caller gets ``role``; the new admin."""
        return read(Member, self._connection.post("/members/transfer", {"to": to, "role": role.value}))

    # -- invitations -------------------------------------------------------------------------------------------------

    def invite(self, email: str, role: Role) -> Invitation:
        """With its ``link`` only where no mail leaves the daemon."""
        body = {"email": email, "role": role.value}
        return read(Invitation, self._connection.post("/members/invitations", body))

    def invitations(self) -> Page[Invitation]:
        """Newest first, those that are over too."""
        return self._connection.page(Invitation, "/members/invitations")

    def withdraw_invitation(self, email: str) -> Invitation:
        path = f"/members/invitations/{quote(email, safe='')}"
        return read(Invitation, self._connection.request("DELETE", path))

    def invite_admin(self, slug: str) -> Invitation:
        """The tenant's first admin, once more. Raises Conflict when the tenant has one."""
        return read(Invitation, self._connection.post(f"/tenants/{quote(slug, safe='')}/invitation"))

    def look(self, token: str) -> Offer:
        """What an invitation offers. Raises NotFound, or Conflict when it is over."""
        return read(Offer, self._connection.post("/invitations/look", {"token": token}))

    def accept(self, token: str, password: str | None, policy_version: str | None) -> Member:
        """Raises PolicyNotAccepted, InputNeeded without a password, Unauthenticated for one that is not theirs."""
        body = {"token": token, "password": password, "policy_version": policy_version}
        return read(Member, self._connection.post("/invitations/accept", body))

    # -- one's own account -------------------------------------------------------------------------------------------

    def policy(self, version: str | None = None) -> Policy:
        """The privacy policy; None: the one in force."""
        return read(Policy, self._connection.get("/policy", version=version))

    def accept_policy(self, version: str) -> None:
        self._connection.post("/policy/acceptance", {"version": version})

    def sign_up(self, *, email: str, slug: str, name: str, tier: str | None, policy_version: str) -> Sent:
        """Raises Forbidden where sign-up is closed, PolicyNotAccepted."""
        body = {"email": email, "slug": slug, "name": name, "policy_version": policy_version}
        return read(Sent, self._connection.post("/signup", body if tier is None else {**body, "tier": tier}))

    def finish_sign_up(self, token: str, password: str | None) -> Tenant:
        """The tenant, whose provisioning has begun."""
        return read(Tenant, self._connection.post("/signup/finish", {"token": token, "password": password}))

    def send_confirmation(self) -> None:
        """Mails a link to one's own address."""
        self._connection.post("/account/confirmation")

    def confirm(self, token: str) -> None:
        self._connection.post("/account/confirm", {"token": token})

    def forgot_password(self, email: str) -> None:
        """Mails a link, if the address is known."""
        self._connection.post("/password/reset", {"email": email})

    def reset_password(self, token: str, password: str) -> None:
        """Every session of the user ends."""
        self._connection.post("/password/reset/finish", {"token": token, "password": password})


def _member(email: str) -> str:
    return f"/members/{quote(email, safe='')}"
