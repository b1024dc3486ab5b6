"""Rows of second factors; in a transaction that binds the user."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from alphapulse.ports.database import Row, Transaction


async def get(tx: Transaction, user_id: UUID) -> Row | None:
    """sealed_secret, created_at, confirmed_at, last_step and recovery_hashes."""
    return await tx.one(
        "SELECT sealed_secret, created_at, confirmed_at, last_step, recovery_hashes FROM second_factors"
        " WHERE user_id = %(user_id)s",
        {"user_id": user_id},
    )


async def begin(tx: Transaction, user_id: UUID, sealed: bytes, at: datetime) -> bool:
    """An authenticator to be confirmed, in place of another that never was. False when there is a confirmed one."""
    changed = await tx.run(
        "INSERT INTO second_factors (user_id, sealed_secret, created_at, last_step, recovery_hashes)"
        " VALUES (%(user_id)s, %(sealed)s, %(at)s, 0, '{}')"
        " ON CONFLICT (user_id) DO UPDATE SET sealed_secret = %(sealed)s, created_at = %(at)s, last_step = 0"
        " WHERE second_factors.confirmed_at IS NULL",
        {"user_id": user_id, "sealed": sealed, "at": at},
    )
    return changed > 0


async def confirm(tx: Transaction, user_id: UUID, step: int, hashes: list[bytes], at: datetime) -> bool:
    """False when it was confirmed by another request just now."""
    changed = await tx.run(
        "UPDATE second_factors SET confirmed_at = %(at)s, last_step = %(step)s, recovery_hashes = %(hashes)s"
        " WHERE user_id = %(user_id)s AND confirmed_at IS NULL",
        {"user_id": user_id, "step": step, "hashes": hashes, "at": at},
    )
    return changed > 0


async def take_step(tx: Transaction, user_id: UUID, step: int) -> bool:
    """False when this code, or a later one, was taken before."""
    changed = await tx.run(
        "UPDATE second_factors SET last_step = %(step)s WHERE user_id = %(user_id)s AND last_step < %(step)s",
        {"user_id": user_id, "step": step},
    )
    return changed > 0


async def take_recovery(tx: Transaction, user_id: UUID, hashed: bytes) -> bool:
    """False when there is no such code left."""
    changed = await tx.run(
        "UPDATE second_factors SET recovery_hashes = array_remove(recovery_hashes, %(hashed)s)"
        " WHERE user_id = %(user_id)s AND %(hashed)s = ANY (recovery_hashes)",
        {"user_id": user_id, "hashed": hashed},
    )
    return changed > 0


async def replace_recovery(tx: Transaction, user_id: UUID, hashes: list[bytes]) -> None:
    await tx.run(
        "UPDATE second_factors SET recovery_hashes = %(hashes)s WHERE user_id = %(user_id)s",
        {"user_id": user_id, "hashes": hashes},
    )


async def delete(tx: Transaction, user_id: UUID) -> None:
    await tx.run("DELETE FROM second_factors WHERE user_id = %(user_id)s", {"user_id": user_id})
