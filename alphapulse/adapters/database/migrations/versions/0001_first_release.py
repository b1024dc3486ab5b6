"""The first release: tables, row-level security, look-ups, the audit chain and the queue."""

from __future__ import annotations

from pathlib import Path

from alembic import op

from alphapulse.adapters.database.migrations.engine_schema import engine_schema

revision = "0001"
down_revision = None

#: Procrastinate 3.10.
_ENGINE_SCHEMA = "c70ec4b400a60ad9592787653aae5ae77ae41bf801d56b5bd2712751a07f2009"
_FOLDER = Path(__file__).parent.parent / "sql" / revision


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for name in ("tables", "binding"):
        connection.execute((_FOLDER / f"{name}.sql").read_bytes())
    connection.execute(b"SET LOCAL search_path = queue")
    connection.execute(engine_schema(_ENGINE_SCHEMA))
    connection.execute(b"RESET search_path")
    for name in ("grants", "policies", "lookups", "audit"):
        connection.execute((_FOLDER / f"{name}.sql").read_bytes())
