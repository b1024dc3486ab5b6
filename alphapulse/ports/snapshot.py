"""Everything of a tenant as it is at one moment, for the export."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID


class Snapshot(Protocol):
    """All tables as of the moment it was opened, under the tenant's row-level security."""

    @property
    def schema_version(self) -> str:
        """Of the database, as the migrations count it."""
        ...

    def rows(
        self, table: str, columns: Sequence[str], *, where: tuple[str, UUID] | None = None
    ) -> Generator[tuple[int, bytes]]:
        """(rows, text) in blocks of about 256 KB: each row one JSON object and a line feed.

        where: a column and the value it must have; None: every row that may be seen. Holds one block at a time.
        Close it before the snapshot when it is not read to its end.
        """
        ...


class Snapshots(Protocol):
    def snapshot(self, tenant_id: UUID, *, user_id: UUID | None = None) -> AbstractContextManager[Snapshot]:
        """Blocking, on a connection of its own: use it in a thread. user_id: also binds the user.

        Raises Unavailable when the database does not answer, also in the middle.
        """
        ...
