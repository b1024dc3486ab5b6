"""Tenants, their members, and API keys."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from uuid import UUID, uuid4

from alphapulse.clock import Clock
from alphapulse.domain.events import EventKind
from alphapulse.domain.tenancy import (
    ApiKey,
    Caller,
    Member,
    Role,
    Tenant,
    TenantState,
    parse_email,
    parse_role,
    parse_slug,
)
from alphapulse.errors import AlreadyExists, Conflict, InputNeeded, InvalidInput, NotFound
from alphapulse.events import store as events
from alphapulse.ports.database import Database, Transaction
from alphapulse.tenancy import store
from alphapulse.tenancy.keys import KeyText, new_key
from alphapulse.tenancy.passwords import SHORTEST, Passwords, parse_password

#: The user who holds the keys that the platform makes for itself at its first start.
PLATFORM_USER = "platform@localhost"
_LONGEST_NAME = 100


class Tenancy:
    """Every call is one use case in one transaction."""

    def __init__(self, *, database: Database, clock: Clock, passwords: Passwords) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords

    # -- tenants -----------------------------------------------------------------------------------------------------

    async def create_tenant(
        self, *, slug: str, name: str, tier: str, admin_email: str, admin_password: str | None, actor: str
    ) -> Tenant:
        """A tenant and its first admin. Raises AlreadyExists when the slug is taken.

        admin_password: opens this tenant to the admin, and no other. Raises InputNeeded when it lacks.
        """
        slug, email = parse_slug(slug), _parse_person(admin_email, "admin_email")
        name, tier = parse_name(name), parse_slug(tier, "tier")
        hashed = await self._hashed(admin_password, "admin_password", email)
        async with self._database.shared() as tx:
            user_id, taken = await store.find(tx, email=email, slug=slug)
        if taken is not None:
            raise _tenant_exists(slug)
        at = self._clock.now()
        tenant = Tenant(uuid4(), slug, name, tier, TenantState.ACTIVE, at)
        member = Member(user_id or uuid4(), tenant.id, email, Role.TENANT_ADMIN, at)
        async with self._database.transaction(tenant.id, user_id=member.user_id) as tx:
            try:
                await store.insert_tenant(tx, tenant)
            except AlreadyExists:  # another request was faster than our look-up
                raise _tenant_exists(slug) from None
            await _add(tx, member, hashed, actor, new_user=user_id is None)
        return tenant

    async def list_tenants(self) -> list[Tenant]:
        """All tenants of the platform, by slug."""
        async with self._database.platform() as tx:
            return await store.list_tenants(tx)

    async def get_tenant(self, slug: str) -> Tenant:
        """Raises NotFound."""
        async with self._database.shared() as tx:
            _, tenant_id = await store.find(tx, slug=slug)
        if tenant_id is None:
            raise NotFound(f"no tenant {slug[:60]!r}")
        return await self.tenant(tenant_id)

    async def tenant(self, tenant_id: UUID) -> Tenant:
        """Raises NotFound."""
        async with self._database.glance(tenant_id) as tx:
            found = await store.get_tenant(tx, tenant_id)
        if found is None:
            raise NotFound(f"no tenant {tenant_id}")
        return found

    # -- members -----------------------------------------------------------------------------------------------------

    async def list_members(self, tenant_id: UUID) -> list[Member]:
        """By e-mail."""
        async with self._database.glance(tenant_id) as tx:
            return await store.list_members(tx, tenant_id)

    async def add_member(self, tenant_id: UUID, email: str, role: str, password: str | None, *, actor: str) -> Member:
        """password: opens this tenant to the member, and no other, so it says nothing about whether the address is
        known to other tenants. Raises InputNeeded when it lacks, AlreadyExists for a member.
        """
        email, parsed = _parse_person(email, "email"), parse_role(role)
        hashed = await self._hashed(password, "password", email)
        async with self._database.shared() as tx:
            user_id, _ = await store.find(tx, email=email)
        member = Member(user_id or uuid4(), tenant_id, email, parsed, self._clock.now())
        async with self._database.transaction(tenant_id, user_id=member.user_id) as tx:
            if member.user_id in await store.lock_members(tx, tenant_id):
                raise AlreadyExists(f"{email} is a member", fix="Remove the member first to change the role.")
            await _add(tx, member, hashed, actor, new_user=user_id is None)
        return member

    async def remove_member(self, tenant_id: UUID, email: str, *, actor: str) -> Member:
        """Ends the member's sessions and keys too. Raises NotFound, and Conflict for the tenant's last admin."""
        email = parse_email(email)
        async with self._database.transaction(tenant_id) as tx:
            roles = await store.lock_members(tx, tenant_id)
            members = {member.email: member for member in await store.list_members(tx, tenant_id)}
            member = members.get(email)
            if member is None:
                raise NotFound(f"{email} is not a member")
            admins = [user_id for user_id, role in roles.items() if role is Role.TENANT_ADMIN]
            if admins == [member.user_id]:
                raise Conflict(
                    f"{email} is the tenant's last admin", fix="Add another tenant_admin first, then remove this one."
                )
            await store.delete_member(tx, tenant_id, member.user_id, self._clock.now())
            await _tell(tx, EventKind.MEMBER_REMOVED, member, actor, self._clock.now())
        return member

    # -- API keys ----------------------------------------------------------------------------------------------------

    async def list_keys(self, caller: Caller) -> list[ApiKey]:
        """The tenant's keys; of a platform admin who named no tenant, their own keys of the platform."""
        async with self._keys_of(caller) as tx:
            return await store.list_keys(tx, caller.tenant_id)

    async def create_key(self, caller: Caller, *, name: str, role: str, expires_at: datetime | None = None) -> ApiKey:
        """The only answer that carries ``key``. A platform admin who named no tenant makes a key of the platform."""
        now = self._clock.now()
        if caller.tenant_id is None:
            if role != Role.PLATFORM_ADMIN.value:
                raise InvalidInput(
                    "role: a key of the platform has role platform_admin",
                    field="role",
                    fix="Name a tenant with --tenant SLUG for a key of that tenant.",
                )
            granted = Role.PLATFORM_ADMIN
        else:
            granted = parse_role(role)
        if expires_at is not None and expires_at <= now:
            raise InvalidInput("expires_at lies in the past", field="expires_at")
        text = new_key()
        key = ApiKey(
            uuid4(), caller.tenant_id, parse_name(name), text.prefix, granted, now, expires_at, None, str(text)
        )
        async with self._keys_of(caller) as tx:
            await store.insert_key(tx, key, caller.user_id, text.hash())
        return key

    async def revoke_key(self, caller: Caller, key_id: UUID) -> None:
        """Raises NotFound. Revoking again changes nothing."""
        async with self._keys_of(caller) as tx:
            if not await store.revoke_key(tx, caller.tenant_id, key_id, self._clock.now()):
                raise NotFound(f"no API key {key_id}")

    async def create_platform_key(self, name: str = "first start") -> str:
        """A platform admin's key for this machine's context file, as text. The key can be revoked like any other."""
        async with self._database.shared() as tx:
            user_id, _ = await store.find(tx, email=PLATFORM_USER)
        at = self._clock.now()
        text = new_key()
        owner = user_id or uuid4()
        async with self._database.user(owner) as tx:
            if user_id is None:
                await store.insert_user(tx, owner, PLATFORM_USER, None, platform_admin=True, at=at)
            await store.insert_key(tx, _platform_key(text, name, at), owner, text.hash())
        return str(text)

    # ----------------------------------------------------------------------------------------------------------------

    def _keys_of(self, caller: Caller) -> AbstractAsyncContextManager[Transaction]:
        if caller.tenant_id is None:
            return self._database.user(caller.user_id)
        return self._database.transaction(caller.tenant_id, user_id=caller.user_id)

    async def _hashed(self, password: str | None, field: str, email: str) -> str:
        if password is None:
            raise InputNeeded(
                f"{email} needs a first password for this tenant",
                fix=f"Send one in `{field}`, of at least {SHORTEST} characters; or add --password-stdin.",
            )
        return await self._passwords.hash(parse_password(password, field))


