"""The look at every request: who is behind a token or an API key, and what they may do now."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from alphapulse.clock import Clock
from alphapulse.domain.lifecycle import ADMITS, TenantState
from alphapulse.domain.permissions import PERMISSIONS, Permission, Role
from alphapulse.domain.tenancy import Caller
from alphapulse.errors import NotFound
from alphapulse.ports.database import Database, Row, Transaction
from alphapulse.tenancy import key_store, session_store, store, support_store, tenants_store
from alphapulse.tenancy.keys import KeyText, parse_key
from alphapulse.tenancy.session_store import InForce
from alphapulse.tenancy.signing_keys import SigningKeys
from alphapulse.tenancy.tokens import Claims, key_of, unauthenticated

#: A revocation made elsewhere is seen after at most this long; the promise to users is 5 s.
RECHECK_S = 3.0
#: Verified credentials that are remembered; one takes about 1 kB.
_REMEMBERED = 10_000
_LONGEST_CREDENTIAL = 4096
NEVER = datetime.max.replace(tzinfo=UTC)
#: How old the note of a last use may be before it is written again.
_KEY_USED, _SESSION_SEEN = timedelta(minutes=1), timedelta(minutes=5)


@dataclass(slots=True)
class _Verified:
    caller: Caller
    checked: float


class Admission:
    """second_factor: whether a platform admin's log-in is confined until there is one."""

    def __init__(self, *, database: Database, clock: Clock, keys: SigningKeys, second_factor: bool = False) -> None:
        self._database = database
        self._clock = clock
        self._keys = keys
        self._second_factor = second_factor
        self._verified: OrderedDict[tuple[bytes, str], _Verified] = OrderedDict()

    def forget(self, *ids: UUID) -> None:
        """Look sessions, keys, users or tenants with these ids up again at their next request."""
        gone = set(ids)
        for entry in [entry for entry, known in self._verified.items() if not gone.isdisjoint(_ids(known.caller))]:
            del self._verified[entry]

    def forget_all(self) -> None:
        """Look everybody up again at their next request."""
        self._verified.clear()

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

    async def claims(self, token: str) -> Claims:
        """What a token of ours says, its session unasked. Raises Unauthenticated."""
        signer = await self._keys.ready(key_of(token))
        return signer.verify(token, self._clock.now())

    def bound(self, tenant_id: UUID | None, user_id: UUID) -> AbstractAsyncContextManager[Transaction]:
        """A transaction for the rows of a log-in: its tenant's, or the platform admin's own."""
        if tenant_id is None:
            return self._database.user(user_id)
        return self._database.transaction(tenant_id, user_id=user_id)

    async def _by_token(self, token: str, tenant: str) -> Caller:
        claims = await self.claims(token)
        now = self._clock.now()
        async with self.bound(claims.tenant_id, claims.user_id) as tx:
            session = await in_force(tx, claims.tenant_id, claims.session_id)
            if now - session.seen_at >= _SESSION_SEEN:
                await session_store.seen(tx, claims.session_id, now)
        confined = self._second_factor and claims.tenant_id is None and not session.confirmed
        return await self._in_tenant(
            Caller(
                actor=session.email,
                user_id=claims.user_id,
                session_id=claims.session_id,
                role=session.role,
                tenant_id=claims.tenant_id,
                expires_at=claims.expires_at,
                state=session.state,
                scopes=frozenset() if confined else None,
            ),
            tenant,
            session.slug,
        )

    async def _by_key(self, key: KeyText, tenant: str) -> Caller:
        async with self._database.shared() as tx:
            found = await key_store.find_key(tx, key.prefix)
        if found is None:
            raise unauthenticated("the API key is not valid")
        tenant_id, user_id, now = found["tenant_id"], found["user_id"], self._clock.now()
        async with self.bound(tenant_id, user_id) as tx:
            row = await key_store.get_key(tx, found["key_id"])
            if row is None or not key.matches(row["secret_hash"]) or row["revoked_at"] is not None:
                raise unauthenticated("the API key is not valid")
            if row["owner_role"] is None and not row["of_platform"]:
                # Made in the moment in which another replica still took its maker for a member, or the member left.
                raise unauthenticated("the API key is of somebody who left the tenant")
            expires_at = row["expires_at"] or NEVER
            if expires_at <= now:
                raise unauthenticated("the API key has expired")
            if row["last_used_at"] is None or now - row["last_used_at"] >= _KEY_USED:
                await key_store.used(tx, found["key_id"], now)
        caller = Caller(
            actor=f"key:{key.prefix}",
            user_id=user_id,
            session_id=found["key_id"],
            role=Role(row["role"]),
            tenant_id=tenant_id,
            expires_at=expires_at,
            state=None if row["state"] is None else _admitting(TenantState(row["state"])),
            scopes=_scopes(row),
        )
        return await self._in_tenant(caller, tenant, row["slug"])

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
        async with self._database.glance(tenant_id) as tx:
            named = await tenants_store.get_tenant(tx, tenant_id)
        if named is None:
            raise NotFound(f"no tenant {tenant[:60]!r}")
        async with self._database.glance(tenant_id) as tx:
            support = await support_store.in_force(tx, tenant_id, caller.user_id, self._clock.now())
        return replace(caller, tenant_id=tenant_id, state=named.state, support=None if support is None else support.id)


async def in_force(tx: Transaction, tenant_id: UUID | None, session_id: UUID) -> InForce:
    """The session, in a transaction of its log-in. Raises Unauthenticated when it has ended, or its tenant has."""
    if tenant_id is None:
        session = await session_store.of_platform_admin(tx, session_id)
    else:
        session = await session_store.of_member(tx, tenant_id, session_id)
    if session is None:
        raise unauthenticated("the session has ended")
    if session.state is not None:
        _admitting(session.state)
    return session


def _admitting(state: TenantState) -> TenantState:
    if state not in ADMITS:
        raise unauthenticated(f"the tenant is {state}")
    return state


def _scopes(row: Row) -> frozenset[Permission] | None:
    """What a key may: never more than the member who made it may by now."""
    scopes = None if row["scopes"] is None else frozenset(Permission(scope) for scope in row["scopes"])
    if row["owner_role"] is None or PERMISSIONS[Role(row["role"])] <= PERMISSIONS[Role(row["owner_role"])]:
        return scopes
    left = PERMISSIONS[Role(row["owner_role"])]
    return left if scopes is None else scopes & left


def _ids(caller: Caller) -> tuple[UUID | None, ...]:
    return caller.session_id, caller.user_id, caller.tenant_id
