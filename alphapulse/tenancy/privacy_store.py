"""The erasure ledger, and the functions that erase what it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from alphapulse.domain.privacy import ErasedKind, ErasureEntry
from alphapulse.ports.database import Row, Transaction


async def insert(
    tx: Transaction, entry: ErasureEntry, *, reason: str, sealed_notice: bytes | None, finished: bool = False
) -> None:
    """An entry that is there already stays as it is, unless it is begun anew, with a notice."""
    await tx.run(
        """INSERT INTO erasures (erased_id, kind, reason, removed, sealed_notice, begun_at, finished_at)
        VALUES (%(id)s, %(kind)s, %(reason)s, '{}', %(notice)s, %(at)s, %(finished_at)s)
        ON CONFLICT (erased_id) DO UPDATE SET sealed_notice = excluded.sealed_notice, finished_at = NULL
            WHERE excluded.sealed_notice IS NOT NULL""",
        {
            "id": entry.erased_id,
            "kind": entry.kind.value,
            "reason": reason,
            "notice": sealed_notice,
            "at": entry.at,
            "finished_at": entry.at if finished else None,
        },
    )


async def get(tx: Transaction, erased_id: UUID) -> Row | None:
    """reason, removed, sealed_notice, certificate, begun_at, finished_at."""
    return await tx.one(
        "SELECT reason, removed, sealed_notice, certificate, begun_at, finished_at FROM erasures"
        " WHERE erased_id = %(id)s",
        {"id": erased_id},
    )


async def read_ledger(tx: Transaction) -> list[ErasureEntry]:
    """What was erased, or is to be; oldest first."""
    rows = await tx.all("SELECT erased_id, kind, begun_at FROM erasures ORDER BY begun_at, erased_id")
    return [ErasureEntry(row["erased_id"], ErasedKind(row["kind"]), row["begun_at"]) for row in rows]


async def unfinished(tx: Transaction) -> list[UUID]:
    """Tenants whose erasure began and did not end."""
    rows = await tx.all(
        "SELECT erased_id FROM erasures WHERE kind = 'tenant' AND finished_at IS NULL ORDER BY begun_at"
    )
    return [row["erased_id"] for row in rows]


async def note_place(tx: Transaction, erased_id: UUID, what: str, amount: int) -> None:
    """What was found in a place outside of the database; a repeat, which finds nothing, changes nothing."""
    await tx.run(
        """UPDATE erasures SET removed = removed
            || jsonb_build_object(%(what)s::text, greatest((removed ->> %(what)s)::bigint, %(amount)s))
        WHERE erased_id = %(id)s""",
        {"id": erased_id, "what": what, "amount": amount},
    )


async def note_removed(tx: Transaction, erased_id: UUID, what: str, amount: int) -> None:
    """Count what went; in the transaction in which it goes, so that a crash loses no count."""
    await tx.run(
        """UPDATE erasures SET removed = removed
            || jsonb_build_object(%(what)s::text, coalesce((removed ->> %(what)s)::bigint, 0) + %(amount)s)
        WHERE erased_id = %(id)s""",
        {"id": erased_id, "what": what, "amount": amount},
    )


async def finish(tx: Transaction, erased_id: UUID, certificate: Mapping[str, Any] | None, at: datetime) -> None:
    """With it goes whom it was about."""
    await tx.run(
        "UPDATE erasures SET certificate = %(certificate)s::jsonb, sealed_notice = NULL, finished_at = %(at)s"
        " WHERE erased_id = %(id)s",
        {
            "id": erased_id,
            "certificate": None if certificate is None else json.dumps(dict(certificate)),
            "at": at,
        },
    )


async def erase_rows(tx: Transaction, table: str, most: int) -> int:
    """Of the bound tenant; how many went."""
    row = await tx.one("SELECT app.erase_rows(%(table)s, %(most)s) AS gone", {"table": table, "most": most})
    return 0 if row is None else int(row["gone"])


async def erase_tenant(tx: Transaction) -> bool:
    """The bound tenant's own row. False when it was gone."""
    row = await tx.one("SELECT app.erase_tenant() AS gone")
    return row is not None and bool(row["gone"])


async def erase_user(tx: Transaction, *, anyway: bool) -> bool:
    """The bound user, unless they still belong to a tenant. anyway: even then."""
    row = await tx.one("SELECT app.erase_user(%(anyway)s) AS gone", {"anyway": anyway})
    return row is not None and bool(row["gone"])


async def tenant_row(tx: Transaction) -> Row | None:
    """name, billing_reference and state_changed_at of the bound tenant."""
    return await tx.one(
        "SELECT name, billing_reference, state_changed_at FROM tenants WHERE id = %(id)s FOR UPDATE",
        {"id": tx.tenant_id},
    )


async def standing(tx: Transaction) -> Row | None:
    """slug, name, state and purge_at of the bound tenant."""
    return await tx.one("SELECT slug, name, state, purge_at FROM tenants WHERE id = %(id)s", {"id": tx.tenant_id})


async def people(tx: Transaction) -> list[tuple[UUID, str]]:
    """(user, address) of the bound tenant's members."""
    rows = await tx.all(
        "SELECT u.id, u.email FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.tenant_id = %(id)s"
        " ORDER BY u.email",
        {"id": tx.tenant_id},
    )
    return [(row["id"], row["email"]) for row in rows]


async def email_of(tx: Transaction) -> str | None:
    """Of the bound user; None when there is none, or it is an admin of the platform. tx: of ``Database.user``."""
    row = await tx.one("SELECT email FROM users WHERE id = app.bound_user() AND NOT is_platform_admin")
    return None if row is None else row["email"]


async def belongs(tx: Transaction) -> bool:
    """Whether the bound user is a member anywhere. tx: of ``Database.user``."""
    return await tx.one("SELECT 1 FROM memberships WHERE user_id = app.bound_user() LIMIT 1") is not None