def parse_name(text: str, field: str = "name") -> str:
    """A name for people: 1 to 100 printable characters."""
    name = text.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"{field}: must be 1 to {_LONGEST_NAME} printable characters", field=field)
    return name


def _parse_person(text: str, field: str) -> str:
    """An address that may become a member's."""
    email = parse_email(text, field)
    if email == PLATFORM_USER:
        raise InvalidInput(f"{field}: {email} is the platform's own", field=field, fix="Name a person's address.")
    return email


def _platform_key(text: KeyText, name: str, at: datetime) -> ApiKey:
    return ApiKey(uuid4(), None, name, text.prefix, Role.PLATFORM_ADMIN, at)


def _tenant_exists(slug: str) -> AlreadyExists:
    return AlreadyExists(f"tenant {slug} exists already", fix="Choose another slug.")


async def _add(tx: Transaction, member: Member, hashed: str, actor: str, *, new_user: bool) -> None:
    try:
        if new_user:
            at = member.created_at
            await store.insert_user(tx, member.user_id, member.email, None, platform_admin=False, at=at)
        await store.insert_member(tx, member, hashed)
    except AlreadyExists:  # another request was faster than our look-up
        raise AlreadyExists(f"{member.email} was just added", fix="See `alphapulse members list`.") from None
    await _tell(tx, EventKind.MEMBER_ADDED, member, actor, member.created_at)


async def _tell(tx: Transaction, kind: EventKind, member: Member, actor: str, at: datetime) -> None:
    payload = {"email": member.email, "role": member.role.value, "actor": actor}
    await events.append(tx, kind, str(member.user_id), at, at, payload)
