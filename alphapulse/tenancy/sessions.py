"""Where somebody is logged in, and ending it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.access import Session
from alphapulse.domain.permissions import Permission
from alphapulse.domain.tenancy import PLATFORM, Caller
from alphapulse.errors import NotFound
from alphapulse.ports.database import Database, Transaction
from alphapulse.tenancy import session_store


class Sessions:
    """lifetime: how long a session can be refreshed after its log-in."""

    def __init__(self, *, database: Database, clock: Clock, lifetime: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._lifetime = lifetime

    async def list_own(self, caller: Caller) -> list[Session]:
        """In every tenant, newest first."""
        async with self._database.user(caller.user_id) as tx:
            return await self._listed(tx, caller)

    async def list_everyones(self, caller: Caller) -> list[Session]:
        """Of the caller's tenant, newest first. Raises Forbidden, and InvalidInput when no tenant is named."""
        caller.require(Permission.MEMBERS_READ)
        async with self._database.transaction(caller.require_tenant()) as tx:
            return await self._listed(tx, caller)

    async def revoke(self, caller: Caller, session_id: UUID) -> None:
        """One's own; who may write members also ends others' of the tenant. Raises NotFound."""
        async with self._database.user(caller.user_id) as tx:
            if await self._ended(tx, caller, session_id):
                return
        if caller.tenant_id is not None and caller.may(Permission.MEMBERS_WRITE):
            async with self._database.transaction(caller.tenant_id) as tx:
                if await self._ended(tx, caller, session_id):
                    return
        raise NotFound(f"no session {session_id}", fix="See `alphapulse sessions list`.")

    async def revoke_others(self, caller: Caller) -> list[UUID]:
        """All of one's own but the one that asks: the ids of those that ended."""
        now = self._clock.now()
        async with self._database.user(caller.user_id) as tx:
            ended = await session_store.revoke_sessions(tx, caller.user_id, now, caller.session_id)
            if ended:
                await self._record(tx, caller, f"{len(ended)} other sessions", caller.tenant_id)
        return ended

    async def _listed(self, tx: Transaction, caller: Caller) -> list[Session]:
        found = await session_store.list_sessions(tx, self._clock.now(), lifetime=self._lifetime)
        return [replace(session, current=session.id == caller.session_id) for session in found]

    async def _ended(self, tx: Transaction, caller: Caller, session_id: UUID) -> bool:
        row = await session_store.revoke(tx, session_id, self._clock.now())
        if row is not None:
            await self._record(tx, caller, str(session_id), row["tenant_id"])
        return row is not None

    async def _record(self, tx: Transaction, caller: Caller, subject: str, tenant_id: UUID | None) -> None:
        await record_change(
            tx,
            actor=caller.actor,
            action="session.revoked",
            subject=subject,
            before={"revoked": False},
            after={"revoked": True},
            at=self._clock.now(),
            tenant_id=tenant_id or PLATFORM,
        )
