"""Tenants that have a row in every table, written round the policies."""

from __future__ import annotations

from uuid import UUID

import psycopg

from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.tables import METADATA, TENANT_TABLES, USER_TABLES
from tests.slices.test_leak import OTHER_GUARDED, a_row, insert


def fill_every_table(urls: DatabaseUrls, *tenants: UUID) -> None:
    """One row per table and tenant; ids and references are those of test_leak.a_row."""
    assert urls.admin is not None
    with psycopg.connect(urls.admin) as admin:
        admin.execute("SELECT audit.add_month('2026-01-01')")
        for table in METADATA.sorted_tables:
            if table.name in {*TENANT_TABLES, *USER_TABLES, *OTHER_GUARDED}:
                for tenant_id in tenants:
                    row = a_row(table.name, tenant_id)
                    if table.name == "audit_events":
                        row |= {"kind": "change", "changes": ""}
                    admin.execute(insert(table.name, row).encode(), row)


def left_of(urls: DatabaseUrls, tenant_id: UUID) -> set[str]:
    """The tables that still hold a row of the tenant."""
    assert urls.admin is not None
    left: set[str] = set()
    with psycopg.connect(urls.admin) as admin:
        for name in (*TENANT_TABLES, "tenants"):
            column = "id" if name == "tenants" else "tenant_id"
            found = admin.execute(f"SELECT 1 FROM app.{name} WHERE {column} = %s LIMIT 1".encode(), [tenant_id])
            if found.fetchone() is not None:
                left.add(name)
    return left
