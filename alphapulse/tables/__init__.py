"""The database schema, one module per noun. Row-level security, the leak test, export and erasure follow from it."""

from __future__ import annotations

from alphapulse.tables import (
    access,
    agents,
    events,
    funds,
    jobs,
    lifecycle,
    mail,
    people,
    privacy,
    support,
    tenancy,
    trading,
)
from alphapulse.tables.columns import METADATA

#: Every table that holds rows of a tenant; each has row-level security: no tenant ever sees a row of another.
TENANT_TABLES = tuple(sorted(table.name for table in METADATA.tables.values() if "tenant_id" in table.columns))
#: Every table that holds rows of a user, whatever tenants they belong to; each has row-level security by that user.
USER_TABLES = tuple(
    sorted(
        table.name
        for table in METADATA.tables.values()
        if "user_id" in table.columns and "tenant_id" not in table.columns
    )
)

__all__ = [
    "METADATA",
    "TENANT_TABLES",
    "USER_TABLES",
    "access",
    "agents",
    "events",
    "funds",
    "jobs",
    "lifecycle",
    "mail",
    "people",
    "privacy",
    "support",
    "tenancy",
    "trading",
]
