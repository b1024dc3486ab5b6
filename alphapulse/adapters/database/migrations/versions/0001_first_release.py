"""The first release: tables, row-level security, look-ups, the audit chain and the queue."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

_FOLDER = Path(__file__).parent.parent / "sql" / revision


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for name in ("tables", "binding"):
        connection.execute((_FOLDER / f"{name}.sql").read_bytes())
    connection.execute(b"SET LOCAL search_path = queue")
    connection.execute((_FOLDER / "queue.sql").read_bytes())
    connection.execute(b"RESET search_path")
    for name in ("grants", "policies", "lookups", "audit"):
        connection.execute((_FOLDER / f"{name}.sql").read_bytes())
