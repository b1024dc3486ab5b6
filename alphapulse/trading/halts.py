"""Halting and resuming: a halt is a stored row and stays in force, also over restarts, until somebody resumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.events import EventKind
from alphapulse.domain.funds import Fund
from alphapulse.domain.risk import Halt, HaltScope
from alphapulse.domain.tenancy import PLATFORM
from alphapulse.errors import Conflict, InvalidInput
from alphapulse.events import store as event_store
from alphapulse.ports.database import Database, Transaction
from alphapulse.trading import fund_store, halt_store


class Halts:
    """What a halt stops: every new order but those that a person places to lessen a position.

    Purchases that rest at a venue are withdrawn at the next settlement (``Desk.settle``); sales stay.
    """

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def halt(
        self, scope: HaltScope, *, tenant_id: UUID | None = None, fund: str | None = None, reason: str, actor: str
    ) -> Halt:
        """fund: name or id, for scope ``fund`` only. Where a halt of this scope is in force, that one is given back."""
        if not reason.strip():
            raise InvalidInput("reason is empty", field="reason", fix="Say why trading is halted.")
        async with self._database.transaction(_bound(scope, tenant_id)) as tx:
            subject = await self._subject(tx, scope, fund)
            standing = await halt_store.in_force(tx, scope, subject and subject.id)
            if standing:
                return standing[0]
            now = self._clock.now()
            halt = Halt(uuid4(), scope, reason, actor, now, subject and subject.id, subject and subject.name)
            await halt_store.insert(tx, halt)
            await self._tell(tx, EventKind.TRADING_HALTED, halt, actor, reason)
            await self._record(tx, "risk.halt", halt, None, {"scope": scope, "fund": halt.fund}, reason, actor)
        return halt

    async def resume(
        self, scope: HaltScope, *, tenant_id: UUID | None = None, fund: str | None = None, reason: str, actor: str
    ) -> Halt:
        """Lift the halt of exactly this scope; those of other scopes stay. Raises Conflict when none is in force."""
        async with self._database.transaction(_bound(scope, tenant_id)) as tx:
            subject = await self._subject(tx, scope, fund)
            standing = await halt_store.in_force(tx, scope, subject and subject.id)
            if not standing:
                raise Conflict(
                    f"no halt of scope {scope} is in force", fix="See what is halted with: alphapulse risk status"
                )
            now = self._clock.now()
            await halt_store.lift(tx, scope, subject and subject.id, actor, now)
            lifted = replace(standing[0], lifted_at=now, lifted_by=actor)
            await self._tell(tx, EventKind.TRADING_RESUMED, lifted, actor, reason)
            before = {"scope": scope, "fund": lifted.fund, "reason": lifted.reason}
            await self._record(tx, "risk.resume", lifted, before, None, reason, actor)
        return lifted

    async def list(self, tenant_id: UUID | None = None) -> list[Halt]:
        """In force: the platform's, and the tenant's when one is named."""
        async with self._database.transaction(tenant_id or PLATFORM) as tx:
            return await halt_store.all_in_force(tx)

    async def _subject(self, tx: Transaction, scope: HaltScope, fund: str | None) -> Fund | None:
        """The fund to halt, locked, so that no decision is in the middle of being made while the halt is set."""
        if scope is not HaltScope.FUND:
            if fund is not None:
                raise InvalidInput(f"fund goes with scope fund, not with {scope}", field="fund")
            return None
        if fund is None:
            raise InvalidInput("scope fund needs a fund", field="fund", fix="Name the fund to halt.")
        found = await fund_store.find(tx, fund)
        await fund_store.lock(tx, found.id)
        return found

    async def _record(
        self,
        tx: Transaction,
        action: str,
        halt: Halt,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
        reason: str,
        actor: str,
    ) -> None:
        now, subject = self._clock.now(), str(halt.id)
        await record_change(
            tx, actor=actor, action=action, subject=subject, before=before, after=after, at=now, reason=reason
        )

    async def _tell(self, tx: Transaction, kind: EventKind, halt: Halt, actor: str, reason: str) -> None:
        """The platform has no stream of its own: its halts are seen by listing them."""
        if halt.scope is HaltScope.PLATFORM:
            return
        now = self._clock.now()
        payload = {"scope": halt.scope, "fund": halt.fund, "reason": reason, "actor": actor}
        await event_store.append(tx, kind, str(halt.id), now, now, payload)


def _bound(scope: HaltScope, tenant_id: UUID | None) -> UUID:
    """The tenant to bind. A halt of the platform needs none; PLATFORM stands for it and owns no rows."""
    if scope is HaltScope.PLATFORM:
        return PLATFORM
    if tenant_id is None:
        raise InvalidInput("this needs a tenant", field="tenant", fix="Name one with --tenant SLUG (X-Tenant header).")
    return tenant_id
