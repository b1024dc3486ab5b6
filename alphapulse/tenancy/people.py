"""How people become members: an invitation by mail, accepted once, with a password that nobody else has known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from alphapulse.alerts.outbox import enqueue_mail
from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.events import EventKind
from alphapulse.domain.lifecycle import TenantState
from alphapulse.domain.lookalikes import looks
from alphapulse.domain.mail import MailTemplate, link_to
from alphapulse.domain.people import Invitation, Offer
from alphapulse.domain.tenancy import Member, Role, Tenant, parse_person, parse_role
from alphapulse.domain.wire import write_time
from alphapulse.errors import AlreadyExists, Conflict, InputNeeded, InvalidInput, NotFound, Unauthenticated
from alphapulse.events import store as events
from alphapulse.ports.database import Database, Row, Transaction
from alphapulse.sealing import Seal
from alphapulse.tenancy import members_store, people_store, session_store, store, tenants_store
from alphapulse.tenancy.links import LinkToken, Opens, new_token, parse_token
from alphapulse.tenancy.passwords import SHORTEST, Passwords, parse_password
from alphapulse.tenancy.policies import Policies

#: How long an invitation can be accepted.
OPEN_FOR = timedelta(days=7)
#: Invitations of one tenant that may wait to be accepted at the same time.
_MOST_OPEN = 100
#: Where somebody may still join.
_JOINABLE = frozenset(
    {TenantState.PENDING, TenantState.PROVISIONING, TenantState.ACTIVE, TenantState.PAST_DUE, TenantState.SUSPENDED}
)


@dataclass(frozen=True, slots=True)
class Post:
    """How links reach people. public_url: what they begin with. shown: in answers too, as no mail leaves the daemon."""

    seal: Seal
    public_url: str
    shown: bool

    def link(self, template: MailTemplate, token: LinkToken) -> str | None:
        """For the answer of a request; None where the mail carries it."""
        return link_to(template, self.public_url, str(token)) if self.shown else None


class People:
    """Every call is one use case in one transaction."""

    def __init__(
        self, *, database: Database, clock: Clock, passwords: Passwords, policies: Policies, post: Post
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._policies = policies
        self._post = post

    async def list_invitations(self, tenant_id: UUID) -> list[Invitation]:
        """Newest first, those that are over too."""
        async with self._database.glance(tenant_id) as tx:
            return await people_store.list_invitations(tx, tenant_id)

    async def invite(self, tenant_id: UUID, email: str, role: str, *, actor: str) -> Invitation:
        """Offers a membership by mail. What was open for the address before is withdrawn.

        Whether other tenants know the address makes no difference. Raises AlreadyExists for a member, InvalidInput
        for an address that could be taken for a member's, Conflict when too many invitations are open.
        """
        address, parsed = parse_person(email), parse_role(role)
        async with self._database.transaction(tenant_id) as tx:
            return await self.invite_in(tx, await _tenant(tx, tenant_id), address, parsed, actor=actor)

    async def invite_admin(self, tenant_id: UUID, email: str | None = None, *, actor: str) -> Invitation:
        """Invites the tenant's first admin, or invites them again. email None: the address of the last time.

        Raises NotFound when nobody was invited, Conflict when the tenant has an admin of its own.
        """
        async with self._database.transaction(tenant_id) as tx:
            if Role.TENANT_ADMIN in (await members_store.lock_members(tx, tenant_id)).values():
                raise Conflict("the tenant has an admin", fix="Ask them to invite others.")
            known = [one for one in await people_store.list_invitations(tx, tenant_id) if one.role is Role.TENANT_ADMIN]
            if email is None and not known:
                raise NotFound("nobody was invited to this tenant", fix="Name the admin's address.")
            address = known[0].email if email is None else parse_person(email)
            return await self.invite_in(tx, await _tenant(tx, tenant_id), address, Role.TENANT_ADMIN, actor=actor)

    async def invite_in(self, tx: Transaction, tenant: Tenant, email: str, role: Role, *, actor: str) -> Invitation:
        """``invite`` inside a transaction bound to the tenant. email: as ``parse_person`` gave it."""
        now, tenant_id = self._clock.now(), tenant.id
        members = {member.email for member in await members_store.list_members(tx, tenant_id)}
        invited = set(await people_store.open_addresses(tx, tenant_id, now))
        _insist_distinct(email, members, invited)
        if len(invited - {email}) >= _MOST_OPEN:
            raise Conflict(
                f"{_MOST_OPEN} invitations are open", fix="Withdraw some: alphapulse members invitations list"
            )
        await people_store.withdraw_open(tx, tenant_id, email, now)
        token = new_token(Opens.INVITATION)
        invitation = Invitation(uuid4(), tenant_id, email, role, actor, now, now + OPEN_FOR)
        await people_store.insert_invitation(tx, invitation, token.hash(), by_mail=not self._post.shown)
        await enqueue_mail(
            tx,
            self._post.seal,
            tenant_id=tenant_id,
            to=email,
            template=MailTemplate.INVITATION,
            values={
                "tenant": tenant.name,
                "role": role.value,
                "inviter": actor,
                "token": str(token),
                "expires_at": write_time(invitation.expires_at),
            },
            at=now,
            key=f"invitation:{invitation.id}",
        )
        await record_change(
            tx,
            actor=actor,
            action="invitation.create",
            subject=email,
            before=None,
            after={"role": role, "expires_at": invitation.expires_at},
            at=now,
        )
        return replace(invitation, link=self._post.link(MailTemplate.INVITATION, token))

    async def withdraw(self, tenant_id: UUID, email: str, *, actor: str) -> Invitation:
        """Its link is dead from now on. Raises NotFound when none is open for the address."""
        address, now = parse_person(email), self._clock.now()
        async with self._database.transaction(tenant_id) as tx:
            found = [one for one in await people_store.list_invitations(tx, tenant_id) if one.email == address]
            still = [one for one in found if one.accepted_at is None and one.withdrawn_at is None]
            if not still:
                raise NotFound(f"no open invitation for {address}")
            await people_store.withdraw_open(tx, tenant_id, address, now)
            await record_change(
                tx,
                actor=actor,
                action="invitation.withdraw",
                subject=address,
                before={"withdrawn_at": None},
                after={"withdrawn_at": now},
                at=now,
            )
        return replace(still[0], withdrawn_at=now)

    async def look(self, token: str) -> Offer:
        """What the token offers. Raises NotFound for an unknown one, Conflict for one that is over."""
        _, row = await self._offered(parse_token(token, Opens.INVITATION))
        user_id, user = await self._user(row["email"])
        return Offer(
            email=row["email"],
            tenant=row["slug"],
            name=row["name"],
            role=Role(row["role"]),
            invited_by=row["invited_by"],
            expires_at=row["expires_at"],
            has_account=user_id is not None and _proves(user, by_mail=row["by_mail"]),
            policy_version=self._policies.current,
        )

    async def accept(self, token: str, *, password: str | None, policy_version: str | None) -> Member:
        """Makes the token's holder a member, once.

        password: a new one for somebody without an account, else the one of the account. Somebody whose address was
        never confirmed before, and who got this token by mail, sets a new one: whoever had set the old one could
        not read this mail. Raises NotFound, Conflict, PolicyNotAccepted, InputNeeded without a password,
        Unauthenticated for a wrong one.
        """
        invitation_id, row = await self._offered(parse_token(token, Opens.INVITATION))
        self._policies.insist(policy_version)
        user_id, user = await self._user(row["email"])
        hashed = await self.proved(user, password, email=row["email"], by_mail=row["by_mail"])
        member_id = user_id or uuid4()
        if user_id is not None and hashed is not None:
            await self._take_over(user_id, user, hashed)
        now = self._clock.now()
        member = Member(member_id, row["tenant_id"], row["email"], Role(row["role"]), now)
        async with self._database.transaction(row["tenant_id"], user_id=member_id) as tx:
            _insist_open(await people_store.get_invitation(tx, invitation_id, lock=True), now)
            try:
                if user_id is None:
                    await members_store.insert_user(tx, member_id, row["email"], hashed, at=now)
                await members_store.insert_member(tx, member)
            except AlreadyExists:  # they joined, or made an account, since we looked
                raise AlreadyExists(f"{row['email']} was just added", fix="Log in, or try again.") from None
            if row["by_mail"]:
                await members_store.confirm(tx, member_id, now)
            await people_store.accept_policy(tx, member_id, self._policies.current, now)
            await people_store.mark_accepted(tx, invitation_id, now)
            await _joined(tx, member, member.email, now)
        return member

    async def join_in(
        self, tx: Transaction, tenant: Tenant, user_id: UUID, email: str, role: Role, *, actor: str
    ) -> None:
        """Makes a user a member without an invitation: who signed up was asked already. Again: nothing happens.

        In a transaction bound to the tenant.
        """
        if user_id in await members_store.lock_members(tx, tenant.id):
            return
        now = self._clock.now()
        member = Member(user_id, tenant.id, email, role, now)
        await members_store.insert_member(tx, member)
        await _joined(tx, member, actor, now)

    async def proved(self, user: Row | None, password: str | None, *, email: str, by_mail: bool) -> str | None:
        """The hash of a new password to set, or None when the account's own was proved.

        user: the account of the address, if any. by_mail: whether the token came by mail and nowhere else.
        """
        known = _proves(user, by_mail=by_mail)
        if password is None:
            what = "the password of its account" if known else f"a password of at least {SHORTEST} characters"
            raise InputNeeded(f"{email} needs {what}", fix="Send it in `password`; or add --password-stdin.")
        if not known:
            return await self._passwords.hash(parse_password(password))
        assert user is not None
        if not await self._passwords.matches(user["password_hash"], password):
            raise Unauthenticated(
                f"this is not the password of {email}'s account",
                fix="Set a new one: alphapulse password reset, then accept again.",
            )
        return None

    async def _take_over(self, user_id: UUID, user: Row | None, hashed: str) -> None:
        """A new password on an account that nobody had proved to be theirs; whoever was in it is out.

        A transaction of its own, since sessions of other tenants end. Should the next one fail, the same request
        goes through when it is repeated: the password is then the account's.
        """
        old = None if user is None else user["password_hash"]
        async with self._database.user(user_id) as tx:
            if not await members_store.replace_password(tx, user_id, old, hashed):
                raise Conflict("the password was changed by another request just now", fix="Try again.")
            await members_store.confirm(tx, user_id, self._clock.now())
            await session_store.revoke_sessions(tx, user_id, self._clock.now())

    async def _offered(self, token: LinkToken) -> tuple[UUID, Row]:
        async with self._database.shared() as tx:
            found = await people_store.find_invitation(tx, token.hash())
        if found is None:
            raise NotFound("no such invitation", fix="Ask for a new one.")
        async with self._database.transaction(found["tenant_id"]) as tx:
            row = await people_store.get_invitation(tx, found["invitation_id"])
        return found["invitation_id"], _insist_open(row, self._clock.now())

    async def _user(self, email: str) -> tuple[UUID | None, Row | None]:
        async with self._database.shared() as tx:
            user_id, _ = await store.find(tx, email=email)
        if user_id is None:
            return None, None
        async with self._database.user(user_id) as tx:
            return user_id, await members_store.get_user(tx, user_id)


async def _tenant(tx: Transaction, tenant_id: UUID) -> Tenant:
    found = await tenants_store.get_tenant(tx, tenant_id)
    if found is None:
        raise NotFound(f"no tenant {tenant_id}")
    return found


async def tell(tx: Transaction, kind: EventKind, member: Member, actor: str, at: datetime) -> None:
    """An event about a member; like every event it locks the tenant's sequence, so it comes last."""
    payload = {"email": member.email, "role": member.role.value, "actor": actor}
    await events.append(tx, kind, str(member.user_id), at, at, payload)


