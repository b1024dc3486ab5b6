"""Who and what is asked for before a tenant is known: the definer functions of the schema answer with ids."""

from __future__ import annotations

from uuid import UUID

from alphapulse.ports.database import Transaction


async def find(
    tx: Transaction, *, email: str | None = None, slug: str | None = None
) -> tuple[UUID | None, UUID | None]:
    """The ids of the user with this address and of the tenant with this slug; None for what there is not."""
    row = await tx.one(
        "SELECT user_by_email(%(email)s) AS user_id, tenant_by_slug(%(slug)s) AS tenant_id",
        {"email": email, "slug": slug},
    )
    return (row["user_id"], row["tenant_id"]) if row else (None, None)
