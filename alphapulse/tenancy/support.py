"""Support: the platform only reads a tenant; to change anything there it opens a session that the tenant sees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid4

from alphapulse.alerts.outbox import enqueue_mail
from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.events import EventKind
from alphapulse.domain.mail import MailTemplate
from alphapulse.domain.support import SupportSession, parse_minutes, parse_ticket
from alphapulse.domain.tenancy import PLATFORM, Caller, Role, Tenant
from alphapulse.domain.wire import write_time
from alphapulse.errors import Conflict, Forbidden, NotFound
from alphapulse.events import store as events
from alphapulse.ports.database import Database, Transaction
from alphapulse.sealing import Seal
from alphapulse.tenancy import members_store, support_store, tenants_store
from alphapulse.tenancy.lifecycle import parse_reason


class Support:
    """forget: makes log-ins look a user up again, so that a session holds from the next request on."""

    def __init__(self, *, database: Database, clock: Clock, seal: Seal, forget: Callable[[UUID], None]) -> None:
        self._database = database
        self._clock = clock
        self._seal = seal
        self._forget = forget

    async def open(self, caller: Caller, tenant_id: UUID, *, reason: str, ticket: str, minutes: int) -> SupportSession:
        """Audited in the tenant's chain and in the platform's, told in its stream, mailed to its admins.

        Raises Forbidden for anybody but a platform admin, Conflict while one of theirs is open there.
        """
        if caller.role is not Role.PLATFORM_ADMIN:
            raise Forbidden("only a platform admin gives support", fix="See `alphapulse audit list --support`.")
        length, at = parse_minutes(minutes), self._clock.now()
        session = SupportSession(
            id=uuid4(),
            tenant_id=tenant_id,
            user_id=caller.user_id,
            actor=caller.actor,
            reason=parse_reason(reason),
            ticket=parse_ticket(ticket),
            opened_at=at,
            expires_at=at + length,
        )
        async with self._database.transaction(tenant_id) as tx:
            tenant = await _tenant(tx, tenant_id)
            open_one = await support_store.in_force(tx, tenant_id, caller.user_id, at)
            if open_one is not None:
                raise Conflict(
                    f"support of {tenant.slug} is open until {write_time(open_one.expires_at)}",
                    fix=f"Use it, or end it with `alphapulse support close {tenant.slug}`.",
                )
            await support_store.insert(tx, session)
            await self._mail_admins(tx, tenant, session)
            await _tell(tx, EventKind.SUPPORT_OPENED, session, at)
            await _audit(tx, tenant, "support.open", session, at)
        self._forget(caller.user_id)
        return session

    async def close(self, caller: Caller, tenant_id: UUID) -> list[SupportSession]:
        """The caller's own. Raises NotFound when none is open."""
        at = self._clock.now()
        async with self._database.transaction(tenant_id) as tx:
            tenant = await _tenant(tx, tenant_id)
            closed = await support_store.close(tx, tenant_id, caller.user_id, at)
            if not closed:
                raise NotFound(f"no support session of yours is open in {tenant.slug}")
            for session in closed:
                await _tell(tx, EventKind.SUPPORT_CLOSED, session, at)
            for session in closed:
                await _audit(tx, tenant, "support.close", session, at)
        self._forget(caller.user_id)
        return closed

    async def sessions(self, tenant_id: UUID) -> list[SupportSession]:
        """The tenant's, newest first, ended ones too."""
        async with self._database.glance(tenant_id) as tx:
            return await support_store.newest(tx, tenant_id)

    async def _mail_admins(self, tx: Transaction, tenant: Tenant, session: SupportSession) -> None:
        said = {
            "tenant": tenant.name,
            "actor": session.actor,
            "reason": session.reason,
            "ticket": session.ticket,
            "until": write_time(session.expires_at),
        }
        for member in await members_store.list_members(tx, tenant.id):
            if member.role is Role.TENANT_ADMIN:
                await enqueue_mail(
                    tx,
                    self._seal,
                    tenant_id=tenant.id,
                    to=member.email,
                    template=MailTemplate.SUPPORT_OPENED,
                    values=said,
                    at=session.opened_at,
                    key=f"support:{session.id}:{member.user_id}",
                )


async def _tenant(tx: Transaction, tenant_id: UUID) -> Tenant:
    found = await tenants_store.get_tenant(tx, tenant_id)
    if found is None:
        raise NotFound(f"no tenant {tenant_id}")
    return found


async def _tell(tx: Transaction, kind: EventKind, session: SupportSession, at: datetime) -> None:
    payload = {"actor": session.actor, "ticket": session.ticket, "until": write_time(session.expires_at)}
    await events.append(tx, kind, str(session.id), at, at, payload)


async def _audit(tx: Transaction, tenant: Tenant, action: str, session: SupportSession, at: datetime) -> None:
    """On both sides. The platform's chain first: chains are locked in the order of their ids, everywhere."""
    opened = session if action == "support.open" else None
    shown = {"ticket": session.ticket, "expires_at": session.expires_at}
    for chain in (PLATFORM, tenant.id):
        await record_change(
            tx,
            actor=session.actor,
            action=action,
            subject=tenant.slug,
            before=None if opened else shown,
            after=shown if opened else None,
            at=at,
            reason=session.reason,
            tenant_id=chain,
        )
