"""Which columns of a table an export shows: all but secrets."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, LargeBinary
from sqlalchemy.dialects.postgresql import ARRAY

from alphapulse.tables.columns import METADATA, SCHEMA

#: Secrets that are text. Every binary column is one as well: the hash of a secret, or something sealed.
_SECRET_TEXT = frozenset({"password_hash"})


def exported(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(columns that are shown, columns that are not) of a table, in their order."""
    columns = METADATA.tables[f"{SCHEMA}.{name}"].columns
    shown = tuple(column.name for column in columns if not _is_secret(column))
    return shown, tuple(column.name for column in columns if _is_secret(column))


def _is_secret(column: Column[Any]) -> bool:
    kind = column.type.item_type if isinstance(column.type, ARRAY) else column.type
    return isinstance(kind, LargeBinary) or column.name in _SECRET_TEXT
