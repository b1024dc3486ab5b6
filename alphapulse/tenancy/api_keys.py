"""API keys: made with a role and scopes, followed by a new one with an overlap, revoked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.permissions import PERMISSIONS, Permission, Role
from alphapulse.domain.tenancy import PLATFORM, PLATFORM_USER, ApiKey, Caller, parse_role
from alphapulse.domain.wire import write_time
from alphapulse.errors import Conflict, Forbidden, InvalidInput, NotFound
from alphapulse.ports.database import Database, Transaction
from alphapulse.tenancy import key_store, members_store, store
from alphapulse.tenancy.admission import NEVER
from alphapulse.tenancy.keys import new_key
from alphapulse.tenancy.service import parse_name

#: How long the old key stays good beside its successor, unless said otherwise; and at most.
OVERLAP, LONGEST_OVERLAP = timedelta(days=1), timedelta(days=30)
_SHOWN = ("name", "prefix", "role", "scopes", "expires_at", "replaces")


class ApiKeys:
    """Every call is one use case in one transaction. A key is the tenant's; of a platform admin who named no tenant,
    their own key of the platform.
    """

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list_keys(self, caller: Caller) -> list[ApiKey]:
        """Newest first, revoked ones too; never a secret."""
        async with self._keys_of(caller) as tx:
            return await key_store.list_keys(tx, caller.tenant_id)

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        role: str,
        scopes: Sequence[str] | None = None,
        expires_at: datetime | None = None,
    ) -> ApiKey:
        """The only answer that carries ``key``. scopes: permissions of the role; None for all of them.

        Raises InvalidInput for scopes that the role does not grant, Forbidden for more than ``caller`` may.
        """
        now = self._clock.now()
        granted = _role(caller, role)
        if expires_at is not None and expires_at <= now:
            raise InvalidInput("expires_at lies in the past", field="expires_at", fix="Name a time to come.")
        wanted = None if scopes is None else parse_scopes(scopes, granted)
        _insist_no_wider(caller, granted, wanted)
        _insist_no_longer(caller, expires_at)
        text = new_key()
        key = ApiKey(
            id=uuid4(),
            tenant_id=caller.tenant_id,
            name=parse_name(name),
            prefix=text.prefix,
            role=granted,
            created_at=now,
            expires_at=expires_at,
            scopes=wanted,
        )
        async with self._keys_of(caller) as tx:
            await key_store.insert_key(tx, key, caller.user_id, text.hash())
            await self._record(tx, caller, "key.created", None, key)
        return replace(key, key=str(text))

    async def rotate(self, caller: Caller, key_id: UUID, *, overlap: timedelta = OVERLAP) -> ApiKey:
        """A key like it with another secret; the old one stays good for ``overlap``. The only answer with ``key``.

        Raises NotFound, Conflict for a key that has ended, Forbidden when it may more than ``caller``.
        """
        if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
            raise InvalidInput(
                f"overlap_s: not from 0 to {LONGEST_OVERLAP.days} days",
                field="overlap_s",
                fix=f"Use 0 to {LONGEST_OVERLAP // timedelta(seconds=1)}.",
            )
        now = self._clock.now()
        text = new_key()
        async with self._keys_of(caller) as tx:
            old = await key_store.lock_key(tx, caller.tenant_id, key_id)
            if old is None:
                raise _unknown(key_id)
            if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
                raise Conflict(f"API key {old.prefix} has ended", fix="Make a new one: alphapulse keys create NAME")
            _insist_no_wider(caller, old.role, old.scopes)
            made = replace(old, id=uuid4(), prefix=text.prefix, created_at=now, last_used_at=None, replaces=old.id)
            await key_store.insert_key(tx, made, caller.user_id, text.hash())
            await key_store.end_at(tx, old.id, now + overlap)
            await self._record(tx, caller, "key.rotated", old, made)
        return replace(made, key=str(text))

    async def revoke(self, caller: Caller, key_id: UUID) -> None:
        """Raises NotFound. Revoking again changes nothing."""
        now = self._clock.now()
        async with self._keys_of(caller) as tx:
            key = await key_store.lock_key(tx, caller.tenant_id, key_id)
            if key is None:
                raise _unknown(key_id)
            if key.revoked_at is None:
                await key_store.revoke_key(tx, key_id, now)
                await self._record(tx, caller, "key.revoked", key, None)

    async def create_platform_key(self, name: str = "first start") -> str:
        """A platform admin's key for this machine's context file, as text. The key can be revoked like any other."""
        async with self._database.shared() as tx:
            user_id, _ = await store.find(tx, email=PLATFORM_USER)
        at = self._clock.now()
        text = new_key()
        owner = user_id or uuid4()
        key = ApiKey(uuid4(), None, name, text.prefix, Role.PLATFORM_ADMIN, at)
        async with self._database.user(owner) as tx:
            if user_id is None:
                await members_store.insert_user(tx, owner, PLATFORM_USER, None, platform_admin=True, at=at)
            await key_store.insert_key(tx, key, owner, text.hash())
        return str(text)

    def _keys_of(self, caller: Caller) -> AbstractAsyncContextManager[Transaction]:
        if caller.tenant_id is None:
            return self._database.user(caller.user_id)
        return self._database.transaction(caller.tenant_id, user_id=caller.user_id)

    async def _record(
        self, tx: Transaction, caller: Caller, action: str, before: ApiKey | None, after: ApiKey | None
    ) -> None:
        subject = after or before
        await record_change(
            tx,
            actor=caller.actor,
            action=action,
            subject="" if subject is None else str(subject.id),
            before=None if before is None else _recorded(before),
            after=None if after is None else _recorded(after),
            at=self._clock.now(),
            tenant_id=caller.tenant_id or PLATFORM,
        )


def parse_scopes(names: Sequence[str], role: Role) -> tuple[Permission, ...]:
    """Permissions of ``role`` by name, each once. Raises InvalidInput."""
    known = {permission.value: permission for permission in PERMISSIONS[role]}
    wrong = next((name for name in names if name not in known), None)
    if wrong is not None or not names:
        raise InvalidInput(
            f"scopes: {wrong[:60]!r} is no permission of role {role}" if wrong is not None else "scopes: none is named",
            field="scopes",
            fix=f"Use some of {', '.join(sorted(known))}; or leave scopes out for all of them.",
        )
    return tuple(known[name] for name in sorted(set(names)))


def _role(caller: Caller, role: str) -> Role:
    if caller.tenant_id is not None:
        return parse_role(role)
    if role != Role.PLATFORM_ADMIN.value:
        raise InvalidInput(
            "role: a key of the platform has role platform_admin",
            field="role",
            fix="Name a tenant with --tenant SLUG for a key of that tenant.",
        )
    return Role.PLATFORM_ADMIN


def _insist_no_wider(caller: Caller, role: Role, scopes: Sequence[Permission] | None) -> None:
    """Nobody makes a key that may more than they may themselves. Raises Forbidden."""
    wanted = PERMISSIONS[role] if scopes is None else frozenset(scopes)
    own = PERMISSIONS[caller.role] if caller.scopes is None else PERMISSIONS[caller.role] & caller.scopes
    if not wanted <= own:
        raise Forbidden(
            f"the key would hold more than its maker does: {', '.join(sorted(wanted - own))}",
            fix="Leave these out with --scope, or ask a tenant admin.",
        )


def _insist_no_longer(caller: Caller, expires_at: datetime | None) -> None:
    """A key makes no key that outlives it: its end was somebody's decision. Raises Forbidden."""
    if caller.actor.startswith("key:") and (expires_at or NEVER) > caller.expires_at:
        raise Forbidden(
            f"the key would outlive the one that makes it, which ends at {write_time(caller.expires_at)}",
            fix="Give it an end no later than that, or log in to make it.",
        )


def _recorded(key: ApiKey) -> dict[str, Any]:
    fields = asdict(key)
    return {name: fields[name] for name in _SHOWN}


def _unknown(key_id: UUID) -> NotFound:
    return NotFound(f"no API key {key_id}", fix="See `alphapulse keys list`.")
