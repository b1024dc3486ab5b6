"""The second factor of a user: an authenticator, and recovery codes for the day it is lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.access import Enrolment, RecoveryCodes, SecondFactor
from alphapulse.domain.tenancy import PLATFORM
from alphapulse.errors import Conflict, InvalidInput
from alphapulse.ports.database import Database, Row, Transaction
from alphapulse.sealing import Seal
from alphapulse.tenancy import second_factor_store as store
from alphapulse.tenancy.codes import hash_recovery, new_recovery_codes, new_secret, step_of, uri_of


@dataclass(frozen=True, slots=True)
class Proof:
    """A code that is right, and is to be taken in the transaction that it opens. step None: a recovery code."""

    user_id: UUID
    step: int | None
    recovery: bytes

    async def take(self, tx: Transaction) -> bool:
        """False when another request took it meanwhile. tx: binds the user."""
        if self.step is not None:
            return await store.take_step(tx, self.user_id, self.step)
        return await store.take_recovery(tx, self.user_id, self.recovery)


class SecondFactors:
    """Whoever calls has proved the user's password before."""

    def __init__(self, *, database: Database, clock: Clock, seal: Seal) -> None:
        self._database = database
        self._clock = clock
        self._seal = seal

    async def state(self, user_id: UUID, *, required: bool) -> SecondFactor:
        async with self._database.user(user_id) as tx:
            row = await store.get(tx, user_id)
        if row is None or row["confirmed_at"] is None:
            return SecondFactor(None, 0, required)
        return SecondFactor(row["confirmed_at"], len(row["recovery_hashes"]), required)

    async def enrol(self, user_id: UUID, email: str) -> Enrolment:
        """A new authenticator; it counts once ``confirm`` saw a code of it. Raises Conflict when there is one."""
        secret = new_secret()
        sealed = self._seal.seal(secret.encode(), _context(user_id))
        async with self._database.user(user_id) as tx:
            if not await store.begin(tx, user_id, sealed, self._clock.now()):
                raise Conflict(
                    "there is a second factor already",
                    fix="Remove it with `alphapulse totp disable`, then add another.",
                )
        return Enrolment(secret, uri_of(secret, email))

    async def grant(self, tx: Transaction, user_id: UUID, email: str) -> tuple[Enrolment, RecoveryCodes]:
        """An authenticator that counts at once, for a user who is being made in ``tx``. To be shown once."""
        secret, codes, now = new_secret(), new_recovery_codes(), self._clock.now()
        await store.begin(tx, user_id, self._seal.seal(secret.encode(), _context(user_id)), now)
        await store.confirm(tx, user_id, 0, [hash_recovery(one) for one in codes], now)
        return Enrolment(secret, uri_of(secret, email)), RecoveryCodes(codes)

    async def confirm(self, user_id: UUID, code: str, *, actor: str, tenant_id: UUID | None) -> RecoveryCodes:
        """actor, tenant_id: who is logged in, and where, for the audit log. Raises InvalidInput for a wrong code,
        Conflict when nothing waits to be confirmed.
        """
        now = self._clock.now()
        codes = new_recovery_codes()
        async with self._database.user(user_id) as tx:
            row = await store.get(tx, user_id)
            if row is None or row["confirmed_at"] is not None:
                raise Conflict("no authenticator waits to be confirmed", fix="Begin with `alphapulse totp enable`.")
            step = step_of(self._secret(user_id, row), code, now)
            if step is None:
                raise wrong_code()
            if not await store.confirm(tx, user_id, step, [hash_recovery(one) for one in codes], now):
                raise Conflict("it was confirmed by another request just now", fix="See `alphapulse totp status`.")
            await _record(tx, "second_factor.enabled", actor, tenant_id, now, enabled=True)
        return RecoveryCodes(codes)

    async def renew_codes(self, user_id: UUID, code: str, *, actor: str, tenant_id: UUID | None) -> RecoveryCodes:
        """New recovery codes; the old ones are void. Raises InvalidInput for a wrong code."""
        codes = new_recovery_codes()
        async with self._database.user(user_id) as tx:
            await self._spend(tx, user_id, code)
            await store.replace_recovery(tx, user_id, [hash_recovery(one) for one in codes])
            await _record(tx, "second_factor.codes_renewed", actor, tenant_id, self._clock.now(), enabled=True)
        return RecoveryCodes(codes)

    async def disable(self, user_id: UUID, code: str, *, actor: str, tenant_id: UUID | None) -> None:
        """Raises InvalidInput for a wrong code."""
        async with self._database.user(user_id) as tx:
            await self._spend(tx, user_id, code)
            await store.delete(tx, user_id)
            await _record(tx, "second_factor.disabled", actor, tenant_id, self._clock.now(), enabled=False)

    def prove(self, user_id: UUID, row: Row | None, code: str) -> Proof | None:
        """What ``code`` proves against the user's row: None when it is wrong, or was taken before."""
        if row is None or row["confirmed_at"] is None:
            return None
        step = step_of(self._secret(user_id, row), code, self._clock.now())
        if step is not None:
            return Proof(user_id, step, b"") if step > row["last_step"] else None
        hashed = hash_recovery(code)
        known = {bytes(one) for one in row["recovery_hashes"]}
        return Proof(user_id, None, hashed) if hashed in known else None

    async def _spend(self, tx: Transaction, user_id: UUID, code: str) -> None:
        proof = self.prove(user_id, await store.get(tx, user_id), code)
        if proof is None or not await proof.take(tx):
            raise wrong_code()

    def _secret(self, user_id: UUID, row: Row) -> str:
        return self._seal.open(row["sealed_secret"], _context(user_id)).decode()


async def _record(
    tx: Transaction, action: str, actor: str, tenant_id: UUID | None, at: datetime, *, enabled: bool
) -> None:
    await record_change(
        tx,
        actor=actor,
        action=action,
        subject=actor,
        before={"enabled": action != "second_factor.enabled"},
        after={"enabled": enabled},
        at=at,
        tenant_id=tenant_id or PLATFORM,
    )


def wrong_code() -> InvalidInput:
    return InvalidInput(
        "code: wrong, or taken before",
        field="code",
        fix="Wait for the next code of the authenticator, or give a recovery code.",
    )


def is_confirmed(row: Row | None) -> bool:
    return row is not None and row["confirmed_at"] is not None


def _context(user_id: UUID) -> str:
    return f"totp:{user_id}"
