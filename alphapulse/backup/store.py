"""What the proof asks of a restored database."""

from __future__ import annotations

from uuid import UUID

from alphapulse.ports.database import Transaction


async def tenant_ids(tx: Transaction) -> list[UUID]:
    """Of every tenant, whatever its state."""
    return [row["tenant_id"] for row in await tx.all("SELECT tenant_id FROM app.tenants_ids()")]
