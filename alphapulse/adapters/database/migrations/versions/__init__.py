"""One file per version of the schema; Alembic finds them here."""

from __future__ import annotations

#: The newest version; a test holds it equal to the newest file.
HEAD = "0002"
