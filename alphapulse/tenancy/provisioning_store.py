"""Rows of provisionings and of their steps, in transactions bound to the tenant."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from alphapulse.domain.lifecycle import TenantState
from alphapulse.domain.provisioning import Direction, ProvisioningStatus, ProvisioningStep, StepName, StepState
from alphapulse.ports.database import Transaction


async def begin(
    tx: Transaction, tenant_id: UUID, *, admin_email: str, admin_id: UUID | None, actor: str, at: datetime
) -> None:
    """The first time, or anew after a provisioning that was undone."""
    await tx.run(
        "INSERT INTO provisionings (tenant_id, admin_email, admin_id, direction, error, actor, started_at)"
        " VALUES (%(tenant_id)s, %(admin_email)s, %(admin_id)s, 'forward', '', %(actor)s, %(at)s)"
        " ON CONFLICT (tenant_id) DO UPDATE SET admin_email = excluded.admin_email,"
        " admin_id = excluded.admin_id, direction = 'forward', error = '', actor = excluded.actor,"
        " started_at = excluded.started_at, finished_at = NULL",
        {"tenant_id": tenant_id, "admin_email": admin_email, "admin_id": admin_id, "actor": actor, "at": at},
    )
    rows = [{"tenant_id": tenant_id, "name": name.value, "position": n} for n, name in enumerate(StepName)]
    await tx.run_many(
        "INSERT INTO provisioning_steps (tenant_id, name, position, state, attempts, detail, error)"
        " VALUES (%(tenant_id)s, %(name)s, %(position)s, 'waiting', 0, '', '')"
        " ON CONFLICT (tenant_id, name) DO UPDATE SET state = 'waiting', attempts = 0, detail = '', error = '',"
        " started_at = NULL, finished_at = NULL",
        rows,
    )


async def admin_id(tx: Transaction, tenant_id: UUID) -> UUID | None:
    """The user who signed up for the tenant; None where an admin is invited."""
    row = await tx.one("SELECT admin_id FROM provisionings WHERE tenant_id = %(tenant_id)s", {"tenant_id": tenant_id})
    return None if row is None else row["admin_id"]


async def status(tx: Transaction, tenant_id: UUID) -> ProvisioningStatus | None:
    """None for a tenant that never was provisioned."""
    row = await tx.one(
        "SELECT p.tenant_id, t.slug, t.state, p.admin_email, p.direction, p.error, p.started_at, p.finished_at"
        " FROM provisionings p JOIN tenants t ON t.id = p.tenant_id WHERE p.tenant_id = %(tenant_id)s",
        {"tenant_id": tenant_id},
    )
    if row is None:
        return None
    steps = await tx.all(
        "SELECT name, state, attempts, detail, error, started_at, finished_at FROM provisioning_steps"
        " WHERE tenant_id = %(tenant_id)s ORDER BY position",
        {"tenant_id": tenant_id},
    )
    return ProvisioningStatus(
        row["tenant_id"],
        row["slug"],
        TenantState(row["state"]),
        row["admin_email"],
        Direction(row["direction"]),
        row["error"],
        row["started_at"],
        row["finished_at"],
        tuple(
            ProvisioningStep(
                StepName(step["name"]),
                StepState(step["state"]),
                step["attempts"],
                step["detail"],
                step["error"],
                step["started_at"],
                step["finished_at"],
            )
            for step in steps
        ),
    )


async def start_step(tx: Transaction, tenant_id: UUID, name: StepName, at: datetime) -> bool:
    """One more attempt; counted before it is made, so that one which kills its process counts. False when the step is
    done: another worker was faster.
    """
    begun = await tx.run(
        "UPDATE provisioning_steps SET state = 'running', attempts = attempts + 1,"
        " started_at = coalesce(started_at, %(at)s)"
        " WHERE tenant_id = %(tenant_id)s AND name = %(name)s AND state <> 'done'",
        {"tenant_id": tenant_id, "name": name.value, "at": at},
    )
    return begun > 0


async def lock_step(tx: Transaction, tenant_id: UUID, name: StepName) -> str | None:
    """The detail of a step that is done, None of one that is not; nobody else does it until the transaction ends."""
    row = await tx.one(
        "SELECT state, detail FROM provisioning_steps WHERE tenant_id = %(tenant_id)s AND name = %(name)s FOR UPDATE",
        {"tenant_id": tenant_id, "name": name.value},
    )
    return row["detail"] if row is not None and row["state"] == StepState.DONE.value else None


async def end_step(
    tx: Transaction,
    tenant_id: UUID,
    name: StepName,
    state: StepState,
    at: datetime,
    *,
    detail: str | None = None,
    error: str = "",
) -> None:
    """detail None: it stays."""
    await tx.run(
        "UPDATE provisioning_steps SET state = %(state)s, detail = coalesce(%(detail)s::text, detail),"
        " error = %(error)s, finished_at = CASE WHEN %(state)s = 'running' THEN NULL ELSE %(at)s::timestamptz END"
        " WHERE tenant_id = %(tenant_id)s AND name = %(name)s",
        {
            "tenant_id": tenant_id,
            "name": name.value,
            "state": state.value,
            "detail": detail,
            "error": error,
            "at": at,
        },
    )


async def turn_back(tx: Transaction, tenant_id: UUID, error: str) -> None:
    await tx.run(
        "UPDATE provisionings SET direction = 'back', error = %(error)s WHERE tenant_id = %(tenant_id)s",
        {"tenant_id": tenant_id, "error": error},
    )


async def finish(tx: Transaction, tenant_id: UUID, at: datetime) -> None:
    await tx.run(
        "UPDATE provisionings SET finished_at = %(at)s WHERE tenant_id = %(tenant_id)s",
        {"tenant_id": tenant_id, "at": at},
    )


async def set_billing(tx: Transaction, tenant_id: UUID, reference: str | None, trial_ends_at: datetime | None) -> None:
    await tx.run(
        "UPDATE tenants SET billing_reference = %(reference)s, trial_ends_at = %(trial_ends_at)s WHERE id = %(id)s",
        {"id": tenant_id, "reference": reference, "trial_ends_at": trial_ends_at},
    )


async def billing_reference(tx: Transaction, tenant_id: UUID) -> str | None:
    row = await tx.one("SELECT billing_reference FROM tenants WHERE id = %(id)s", {"id": tenant_id})
    return None if row is None else row["billing_reference"]
