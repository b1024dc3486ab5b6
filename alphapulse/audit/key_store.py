"""Keys of people, one per person and chain, stored sealed by the master key. Destroying one erases the person there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from uuid import UUID, uuid4

import orjson

from alphapulse.audit.personal import PersonKey
from alphapulse.ports.database import Transaction
from alphapulse.sealing import KEY_LENGTH, Seal

#: A chain, and a person in it: a user's id, or an e-mail address, which stands for its user where there is one.
Person = tuple[UUID, str]


async def person_keys(tx: Transaction, seal: Seal, wanted: Sequence[Person]) -> dict[Person, PersonKey]:
    """The key of each of ``wanted``; made where there is none, and stored when ``tx`` commits."""
    if not wanted:
        return {}
    fresh = [(chain, person, uuid4()) for chain, person in wanted]
    items = [
        {
            "tenant_id": str(chain),
            "person": person,
            "id": str(key_id),
            "sealed": seal.seal(os.urandom(KEY_LENGTH), _context(key_id)).hex(),
        }
        for chain, person, key_id in fresh
    ]
    rows = await tx.all(
        "SELECT ordinal, id, sealed FROM audit.keys_of(%(wanted)s::jsonb)", {"wanted": orjson.dumps(items).decode()}
    )
    return {wanted[row["ordinal"] - 1]: _opened(seal, row["id"], row["sealed"]) for row in rows}


async def stored_keys(tx: Transaction, seal: Seal, ids: Iterable[UUID]) -> dict[UUID, PersonKey]:
    """Those of ``ids`` that the bound tenant's chain still has."""
    wanted = list(ids)
    if not wanted:
        return {}
    rows = await tx.all(
        "SELECT id, sealed FROM audit_keys WHERE tenant_id = %(tenant_id)s AND id = ANY(%(ids)s::uuid[])",
        {"tenant_id": tx.tenant_id, "ids": wanted},
    )
    return {row["id"]: _opened(seal, row["id"], row["sealed"]) for row in rows}


async def key_ids_of(tx: Transaction, person: str) -> list[UUID]:
    """Of a user's id or an e-mail address in the bound tenant's chain, with and without a user."""
    rows = await tx.all(
        "SELECT id FROM audit_keys WHERE tenant_id = %(tenant_id)s"
        " AND person IN (%(person)s, app.user_by_email(%(person)s)::text)",
        {"tenant_id": tx.tenant_id, "person": person},
    )
    return [row["id"] for row in rows]


async def forget_subject(tx: Transaction, subject_id: UUID, email: str | None = None) -> int:
    """Destroy a user's keys in every chain, the platform's too; how many there were.

    email: also those of the time before the address had a user. For somebody who belongs to no tenant any more.
    """
    people = [str(subject_id), *([] if email is None else [email.lower()])]
    row = await tx.one("SELECT audit.forget(%(people)s::text[]) AS gone", {"people": people})
    assert row is not None
    return int(row["gone"])


async def forget_chain(tx: Transaction) -> int:
    """Destroy every person's key in the bound tenant's chain; how many there were. The chain stays verifiable."""
    row = await tx.one("SELECT audit.forget_chain() AS gone")
    assert row is not None
    return int(row["gone"])


def _opened(seal: Seal, key_id: UUID, sealed: bytes) -> PersonKey:
    return PersonKey(key_id, seal.open(bytes(sealed), _context(key_id)))


def _context(key_id: UUID) -> str:
    return f"audit key:{key_id}"
