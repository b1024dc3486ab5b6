"""How Alembic runs our migrations: on the connection it is handed, as ``ap_owner``, all in one transaction."""

from __future__ import annotations

from alembic import context

from alphapulse.tables import METADATA
from alphapulse.tables.columns import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table_schema=SCHEMA,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
