"""What is done to a tenant after it is provisioned: moves of its state, change of tier, overrides of its limits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from alphapulse.alerts.outbox import enqueue_mail
from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.events import EventKind
from alphapulse.domain.lifecycle import CLOSING, KEPT, Move, TenantState, moved
from alphapulse.domain.mail import MailTemplate
from alphapulse.domain.plans import Override, parse_limit, parse_tier
from alphapulse.domain.tenancy import Tenant
from alphapulse.domain.wire import write_time
from alphapulse.errors import Conflict, InvalidInput, NotFound, TryAgain
from alphapulse.events import store as events
from alphapulse.ports.billing import Billing
from alphapulse.ports.cache import Cache
from alphapulse.ports.database import Database, Transaction
from alphapulse.sealing import Seal
from alphapulse.tenancy import plans_store, tenants_store
from alphapulse.tenancy.plans import Plans
from alphapulse.tenancy.tenants_store import TenantStanding

_LONGEST_REASON = 500
#: Positions that are named one by one when they must be acknowledged.
_MOST_NAMED = 10
_LARGEST_LIMIT = 2**53

_log = logging.getLogger(__name__)


class Lifecycle:
    """Every call is one use case in one transaction, audited with its reason.

    forget: makes log-ins look the members of a tenant up again, so that a move holds from their next request on.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        plans: Plans,
        cache: Cache,
        billing: Billing,
        seal: Seal,
        forget: Callable[[UUID], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._plans = plans
        self._cache = cache
        self._billing = billing
        self._seal = seal
        self._forget = forget

    async def suspend(self, tenant_id: UUID, *, reason: str, actor: str) -> Tenant:
        """Reduce-only from the next order on: purchases are refused, live ones withdrawn, funds decide no more."""
        return await self._move(tenant_id, Move.SUSPEND, reason, actor)

    async def resume(self, tenant_id: UUID, *, reason: str, actor: str) -> Tenant:
        return await self._move(tenant_id, Move.RESUME, reason, actor)

    async def fall_due(self, tenant_id: UUID, *, reason: str, actor: str) -> Tenant:
        """An invoice was not paid; everything goes on working."""
        return await self._move(tenant_id, Move.FALL_DUE, reason, actor)

    async def settle(self, tenant_id: UUID, *, reason: str, actor: str) -> Tenant:
        """What was past due is paid."""
        return await self._move(tenant_id, Move.SETTLE, reason, actor)

    async def cancel(self, tenant_id: UUID, *, reason: str, actor: str, acknowledge_positions: bool = False) -> Tenant:
        """Closed, and kept. Raises Conflict while orders are open, or positions that nobody acknowledged."""
        return await self._move(tenant_id, Move.CANCEL, reason, actor, acknowledged=acknowledge_positions)

    async def delete(
        self, tenant_id: UUID, *, confirm: str, reason: str, actor: str, acknowledge_positions: bool = False
    ) -> Tenant:
        """Kept for KEPT, then purged. confirm: the tenant's slug, typed. Raises Conflict as ``cancel`` does."""
        return await self._move(
            tenant_id, Move.DELETE, reason, actor, acknowledged=acknowledge_positions, confirm=confirm
        )

    async def restore(self, tenant_id: UUID, *, reason: str, actor: str) -> Tenant:
        """A cancelled or deleted tenant stands again where it stood before it was closed."""
        return await self._move(tenant_id, Move.RESTORE, reason, actor)

    async def change_tier(self, tenant_id: UUID, tier: str, *, reason: str, actor: str) -> Tenant:
        """In force at once. What a smaller tier no longer includes stays, and grows no more.

        Raises Conflict for the tier it has, and for a deleted tenant.
        """
        reason, wanted, at = parse_reason(reason), parse_tier(tier), self._clock.now()
        async with self._database.transaction(tenant_id) as tx:
            standing = await _locked(tx, tenant_id)
            tenant = standing.tenant
            _insist_changeable(tenant)
            if tenant.tier is wanted:
                raise Conflict(f"tenant {tenant.slug} is of tier {wanted} already")
            await tenants_store.set_tier(tx, tenant_id, wanted)
            payload = {"tier": wanted.value, "before": tenant.tier.value, "actor": actor}
            await events.append(tx, EventKind.TENANT_CHANGED, str(tenant_id), at, at, payload)
            await _audit(tx, tenant, "tenant.change_tier", {"tier": tenant.tier}, {"tier": wanted}, actor, reason, at)
        if standing.billing_reference is not None:
            await self._billing.change_tier(standing.billing_reference, wanted)
        await self.apply_quota(tenant_id)
        return replace(tenant, tier=wanted)

    async def override(
        self, tenant_id: UUID, limit: str, value: int | None, *, until: datetime, reason: str, actor: str
    ) -> Override:
        """One limit of one tenant set by the platform until a time. value None: unlimited."""
        reason, name, at = parse_reason(reason), parse_limit(limit), self._clock.now()
        if value is not None and not 0 <= value <= _LARGEST_LIMIT:
            raise InvalidInput("value: must lie in [0, 2^53]", field="value", fix="Leave it out for unlimited.")
        if until <= at:
            raise InvalidInput("until lies in the past", field="until", fix="Give a time to come.")
        made = Override(name, value, until, reason, actor, at)
        async with self._database.transaction(tenant_id) as tx:
            tenant = (await _locked(tx, tenant_id)).tenant
            _insist_changeable(tenant)
            known = {each.limit: each for each in await plans_store.overrides(tx, tenant_id)}
            await plans_store.put_override(tx, tenant_id, made)
            before = _shown(known[name]) if name in known else None
            await _audit(tx, tenant, f"tenant.override.{name}", before, _shown(made), actor, reason, at)
        await self.apply_quota(tenant_id)
        return made

    async def drop_override(self, tenant_id: UUID, limit: str, *, reason: str, actor: str) -> None:
        """The tier's own limit holds again. Raises NotFound when there is no such override."""
        reason, name, at = parse_reason(reason), parse_limit(limit), self._clock.now()
        async with self._database.transaction(tenant_id) as tx:
            tenant = (await _locked(tx, tenant_id)).tenant
            known = {each.limit: each for each in await plans_store.overrides(tx, tenant_id)}
            if not await plans_store.delete_override(tx, tenant_id, name):
                raise NotFound(f"tenant {tenant.slug} has no override of {name}")
            await _audit(tx, tenant, f"tenant.override.{name}", _shown(known[name]), None, actor, reason, at)
        await self.apply_quota(tenant_id)

    async def apply_quota(self, tenant_id: UUID) -> None:
        """Tell the cache the quota that holds now. One that is away is told by the next run of the lifecycle job."""
        self._plans.forget(tenant_id)
        quota = (await self._plans.limits_of(tenant_id)).cache_bytes
        if quota is None:
            return
        try:
            await self._cache.set_quota(tenant_id, quota)
        except TryAgain as error:
            _log.warning("the cache did not take a quota", extra={"tenant": str(tenant_id), "reason": str(error)})

    async def _move(
        self,
        tenant_id: UUID,
        move: Move,
        reason: str,
        actor: str,
        *,
        acknowledged: bool = False,
        confirm: str | None = None,
    ) -> Tenant:
        reason, at = parse_reason(reason), self._clock.now()
        async with self._database.transaction(tenant_id) as tx:
            standing = await _locked(tx, tenant_id)
            tenant = standing.tenant
            if confirm is not None and confirm != tenant.slug:
                raise InvalidInput(
                    f"confirm: {confirm[:60]!r} is not the tenant's slug", field="confirm", fix=f"Type {tenant.slug}."
                )
            state = moved(tenant.state, move, left=standing.left)
            positions = await _insist_closed(tx, tenant, acknowledged=acknowledged) if move in CLOSING else []
            left = _remembered(standing, move)
            purge_at = at + KEPT if state is TenantState.DELETED else None
            await tenants_store.move(tx, tenant_id, state, reason=reason, at=at, left=left, purge_at=purge_at)
            await self._write(tx, tenant, move, reason=reason, actor=actor, at=at)
            payload = {"state": state.value, "before": tenant.state.value, "reason": reason, "actor": actor}
            await events.append(tx, EventKind.TENANT_CHANGED, str(tenant_id), at, at, payload)
            after: dict[str, Any] = {"state": state, "purge_at": purge_at}
            if positions:
                after["acknowledged_positions"] = positions
            before = {"state": tenant.state, "purge_at": standing.purge_at}
            await _audit(tx, tenant, f"tenant.{move}", before, after, actor, reason, at)
        self._forget(tenant_id)
        return replace(tenant, state=state)

    async def _write(
        self, tx: Transaction, tenant: Tenant, move: Move, *, reason: str, actor: str, at: datetime
    ) -> None:
        """To the tenant's admins, where the move is one that they must learn of outside the product."""
        values: dict[Move, tuple[MailTemplate, dict[str, str]]] = {
            Move.SUSPEND: (MailTemplate.SUSPENDED, {"tenant": tenant.name, "reason": reason}),
            Move.DELETE: (
                MailTemplate.DELETION_SCHEDULED,
                {"tenant": tenant.name, "slug": tenant.slug, "actor": actor, "erased_at": write_time(at + KEPT)},
            ),
        }
        if move not in values:
            return
        template, said = values[move]
        for address in await tenants_store.admins(tx, tenant.id):
            key = f"{template}:{write_time(at)}:{address}"
            await enqueue_mail(
                tx, self._seal, tenant_id=tenant.id, to=address, template=template, values=said, at=at, key=key
            )


def parse_reason(text: str, field: str = "reason") -> str:
    """1 to 500 printable characters: whoever reads the audit log later wants to know."""
    reason = text.strip()
    if not reason or len(reason) > _LONGEST_REASON or not reason.isprintable():
        raise InvalidInput(
            f"{field}: must be 1 to {_LONGEST_REASON} printable characters", field=field, fix="Say why, with --reason."
        )
    return reason


async def _locked(tx: Transaction, tenant_id: UUID) -> TenantStanding:
    standing = await tenants_store.lock(tx, tenant_id)
    if standing is None:
        raise NotFound(f"no tenant {tenant_id}")
    return standing


def _insist_changeable(tenant: Tenant) -> None:
    if tenant.state is TenantState.DELETED:
        fix = f"Restore it first: alphapulse tenants restore {tenant.slug}"
        raise Conflict(f"tenant {tenant.slug} is deleted", fix=fix)


def _remembered(standing: TenantStanding, move: Move) -> TenantState | None:
    """Where a restore leads: deleting what was cancelled before still remembers where it stood while it was open."""
    if move not in CLOSING:
        return None
    return standing.left if standing.tenant.state is TenantState.CANCELLED else standing.tenant.state


async def _insist_closed(tx: Transaction, tenant: Tenant, *, acknowledged: bool) -> list[str]:
    """What is held, once it was acknowledged. Raises Conflict before."""
    orders = await tenants_store.open_orders(tx, tenant.id)
    if orders:
        raise Conflict(
            f"tenant {tenant.slug} has {orders} open {'order' if orders == 1 else 'orders'}",
            fix=f"Cancel them first: alphapulse orders cancel --all --tenant {tenant.slug}",
        )
    positions = await tenants_store.open_positions(tx, tenant.id)
    if positions and not acknowledged:
        named = ", ".join(positions[:_MOST_NAMED]) + (", ..." if len(positions) > _MOST_NAMED else "")
        raise Conflict(
            f"tenant {tenant.slug} holds {named}",
            fix="Close them, or accept that they stay with --acknowledge-positions.",
        )
    return positions


def _shown(override: Override) -> dict[str, Any]:
    return {"value": override.value, "expires_at": override.expires_at}


async def _audit(
    tx: Transaction,
    tenant: Tenant,
    action: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    actor: str,
    reason: str,
    at: datetime,
) -> None:
    await record_change(
        tx, actor=actor, action=action, subject=tenant.slug, before=before, after=after, at=at, reason=reason
    )
