"""Rows of the keys that sign tokens."""

from __future__ import annotations

from datetime import datetime

from alphapulse.ports.database import Row, Transaction

#: Names the lock under which keys are made; any number that nothing else locks.
_LOCK = 4_701_185


async def lock(tx: Transaction) -> None:
    """Until the transaction ends nobody else makes or retires a key."""
    await tx.one("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": _LOCK})


async def list_keys(tx: Transaction) -> list[Row]:
    """The newest first."""
    return await tx.all(
        "SELECT id, public_key, sealed_private_key, created_at, active_from, retires_at FROM signing_keys"
        " ORDER BY active_from DESC, id"
    )


async def insert(tx: Transaction, key_id: str, *, public: bytes, sealed: bytes, at: datetime, since: datetime) -> None:
    """at: now. since: when it begins to sign."""
    await tx.run(
        "INSERT INTO signing_keys (id, public_key, sealed_private_key, created_at, active_from)"
        " VALUES (%(id)s, %(public)s, %(sealed)s, %(at)s, %(since)s)",
        {"id": key_id, "public": public, "sealed": sealed, "at": at, "since": since},
    )


async def retire_others(tx: Transaction, kept: str, at: datetime) -> None:
    """Every key but ``kept`` is accepted no longer than until ``at``."""
    await tx.run(
        "UPDATE signing_keys SET retires_at = least(retires_at, %(at)s) WHERE id <> %(kept)s", {"kept": kept, "at": at}
    )


async def delete_retired(tx: Transaction, before: datetime) -> int:
    return await tx.run("DELETE FROM signing_keys WHERE retires_at < %(before)s", {"before": before})
