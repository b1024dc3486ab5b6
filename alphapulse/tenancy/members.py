"""The members of a tenant: roles, removal, handing the tenant over."""

from __future__ import annotations

from uuid import UUID

from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.events import EventKind
from alphapulse.domain.permissions import PERMISSIONS
from alphapulse.domain.tenancy import Member, Role, parse_email, parse_role
from alphapulse.errors import Conflict, Forbidden, InvalidInput, NotFound
from alphapulse.ports.database import Database, Transaction
from alphapulse.tenancy import members_store
from alphapulse.tenancy.people import tell


class Members:
    """Every call is one use case in one transaction. A tenant never loses its last admin."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list_members(self, tenant_id: UUID) -> list[Member]:
        """By e-mail."""
        async with self._database.glance(tenant_id) as tx:
            return await members_store.list_members(tx, tenant_id)

    async def change_role(self, tenant_id: UUID, email: str, role: str, *, actor: str) -> Member:
        """In force at the member's next request; their keys that may more than the new role are revoked.

        Raises NotFound, and Conflict for the tenant's last admin.
        """
        email, wanted = parse_email(email), parse_role(role)
        async with self._database.transaction(tenant_id) as tx:
            roles = await members_store.lock_members(tx, tenant_id)
            member = await _member(tx, tenant_id, email)
            if member.role is wanted:
                return member
            _insist_admin_stays(roles, member)
            return await self._with_role(tx, member, wanted, actor)

    async def transfer(self, tenant_id: UUID, to: str, role: str, *, owner: UUID, actor: str) -> Member:
        """Makes ``to`` the tenant's admin and ``owner``, who is one, a member with ``role``; the new admin.

        Raises Forbidden when ``owner`` is no admin of the tenant, NotFound when ``to`` is no member of it.
        """
        to, left = parse_email(to, "to"), parse_role(role)
        if left is Role.TENANT_ADMIN:
            raise InvalidInput(
                "role: who hands the tenant over is no admin afterwards",
                field="role",
                fix=f"Use trader or viewer; to have two admins: alphapulse members role {to} tenant_admin",
            )
        async with self._database.transaction(tenant_id) as tx:
            roles = await members_store.lock_members(tx, tenant_id)
            if roles.get(owner) is not Role.TENANT_ADMIN:
                raise Forbidden(
                    "only an admin of the tenant hands it over",
                    fix="Log in as one; others are made admin by: alphapulse members role EMAIL tenant_admin",
                )
            heir = await _member(tx, tenant_id, to)
            if heir.user_id == owner:
                raise InvalidInput("to: the tenant is yours already", field="to", fix="Name another member.")
            known = {member.user_id: member for member in await members_store.list_members(tx, tenant_id)}
            if heir.role is not Role.TENANT_ADMIN:
                heir = await self._with_role(tx, heir, Role.TENANT_ADMIN, actor)
            await self._with_role(tx, known[owner], left, actor)
            return heir

    async def remove(self, tenant_id: UUID, email: str, *, actor: str) -> Member:
        """Ends the member's sessions and keys too. Raises NotFound, and Conflict for the tenant's last admin."""
        email = parse_email(email)
        async with self._database.transaction(tenant_id) as tx:
            roles = await members_store.lock_members(tx, tenant_id)
            member = await _member(tx, tenant_id, email)
            _insist_admin_stays(roles, member)
            now = self._clock.now()
            await members_store.delete_member(tx, tenant_id, member.user_id, now)
            await tell(tx, EventKind.MEMBER_REMOVED, member, actor, now)
            before = {"role": member.role}
            await record_change(
                tx, actor=actor, action="member.remove", subject=email, before=before, after=None, at=now
            )
        return member

    async def _with_role(self, tx: Transaction, member: Member, role: Role, actor: str) -> Member:
        now = self._clock.now()
        changed = Member(member.user_id, member.tenant_id, member.email, role, member.created_at)
        await members_store.update_role(tx, member.tenant_id, member.user_id, role)
        within = frozenset(other for other in Role if PERMISSIONS[other] <= PERMISSIONS[role])
        await members_store.revoke_keys_above(tx, member.tenant_id, member.user_id, within, now)
        await tell(tx, EventKind.MEMBER_CHANGED, changed, actor, now)
        await record_change(
            tx,
            actor=actor,
            action="member.role",
            subject=member.email,
            before={"role": member.role},
            after={"role": role},
            at=now,
        )
        return changed


async def _member(tx: Transaction, tenant_id: UUID, email: str) -> Member:
    found = {member.email: member for member in await members_store.list_members(tx, tenant_id)}
    if email not in found:
        raise NotFound(f"{email} is not a member", fix="See: alphapulse members list")
    return found[email]


def _insist_admin_stays(roles: dict[UUID, Role], member: Member) -> None:
    if [user_id for user_id, role in roles.items() if role is Role.TENANT_ADMIN] == [member.user_id]:
        raise Conflict(
            f"{member.email} is the tenant's last admin",
            fix="Make another member tenant_admin first, or hand over: alphapulse members transfer EMAIL",
        )
