"""Rows of the outbox."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from alphapulse.ports.database import Row, Transaction

#: Wakes the daemons' couriers when a mail is committed.
CHANNEL = "mails"


async def insert(
    tx: Transaction,
    mail_id: UUID,
    *,
    tenant_id: UUID | None,
    recipient: str,
    template: str,
    sealed_values: bytes,
    at: datetime,
) -> bool:
    """False when this mail is there already; nothing is changed then."""
    touched = await tx.run(
        """INSERT INTO mails (id, tenant_id, recipient, template, sealed_values, state, attempts, error, written_at,
            next_attempt_at)
        VALUES (%(id)s, %(tenant_id)s, %(recipient)s, %(template)s, %(sealed_values)s, 'queued', 0, '', %(at)s, %(at)s)
        ON CONFLICT (id) DO NOTHING""",
        {
            "id": mail_id,
            "tenant_id": tenant_id,
            "recipient": recipient,
            "template": template,
            "sealed_values": sealed_values,
            "at": at,
        },
    )
    if touched:
        await tx.run("SELECT pg_notify(%(channel)s, '')", {"channel": CHANNEL})
    return bool(touched)


async def due(tx: Transaction, now: datetime, most: int) -> list[tuple[UUID | None, UUID]]:
    """(tenant, mail) of the mails to deliver now, of every tenant."""
    rows = await tx.all("SELECT tenant_id, mail_id FROM app.due_mails(%(now)s, %(most)s)", {"now": now, "most": most})
    return [(row["tenant_id"], row["mail_id"]) for row in rows]


async def claim(tx: Transaction, mail_id: UUID, now: datetime, lease: timedelta) -> Row | None:
    """The mail, taken until ``now + lease``; None when it went meanwhile or somebody else has it."""
    return await tx.one(
        """UPDATE mails SET attempts = attempts + 1, next_attempt_at = %(until)s
        WHERE id = %(id)s AND state = 'queued' AND next_attempt_at <= %(now)s
        RETURNING id, recipient, template, sealed_values, attempts, written_at""",
        {"id": mail_id, "now": now, "until": now + lease},
    )


async def mark_sent(tx: Transaction, mail_id: UUID, at: datetime, *, farewell: bool) -> None:
    """What it said is gone with that; of a farewell everything, for its recipient was erased."""
    if farewell:
        await tx.run("DELETE FROM mails WHERE id = %(id)s", {"id": mail_id})
        return
    await tx.run(
        """UPDATE mails SET state = 'sent', sent_at = %(at)s, sealed_values = NULL, error = ''
        WHERE id = %(id)s AND state = 'queued'""",
        {"id": mail_id, "at": at},
    )


async def put_off(tx: Transaction, mail_id: UUID, until: datetime, error: str) -> None:
    await tx.run(
        "UPDATE mails SET next_attempt_at = %(until)s, error = %(error)s WHERE id = %(id)s AND state = 'queued'",
        {"id": mail_id, "until": until, "error": error},
    )


async def give_up(tx: Transaction, mail_id: UUID, error: str) -> None:
    """What it would have said is gone with that."""
    await tx.run(
        "UPDATE mails SET state = 'failed', sealed_values = NULL, error = %(error)s"
        " WHERE id = %(id)s AND state = 'queued'",
        {"id": mail_id, "error": error},
    )


async def delete_finished(tx: Transaction, before: datetime) -> list[UUID]:
    """Mails of the bound tenant (of none when none is bound) that were written before and are no longer queued."""
    rows = await tx.all(
        """DELETE FROM mails WHERE state <> 'queued' AND written_at < %(before)s
        AND tenant_id IS NOT DISTINCT FROM %(tenant_id)s RETURNING id""",
        {"before": before, "tenant_id": tx.tenant_id},
    )
    return [row["id"] for row in rows]


async def ids_of_tenant(tx: Transaction) -> list[UUID]:
    """Every mail of the bound tenant."""
    return [row["id"] for row in await tx.all("SELECT id FROM mails WHERE tenant_id = %(t)s", {"t": tx.tenant_id})]


async def delete_to(tx: Transaction, recipient: str) -> list[UUID]:
    """Every mail to this address that the transaction may touch."""
    rows = await tx.all("DELETE FROM mails WHERE recipient = %(to)s RETURNING id", {"to": recipient})
    return [row["id"] for row in rows]
