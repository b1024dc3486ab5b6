"""Tenants as a business: one file of SQL per noun, each with its tables, grants, policies and look-ups."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"

_FOLDER = Path(__file__).parent.parent / "sql" / revision
#: In the order in which they run; privacy is last, because it opens every table to erasure.
_NOUNS: tuple[str, ...] = ("people", "lifecycle", "access", "mail", "privacy", "support", "audit")


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for noun in _NOUNS:
        connection.execute((_FOLDER / f"{noun}.sql").read_bytes())
