"""A person's own account: opening one with a tenant, proving the address, a forgotten password, the privacy policy.

Whoever asks is a stranger, so no answer tells whether an address is known: it says what it says, and a mail follows
where there is somebody to write to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from alphapulse.alerts.outbox import enqueue_mail
from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.mail import MailTemplate
from alphapulse.domain.people import Sent
from alphapulse.domain.plans import Tier, parse_tier
from alphapulse.domain.tenancy import PLATFORM, Tenant, parse_email, parse_person, parse_slug
from alphapulse.domain.wire import write_time
from alphapulse.errors import AlreadyExists, Conflict, Forbidden, NotFound
from alphapulse.ports.database import Database, Row, Transaction
from alphapulse.tenancy import members_store, people_store, session_store, store
from alphapulse.tenancy.links import LinkToken, Opens, new_token, parse_token
from alphapulse.tenancy.passwords import Passwords, parse_password
from alphapulse.tenancy.people import People, Post
from alphapulse.tenancy.policies import Policies
from alphapulse.tenancy.provisioning import Provisioning
from alphapulse.tenancy.service import parse_name

#: How long the link of a mail is good, by what it opens.
GOOD_FOR: Mapping[Opens, timedelta] = {
    Opens.CONFIRMATION: timedelta(days=2),
    Opens.RESET: timedelta(hours=1),
    Opens.SIGNUP: timedelta(days=2),
}
#: A second mail of the same kind to the same person waits at least this long, so that nobody's letter box is flooded.
PAUSE = timedelta(minutes=2)
#: Answers to strangers take at least this long, seconds: longer than it takes to store a mail, or to find nobody.
_ANSWERS_AFTER_S = 0.1
_TEMPLATES: Mapping[Opens, MailTemplate] = {
    Opens.CONFIRMATION: MailTemplate.CONFIRMATION,
    Opens.RESET: MailTemplate.PASSWORD_RESET,
    Opens.SIGNUP: MailTemplate.CONFIRMATION,
}


@dataclass(frozen=True, slots=True)
class _Link:
    """A link that was looked up: whose, and what it came with."""

    id: UUID
    user_id: UUID
    by_mail: bool
    request: Mapping[str, Any]


class Accounts:
    """signup_open: whether strangers may open tenants."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        passwords: Passwords,
        policies: Policies,
        post: Post,
        people: People,
        provisioning: Provisioning,
        signup_open: bool,
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._policies = policies
        self._post = post
        self._people = people
        self._provisioning = provisioning
        self._signup_open = signup_open

    # -- sign-up -----------------------------------------------------------------------------------------------------

    async def sign_up(
        self, *, email: str, name: str, slug: str, tier: str = Tier.STARTER.value, policy_version: str | None
    ) -> Sent:
        """Mails a link to go on with. Nothing but the address is stored for somebody new until they use it.

        Raises Forbidden where sign-up is closed, AlreadyExists for a slug that is taken, PolicyNotAccepted.
        """
        if not self._signup_open:
            raise Forbidden("sign-up is closed here", fix="Ask the platform admin for a tenant.")
        address, request = parse_person(email), {"name": parse_name(name), "slug": parse_slug(slug)}
        request |= {"tier": parse_tier(tier).value, "policy_version": self._policies.current}
        self._policies.insist(policy_version)
        token, _ = await asyncio.gather(self._sign_up(address, slug, request), asyncio.sleep(_ANSWERS_AFTER_S))
        return Sent(link=None if token is None else self._post.link(MailTemplate.CONFIRMATION, token))

    async def _sign_up(self, address: str, slug: str, request: Mapping[str, Any]) -> LinkToken | None:
        async with self._database.shared() as tx:
            user_id, taken = await store.find(tx, email=address, slug=slug)
        if taken is not None:
            raise AlreadyExists(f"tenant {slug} exists already", fix="Choose another slug.")
        known = user_id or uuid4()
        async with self._database.user(known) as tx:
            if user_id is None:
                try:
                    await members_store.insert_user(tx, known, address, None, at=self._clock.now())
                except AlreadyExists:  # signed up twice at the same time
                    raise Conflict(f"another request for {address} was faster", fix="Try again.") from None
            return await self._send(tx, known, address, Opens.SIGNUP, request)

    async def finish_sign_up(self, token: str, *, password: str | None) -> Tenant:
        """Confirms the address and begins the tenant's provisioning; its first admin is who signed up.

        password: as in ``People.accept``. Raises NotFound or Conflict for a link that is not good (any more).
        """
        link = await self._found(parse_token(token, Opens.SIGNUP))
        self._policies.insist(link.request["policy_version"])
        async with self._database.user(link.user_id) as tx:
            user = await members_store.get_user(tx, link.user_id)
        if user is None:
            raise NotFound("no such link", fix="Sign up again.")
        hashed = await self._people.proved(user, password, email=user["email"], by_mail=link.by_mail)
        now = self._clock.now()
        async with self._database.user(link.user_id) as tx:
            await self._use(tx, link, Opens.SIGNUP, now)
            if hashed is not None:
                await self._set(tx, link.user_id, user, hashed, now)
            if link.by_mail:
                await members_store.confirm(tx, link.user_id, now)
            await people_store.accept_policy(tx, link.user_id, self._policies.current, now)
            await self._record(tx, user["email"], "account.sign_up", {"slug": link.request["slug"]}, now)
        return await self._provisioning.create(
            name=link.request["name"],
            slug=link.request["slug"],
            tier=link.request["tier"],
            admin_email=user["email"],
            admin_id=link.user_id,
            actor=user["email"],
        )

    # -- the address -------------------------------------------------------------------------------------------------

    async def send_confirmation(self, user_id: UUID) -> Sent:
        """To the logged-in user's address. Raises Conflict when it is confirmed."""
        async with self._database.user(user_id) as tx:
            user = await members_store.get_user(tx, user_id)
            if user is None:
                raise NotFound("no such user")
            if user["confirmed_at"] is not None:
                raise Conflict(f"{user['email']} is confirmed already")
            await self._send(tx, user_id, user["email"], Opens.CONFIRMATION, {})
        return Sent()

    async def confirm(self, token: str) -> None:
        """The address is the user's. Raises NotFound or Conflict for a link that is not good (any more)."""
        link = await self._found(parse_token(token, Opens.CONFIRMATION))
        now = self._clock.now()
        async with self._database.user(link.user_id) as tx:
            await self._use(tx, link, Opens.CONFIRMATION, now)
            await members_store.confirm(tx, link.user_id, now)
            user = await members_store.get_user(tx, link.user_id)
            assert user is not None
            await self._record(tx, user["email"], "account.confirm", {"confirmed": True}, now)

    # -- a forgotten password ----------------------------------------------------------------------------------------

    async def forgot(self, email: str) -> Sent:
        """Mails a link to set a new password, if the address is known. It never stands in the answer, which takes the
        same time in either case.
        """
        await asyncio.gather(self._forgot(parse_email(email)), asyncio.sleep(_ANSWERS_AFTER_S))
        return Sent()

    async def _forgot(self, address: str) -> None:
        async with self._database.shared() as tx:
            user_id, _ = await store.find(tx, email=address)
        if user_id is None:
            return
        async with self._database.user(user_id) as tx:
            user = await members_store.get_user(tx, user_id)
            if user is not None and user["password_hash"] is not None:
                await self._send(tx, user_id, address, Opens.RESET, {})

    async def reset(self, token: str, password: str) -> tuple[UUID, str]:
        """Sets a new password and ends every session of the user, everywhere; id and address of the user.

        API keys stay, and so does the second factor. Raises NotFound or Conflict for a link that is not good (any
        more), InvalidInput for a password that is too short.
        """
        link = await self._found(parse_token(token, Opens.RESET))
        hashed = await self._passwords.hash(parse_password(password))
        now = self._clock.now()
        async with self._database.user(link.user_id) as tx:
            user = await members_store.get_user(tx, link.user_id)
            if user is None:
                raise NotFound("no such link", fix="Ask for a new one: alphapulse password reset")
            await self._use(tx, link, Opens.RESET, now)
            await self._set(tx, link.user_id, user, hashed, now)
            # The mail was read: the address is theirs, however this link came to be.
            await members_store.confirm(tx, link.user_id, now)
            await self._record(tx, user["email"], "account.reset_password", {"sessions_ended": True}, now)
        return link.user_id, user["email"]

    # -- the privacy policy ------------------------------------------------------------------------------------------

    async def accept_policy(self, user_id: UUID, version: str, *, actor: str) -> None:
        """Raises PolicyNotAccepted for another version than the current one."""
        self._policies.insist(version)
        now = self._clock.now()
        async with self._database.user(user_id) as tx:
            if await people_store.has_accepted(tx, user_id, version):
                return
            await people_store.accept_policy(tx, user_id, version, now)
            await self._record(tx, actor, "account.accept_policy", {"version": version}, now)

    # ----------------------------------------------------------------------------------------------------------------

    async def tidy(self) -> int:
        """Delete users who were never more than an address in a sign-up that was not finished; how many there were."""
        async with self._database.shared() as tx:
            forgotten = await people_store.forgotten_users(tx, self._clock.now())
        for user_id in forgotten:
            async with self._database.user(user_id) as tx:
                await members_store.delete_user(tx, user_id)
        return len(forgotten)

    async def _send(
        self, tx: Transaction, user_id: UUID, to: str, opens: Opens, request: Mapping[str, Any]
    ) -> LinkToken | None:
        """None when one was sent a moment ago: it is still good, and goes on being the only one."""
        now = self._clock.now()
        before = await people_store.newest_link(tx, user_id, opens.value)
        if before is not None and now - before < PAUSE:
            return None
        await people_store.use_links(tx, user_id, opens.value, now)
        token, link_id, until = new_token(opens), uuid4(), now + GOOD_FOR[opens]
        link = {
            "id": link_id,
            "user_id": user_id,
            "purpose": opens.value,
            "token_hash": token.hash(),
            # What is shown in an answer proves nothing about the address; only sign-up links are ever shown.
            "by_mail": not (self._post.shown and opens is Opens.SIGNUP),
            "request": request,
            "created_at": now,
            "expires_at": until,
        }
        await people_store.insert_link(tx, link)
        await enqueue_mail(
            tx,
            self._post.seal,
            tenant_id=None,
            to=to,
            template=_TEMPLATES[opens],
            values={"token": str(token), "expires_at": write_time(until)},
            at=now,
            key=f"link:{link_id}",
        )
        return token

    async def _found(self, token: LinkToken) -> _Link:
        async with self._database.shared() as tx:
            found = await people_store.find_link(tx, token.hash())
        if found is None:
            raise NotFound("no such link", fix="Ask for a new one.")
        async with self._database.user(found["user_id"]) as tx:
            row = _insist_good(await people_store.get_link(tx, found["link_id"]), self._clock.now())
        return _Link(row["id"], row["user_id"], row["by_mail"], row["request"])

    async def _use(self, tx: Transaction, link: _Link, opens: Opens, now: datetime) -> None:
        """Once: whoever comes second waits for the first and is refused."""
        _insist_good(await people_store.get_link(tx, link.id, lock=True), now)
        await people_store.use_links(tx, link.user_id, opens.value, now)

    async def _set(self, tx: Transaction, user_id: UUID, user: Row, hashed: str, now: datetime) -> None:
        if not await members_store.replace_password(tx, user_id, user["password_hash"], hashed):
            raise Conflict("the password was changed by another request just now", fix="Try again.")
        await session_store.revoke_sessions(tx, user_id, now)

    @staticmethod
    async def _record(tx: Transaction, actor: str, action: str, after: Mapping[str, Any], at: datetime) -> None:
        """On the platform's chain: an account belongs to no tenant."""
        await record_change(
            tx, actor=actor, action=action, subject=actor, before=None, after=after, at=at, tenant_id=PLATFORM
        )


def _insist_good(row: Row | None, now: datetime) -> Row:
    if row is None:
        raise NotFound("no such link", fix="Ask for a new one.")
    if row["used_at"] is not None:
        raise Conflict("this link was used, or replaced by a newer one", fix="Use the newest mail, or ask again.")
    if row["expires_at"] <= now:
        raise Conflict("this link has expired", fix="Ask for a new one.")
    return row
