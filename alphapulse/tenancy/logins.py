"""Who is asking: log-in with a password, tokens, API keys, and the look at every request."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from uuid import UUID, uuid4

from alphapulse.clock import Clock
from alphapulse.domain.tenancy import Caller, Role, Token, parse_email
from alphapulse.errors import Conflict, InvalidInput, NotFound
from alphapulse.ports.database import Database, Row, Transaction
from alphapulse.tenancy import store
from alphapulse.tenancy.keys import KeyText, parse_key
from alphapulse.tenancy.passwords import Passwords, parse_password
from alphapulse.tenancy.tokens import Claims, Signer, unauthenticated

#: A revocation made elsewhere is seen after at most this long; the promise to users is 5 s.
RECHECK_S = 3.0
#: Verified credentials that are remembered; one takes about 1 kB.
_REMEMBERED = 10_000
_LONGEST_CREDENTIAL = 4096
NEVER = datetime.max.replace(tzinfo=UTC)
#: Tenants tried for a log-in that names none.
_MOST_DOORS = 8
_WRONG = "e-mail or password is wrong"


@dataclass(slots=True)
class _Verified:
    caller: Caller
    checked: float


class Logins:
    """token_lifetime: how long one token is good. session_lifetime: how long after the log-in it can be renewed."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        signer: Signer,
        passwords: Passwords,
        token_lifetime: timedelta = timedelta(hours=1),
        session_lifetime: timedelta = timedelta(days=7),
    ) -> None:
        self._database = database
        self._clock = clock
        self._signer = signer
        self._passwords = passwords
        self._token_lifetime = token_lifetime
        self._session_lifetime = session_lifetime
        self._verified: OrderedDict[tuple[bytes, str], _Verified] = OrderedDict()

    async def login(self, email: str, password: str, tenant: str | None = None) -> Token:
        """Raises Unauthenticated in the same words for an unknown user, a wrong password and a tenant of others.

        tenant: slug. Without one, the tenant whose password it is, and for a platform admin the platform; raises
        InvalidInput when the same password opens several.
        """
        try:
            address = parse_email(email)
        except InvalidInput:
            address = ""
        async with self._database.shared() as tx:
            found, _ = await store.find(tx, email=address)
        user_id = found or uuid4()
        async with self._database.user(user_id) as tx:
            user = await store.get_user(tx, user_id)
            memberships = await store.memberships_of(tx, user_id)
        doors = _doors(user, memberships, tenant)
        # Somebody unknown is compared with nobody, which takes as long.
        stored = [door.password_hash for door in doors] or [None]
        opened = [door for door, one in zip_longest(doors, stored) if await self._passwords.matches(one, password)]
        if not opened:
            raise unauthenticated(_WRONG)
        if len(opened) > 1:
            slugs = ", ".join(door.slug or "" for door in opened)
            raise InvalidInput("you belong to several tenants", field="tenant", fix=f"Name one of {slugs}.")
        tenant_id, slug, role = opened[0].tenant_id, opened[0].slug, opened[0].role
        now = self._clock.now()
        claims = Claims(user_id, uuid4(), tenant_id, role, now, now + self._token_lifetime)
        async with self._bound(claims) as tx:
            await store.insert_session(
                tx,
                {
                    "id": claims.session_id,
                    "tenant_id": tenant_id,
                    "user_id": user_id,
                    "created_at": now,
                    "expires_at": claims.expires_at,
                },
            )
        return Token(self._signer.sign(claims), claims.expires_at, slug, role)

    async def renew(self, credential: str) -> Token:
        """A new token of the same session, with the role as it is now. The old one stays good until it expires."""
        if parse_key(credential) is not None:
            raise InvalidInput("an API key needs no renewal")
        now = self._clock.now()
        claims = self._signer.verify(credential, now)
        async with self._bound(claims) as tx:
            session = await self._session(tx, claims)
            latest = session["created_at"] + self._session_lifetime
            if latest <= now:
                raise unauthenticated("the session is too old to be renewed")
            claims = replace(
                claims,
                role=Role(session["role"]),
                issued_at=now,
                expires_at=min(now + self._token_lifetime, latest),
            )
            await store.extend_session(tx, claims.session_id, claims.expires_at)
        return Token(self._signer.sign(claims), claims.expires_at, session["slug"], claims.role)

    async def logout(self, credential: str) -> None:
        """Ends the session of a token, with every token of it. An API key is revoked by its own route."""
        if parse_key(credential) is not None:
            raise InvalidInput("an API key has no session to end", fix="Revoke it with `alphapulse keys revoke ID`.")
        claims = self._signer.verify(credential, self._clock.now())
        async with self._bound(claims) as tx:
            await store.revoke_session(tx, claims.session_id, self._clock.now())
        self.forget(claims.session_id)

    async def change_password(self, credential: str, current: str, new: str) -> None:
        """The own password in the token's tenant; every other session of theirs there ends.

        Raises InvalidInput for an API key, a wrong current password, or a new one that is too short or the same.
        """
        if parse_key(credential) is not None:
            raise InvalidInput("an API key has no password", fix="Log in with `alphapulse login` to change yours.")
        claims = self._signer.verify(credential, self._clock.now())
        if parse_password(new, "new") == current:
            raise InvalidInput("new: the same as the current password", field="new", fix="Choose another one.")
        async with self._bound(claims) as tx:
            stored = await store.password_hash(tx, claims.tenant_id, claims.user_id)
        if not await self._passwords.matches(stored, current):
            raise InvalidInput("current: not your password", field="current", fix="Type the password you log in with.")
        hashed = await self._passwords.hash(new)
        async with self._bound(claims) as tx:
            if not await store.replace_password(tx, claims.tenant_id, claims.user_id, stored, hashed):
                raise Conflict("the password was changed by another request just now", fix="Log in again.")
            ended = await store.revoke_other_sessions(tx, claims.user_id, claims.session_id, self._clock.now())
        self.forget(*ended)

    def forget(self, *ids: UUID) -> None:
        """Look the sessions or keys up again at their next use; called after a revocation made in this process."""
        gone = set(ids)
        for entry in [entry for entry, known in self._verified.items() if known.caller.session_id in gone]:
            del self._verified[entry]

    async def authenticate(self, credential: str, tenant: str = "") -> Caller:
        """The caller behind a token or API key, without their ``Bearer``.

        tenant: slug a platform admin acts in; others may name their own. Raises Unauthenticated, NotFound for a
        tenant that is unknown or not the caller's. The database is asked at most once in RECHECK_S per credential.
        """
        if not credential or len(credential) > _LONGEST_CREDENTIAL:
            raise unauthenticated("no credential" if not credential else "the credential is too long")
        entry = (hashlib.sha256(credential.encode("utf-8", "replace")).digest(), tenant)
        known = self._verified.get(entry)
        if known is not None and time.monotonic() - known.checked < RECHECK_S:
            if known.caller.expires_at <= self._clock.now():
                raise unauthenticated("the token has expired")
            return known.caller
        self._verified.pop(entry, None)
        started = time.monotonic()
        key = parse_key(credential)
        caller = await (self._by_token(credential, tenant) if key is None else self._by_key(key, tenant))
        self._verified[entry] = _Verified(caller, started)
        while len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)
        return caller

    async def _by_token(self, token: str, tenant: str) -> Caller:
        claims = self._signer.verify(token, self._clock.now())
        async with self._bound(claims) as tx:
            session = await self._session(tx, claims)
        return await self._in_tenant(
            Caller(
                actor=session["email"],
                user_id=claims.user_id,
                session_id=claims.session_id,
                role=Role(session["role"]),
                tenant_id=claims.tenant_id,
                expires_at=claims.expires_at,
            ),
            tenant,
            session["slug"],
        )

    async def _by_key(self, key: KeyText, tenant: str) -> Caller:
        async with self._database.shared() as tx:
            found = await store.find_key(tx, key.prefix)
        if found is None:
            raise unauthenticated("the API key is not valid")
        tenant_id, user_id = found["tenant_id"], found["user_id"]
        slug = None
        bound = self._database.user(user_id) if tenant_id is None else self._database.transaction(tenant_id)
        async with bound as tx:
            row = await store.get_key(tx, found["key_id"])
            if tenant_id is not None:
                of_key = await store.get_tenant(tx, tenant_id)
                slug = None if of_key is None else of_key.slug
        if row is None or not key.matches(row["secret_hash"]) or row["revoked_at"] is not None:
            raise unauthenticated("the API key is not valid")
        expires_at = row["expires_at"] or NEVER
        if expires_at <= self._clock.now():
            raise unauthenticated("the API key has expired")
        caller = Caller(f"key:{key.prefix}", user_id, found["key_id"], Role(row["role"]), tenant_id, expires_at)
        return await self._in_tenant(caller, tenant, slug)

    async def _in_tenant(self, caller: Caller, tenant: str, own: str | None) -> Caller:
        """The caller, acting where the X-Tenant header says. own: slug of the caller's tenant."""
        if not tenant or tenant == own:
            return caller
        tenant_id = None
        if caller.tenant_id is None:
            async with self._database.shared() as tx:
                _, tenant_id = await store.find(tx, slug=tenant)
        if tenant_id is None:
            raise NotFound(f"no tenant {tenant[:60]!r}")
        return replace(caller, tenant_id=tenant_id)

    def _bound(self, claims: Claims) -> AbstractAsyncContextManager[Transaction]:
        if claims.tenant_id is None:
            return self._database.user(claims.user_id)
        return self._database.transaction(claims.tenant_id)

    async def _session(self, tx: Transaction, claims: Claims) -> Row:
        if claims.tenant_id is None:
            row = await store.platform_session(tx, claims.session_id)
            row = None if row is None else {**row, "role": Role.PLATFORM_ADMIN.value, "slug": None}
        else:
            row = await store.member_session(tx, claims.tenant_id, claims.session_id)
        if row is None:
            raise unauthenticated("the session has ended")
        return row


@dataclass(frozen=True, slots=True)
class _Door:
    """What one password may open. tenant_id and slug None: the platform."""

    tenant_id: UUID | None
    slug: str | None
    role: Role
    password_hash: str | None


def _doors(user: Row | None, memberships: list[Row], tenant: str | None) -> list[_Door]:
    """What the log-in may be for, at most _MOST_DOORS, for each costs a comparison."""
    platform = user is not None and user["is_platform_admin"] and tenant is None
    doors = [_Door(None, None, Role.PLATFORM_ADMIN, user["password_hash"])] if user and platform else []
    doors += [
        _Door(row["tenant_id"], row["slug"], Role(row["role"]), row["password_hash"])
        for row in memberships
        if tenant in {None, row["slug"]}
    ]
    return doors[:_MOST_DOORS]
