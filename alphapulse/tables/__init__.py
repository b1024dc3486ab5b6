"""The database schema, one module per noun. Row-level security, the leak test, export and erasure follow from it."""

from __future__ import annotations

from alphapulse.tables import agents, events, funds, jobs, tenancy, trading
from alphapulse.tables.columns import METADATA

#: Every table that holds rows of a tenant; each has row-level security: no tenant ever sees a row of another.
TENANT_TABLES = tuple(sorted(table.name for table in METADATA.tables.values() if "tenant_id" in table.columns))

__all__ = ["METADATA", "TENANT_TABLES", "agents", "events", "funds", "jobs", "tenancy", "trading"]
