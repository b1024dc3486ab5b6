"""What an export holds: every table of the tenants, so that a new one cannot be forgotten, less what is secret."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from alphapulse.tables import TENANT_TABLES, USER_TABLES
from alphapulse.tables.exported import exported

#: Written through the audit log itself, which opens what is sealed in it; and the keys of that, nobody's data.
AUDIT_TABLES = tuple(name for name in TENANT_TABLES if name.startswith("audit_"))


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the export. where: a column and the value it must have; None: all that row-level security shows."""

    file: str
    table: str
    columns: tuple[str, ...]
    left_out: tuple[str, ...]
    where: tuple[str, UUID] | None


def parts_of(tenant_id: UUID, user_id: UUID | None) -> tuple[Part, ...]:
    """Of the tenant, its people, and what belongs to the asking member alone. user_id None: no member asks."""
    own = [_part("tenants", ("id", tenant_id)), _part("users", None)]
    held = [_part(name, ("tenant_id", tenant_id)) for name in TENANT_TABLES if name not in AUDIT_TABLES]
    asking = [] if user_id is None else [_part(name, ("user_id", user_id), folder="you/") for name in USER_TABLES]
    return (*own, *held, *asking)


def _part(name: str, where: tuple[str, UUID] | None, *, folder: str = "") -> Part:
    columns, left_out = exported(name)
    return Part(f"{folder}{name}.ndjson", name, columns, left_out, where)
