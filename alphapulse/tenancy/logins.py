"""Logging in with a password and a code, refreshing, and logging out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from alphapulse.alerts.outbox import enqueue_mail
from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.tenancy import PLATFORM, Token, parse_email
from alphapulse.domain.throttle import WINDOW
from alphapulse.domain.wire import write_time
from alphapulse.errors import CodeNeeded, Conflict, InvalidInput
from alphapulse.ports.database import Database
from alphapulse.sealing import Seal
from alphapulse.tenancy import members_store, second_factor_store, session_store, store
from alphapulse.tenancy.admission import Admission, in_force
from alphapulse.tenancy.doors import Door, LogIn, Person, doors_of, new_session, only
from alphapulse.tenancy.keys import parse_key
from alphapulse.tenancy.passwords import Passwords, parse_password
from alphapulse.tenancy.policies import Policies
from alphapulse.tenancy.refresh import RefreshToken, open_device, open_refresh, seal_device, seal_refresh
from alphapulse.tenancy.second_factors import Proof, SecondFactors, is_confirmed
from alphapulse.tenancy.signing_keys import SigningKeys
from alphapulse.tenancy.throttle import Attempt, Throttle, too_many
from alphapulse.tenancy.tokens import Claims, unauthenticated

_WRONG = "e-mail or password is wrong"


@dataclass(frozen=True, slots=True)
class Proved:
    """Somebody who is logged in, and gave their password once more."""

    claims: Claims
    email: str
    password_hash: str


class Logins:
    """token_lifetime: how long one token is good. session_lifetime: how long after the log-in it can be refreshed."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        seal: Seal,
        admission: Admission,
        keys: SigningKeys,
        passwords: Passwords,
        throttle: Throttle,
        second_factors: SecondFactors,
        policies: Policies,
        token_lifetime: timedelta,
        session_lifetime: timedelta,
    ) -> None:
        self.admission = admission
        self.throttle = throttle
        #: Asked at every request, so without a step between.
        self.authenticate = admission.authenticate
        self.forget = admission.forget
        #: The same by the id of a user or a tenant, whose roles, state or membership changed.
        self.forget_user = self.forget_tenant = admission.forget
        self.forget_all = admission.forget_all
        self._database = database
        self._clock = clock
        self._seal = seal
        self._keys = keys
        self._passwords = passwords
        self._second_factors = second_factors
        self._policies = policies
        self._token_lifetime = token_lifetime
        self._session_lifetime = session_lifetime

    async def login(self, given: LogIn) -> Token:
        """Raises Unauthenticated in the same words for an unknown user, a wrong password and a tenant of others;
        TooManyRequests after too many failures from the same place; CodeNeeded when a second factor is asked for;
        PolicyNotAccepted; InvalidInput for members of several tenants who name none.
        """
        person = await self._look_up(given)
        now = self._clock.now()
        stored = person.password_hash
        device = None if stored is None else open_device(self._seal, given.device, person.user_id, stored, now)
        attempt = await self.throttle.attempt(
            given.email.strip().lower(), given.address, device, may_pass=given.code is not None
        )
        # Somebody unknown is compared with nobody, which takes as long.
        right = await self._passwords.matches(stored, given.password) and bool(person.doors)
        proof = None
        if right and person.factor is not None and given.code is not None:
            proof = self._second_factors.prove(person.user_id, person.factor, given.code)
        if attempt.wait and proof is None:
            await self._failed(person, attempt, given.address)
            raise too_many(attempt.wait)
        if not right:
            await self._failed(person, attempt, given.address)
            raise unauthenticated(_WRONG)
        if person.factor is not None and proof is None:
            if given.code is not None:
                await self._failed(person, attempt, given.address)
                raise unauthenticated("the code is wrong, or was taken before")
            raise CodeNeeded("a code of your authenticator is needed", fix="Send it as `code` (--code).")
        token = await self._enter(person, only(person.doors), proof, given)
        await self.throttle.succeeded(attempt)
        return token

    async def refresh(self, refresh_token: str, address: str = "") -> Token:
        """The next token of a session, with the role as it is now, and the next refresh token.

        One that was used before ends the session: either its owner or a thief holds a copy. Raises Unauthenticated.
        """
        known = open_refresh(self._seal, refresh_token)
        if known is None:
            raise unauthenticated("the refresh token is not one of this daemon's")
        now = self._clock.now()
        async with self.admission.bound(known.tenant_id, known.user_id) as tx:
            session = await in_force(tx, known.tenant_id, known.session_id)
            until = session.created_at + self._session_lifetime
            if until <= now:
                raise unauthenticated("the session is too old to be refreshed")
            expires_at = min(now + self._token_lifetime, until)
            fresh = await session_store.advance(
                tx, known.session_id, known.generation, expires_at=expires_at, at=now, address=address
            )
            if not fresh:
                await session_store.revoke(tx, known.session_id, now)
                await record_change(
                    tx,
                    actor=session.email,
                    action="session.revoked",
                    subject=f"session:{known.session_id}",
                    before={"revoked": False},
                    after={"revoked": True},
                    at=now,
                    reason=f"a refresh token was used twice, the second time from {address or 'an unknown address'}",
                    tenant_id=known.tenant_id or PLATFORM,
                )
        if not fresh:
            self.forget(known.session_id)
            raise unauthenticated("the refresh token was used before, so its session has ended")
        claims = Claims(known.user_id, known.session_id, known.tenant_id, session.role, now, expires_at)
        return await self._token(claims, session.slug, known.generation + 1, until)

    async def logout(self, credential: str) -> None:
        """Ends the session of a token, with every token of it. An API key is revoked by its own route."""
        if parse_key(credential) is not None:
            raise InvalidInput("an API key has no session to end", fix="Revoke it with `alphapulse keys revoke ID`.")
        claims = await self.admission.claims(credential)
        async with self.admission.bound(claims.tenant_id, claims.user_id) as tx:
            await session_store.revoke(tx, claims.session_id, self._clock.now())
        self.forget(claims.session_id)

    async def change_password(self, credential: str, current: str, new: str, *, address: str = "") -> None:
        """The own password; every other session of theirs ends, in every tenant, and no device is known any more.

        Raises InvalidInput for an API key, a wrong current password, or a new one that is too short or the same.
        """
        if parse_password(new, "new") == current:
            raise InvalidInput("new: the same as the current password", field="new", fix="Choose another one.")
        async with self.proved(credential, current, field="current", address=address) as who:
            hashed = await self._passwords.hash(new)
            async with self._database.user(who.claims.user_id) as tx:
                if not await members_store.replace_password(tx, who.claims.user_id, who.password_hash, hashed):
                    raise Conflict("the password was changed by another request just now", fix="Log in again.")
                at, kept = self._clock.now(), who.claims.session_id
                ended = await session_store.revoke_sessions(tx, who.claims.user_id, at, kept)
                await record_change(
                    tx,
                    actor=who.email,
                    action="password.changed",
                    subject=who.email,
                    before={"password": "old"},
                    after={"password": "new"},
                    at=at,
                    tenant_id=who.claims.tenant_id or PLATFORM,
                )
        self.forget(*ended)

    @asynccontextmanager
    async def proved(
        self, credential: str, password: str, *, field: str = "password", address: str = ""
    ) -> AsyncGenerator[Proved]:
        """For what needs the password of whoever is logged in once more. Guesses are counted, and so is what the
        block refuses as InvalidInput (a wrong code). Raises InvalidInput, TooManyRequests.
        """
        if parse_key(credential) is not None:
            raise InvalidInput("an API key has no password", fix="Log in with `alphapulse login` first.")
        claims = await self.admission.claims(credential)
        async with self._database.user(claims.user_id) as tx:
            user = await members_store.get_user(tx, claims.user_id)
        if user is None:
            raise unauthenticated("the session has ended")
        # Named by the session: guesses of who stole a token slow down the owner's log-ins no more than strangers do.
        attempt = await self.throttle.attempt(f"session:{claims.session_id}", address, None, may_pass=False)
        if not await self._passwords.matches(user["password_hash"], password):
            await self.throttle.failed(attempt)
            raise InvalidInput(f"{field}: not your password", field=field, fix="Type the password you log in with.")
        try:
            yield Proved(claims, user["email"], user["password_hash"])
        except InvalidInput:
            await self.throttle.failed(attempt)
            raise
        await self.throttle.succeeded(attempt)

    async def _look_up(self, given: LogIn) -> Person:
        try:
            address = parse_email(given.email)
        except InvalidInput:
            address = ""
        async with self._database.shared() as tx:
            found, _ = await store.find(tx, email=address)
        user_id = found or uuid4()
        async with self._database.user(user_id) as tx:
            user = await members_store.get_user(tx, user_id)
            memberships = await members_store.memberships_of(tx, user_id)
            factor = await second_factor_store.get(tx, user_id)
        doors = doors_of(user, memberships, given.tenant)
        return Person(user_id, user, doors, factor if is_confirmed(factor) else None)

    async def _enter(self, person: Person, door: Door, proof: Proof | None, given: LogIn) -> Token:
        """A session behind ``door``, and its first token."""
        now = self._clock.now()
        claims = Claims(person.user_id, uuid4(), door.tenant_id, door.role, now, now + self._token_lifetime)
        async with self.admission.bound(door.tenant_id, person.user_id) as tx:
            if door.tenant_id is not None:
                await self._policies.settle(tx, person.user_id, given.policy_version, now)
            if proof is not None and not await proof.take(tx):
                raise unauthenticated("the code is wrong, or was taken before")
            await session_store.insert(tx, new_session(claims, door, given))
        stored = person.password_hash or ""
        known = open_device(self._seal, given.device, person.user_id, stored, now)
        device = seal_device(self._seal, person.user_id, stored, now, known)
        return await self._token(claims, door.slug, 0, now + self._session_lifetime, device)

    async def _token(
        self, claims: Claims, slug: str | None, generation: int, until: datetime, device: str = ""
    ) -> Token:
        signer = await self._keys.ready()
        refresh = RefreshToken(claims.session_id, claims.tenant_id, claims.user_id, generation)
        return Token(
            token=signer.sign(claims),
            expires_at=claims.expires_at,
            tenant=slug,
            role=claims.role,
            refresh_token=seal_refresh(self._seal, refresh),
            refresh_until=until,
            device=device,
        )

    async def _failed(self, person: Person, attempt: Attempt, address: str) -> None:
        """Count it, and tell the owner, once an hour, that somebody tries passwords."""
        if not await self.throttle.failed(attempt) or person.user is None:
            return
        now = self._clock.now()
        async with self._database.user(person.user_id) as tx:
            await enqueue_mail(
                tx,
                self._seal,
                tenant_id=None,
                to=person.user["email"],
                template="account_locked",
                values={"address": address or "unknown", "until": write_time(now + WINDOW)},
                at=now,
                key=f"account_locked:{person.user_id}:{now:%Y%m%d%H}",
            )