async def _joined(tx: Transaction, member: Member, actor: str, at: datetime) -> None:
    await tell(tx, EventKind.MEMBER_ADDED, member, actor, at)
    after = {"role": member.role}
    await record_change(tx, actor=actor, action="member.join", subject=member.email, before=None, after=after, at=at)


def _proves(user: Row | None, *, by_mail: bool) -> bool:
    """Whether the account's own password is asked for, rather than a new one."""
    if user is None or user["password_hash"] is None:
        return False
    return user["confirmed_at"] is not None or not by_mail


def _insist_open(row: Row | None, now: datetime) -> Row:
    """Raises NotFound or Conflict unless the invitation can be accepted."""
    if row is None or row["state"] not in _JOINABLE:
        raise NotFound("no such invitation", fix="Ask for a new one.")
    for column, word in (("accepted_at", "accepted"), ("withdrawn_at", "withdrawn")):
        if row[column] is not None:
            raise Conflict(f"this invitation was {word} before", fix="Ask the tenant's admin for a new one.")
    if row["expires_at"] <= now:
        raise Conflict("this invitation has expired", fix="Ask the tenant's admin for a new one.")
    return row


def _insist_distinct(email: str, members: set[str], invited: set[str]) -> None:
    if email in members:
        raise AlreadyExists(f"{email} is a member", fix=f"Change the role: alphapulse members role {email} ROLE")
    alike = next((other for other in members | invited if other != email and looks(other) == looks(email)), None)
    if alike is not None:
        raise InvalidInput(
            f"email: {email} looks like {alike}, who is a member or invited",
            field="email",
            fix="Check the address letter by letter; if it is right, ask for one that cannot be mistaken.",
        )
