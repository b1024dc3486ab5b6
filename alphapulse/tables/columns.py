"""The metadata that every table hangs on, and the column kinds that recur."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ForeignKey, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID

SCHEMA = "app"

METADATA = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)


def tenant_id(*, primary_key: bool = False) -> Column[Any]:
    """The column that row-level security looks at."""
    return Column(
        "tenant_id",
        UUID(as_uuid=True),
        ForeignKey(f"{SCHEMA}.tenants.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )


def identity(name: str = "id", *, primary_key: bool = False, nullable: bool = False) -> Column[Any]:
    """A UUID made in Python, so that a repeat after a crash can make the same one."""
    return Column(name, UUID(as_uuid=True), primary_key=primary_key, nullable=nullable)


def moment(name: str, *, nullable: bool = False, primary_key: bool = False) -> Column[Any]:
    return Column(name, TIMESTAMP(timezone=True), nullable=nullable, primary_key=primary_key)


def money(name: str, *, nullable: bool = False) -> Column[Any]:
    """Exact: numeric without a declared scale; the domain limits it to 12 places."""
    return Column(name, Numeric(asdecimal=True), nullable=nullable)


def text(name: str, *, nullable: bool = False, primary_key: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=nullable, primary_key=primary_key)


def document(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, JSONB, nullable=nullable)
