"""Heads of the chains, written to files outside the database: a chain rewritten as a whole shows against them.

One file per month, one JSON line per head, only ever appended to. Copy them where nobody who can write to the
database can write: a file beside it protects from less. Everything here blocks; the files are small.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

from alphapulse.domain.audit import PublishedHead, parse_heads, write_head

_PATTERN: Final = "heads-*.jsonl"


class HeadFiles:
    """The files in ``directory``, which is made when the first head is published."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def publish(self, heads: Sequence[PublishedHead]) -> int:
        """Append those that moved since they were published last; how many did. On the disk when it returns."""
        known = self._newest()
        moved = [head for head in heads if known.get(head.tenant_id) != (head.sequence, head.hash)]
        if not moved:
            return 0
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"heads-{moved[0].at:%Y-%m}.jsonl"
        with path.open("a+b") as file:
            _drop_unfinished(file)
            file.writelines(f"{write_head(head)}\n".encode() for head in moved)
            file.flush()
            os.fsync(file.fileno())
        return len(moved)

    def by_chain(self) -> dict[UUID, list[PublishedHead]]:
        """Every head that was published. Raises InvalidInput for a damaged file."""
        found: dict[UUID, list[PublishedHead]] = {}
        for head in self._read(self._files()):
            found.setdefault(head.tenant_id, []).append(head)
        return found

    def _newest(self) -> dict[UUID, tuple[int, bytes]]:
        """By chain. A month's file holds a chain's head only once it moved, so the one before is looked at too."""
        return {head.tenant_id: (head.sequence, head.hash) for head in self._read(self._files()[-2:])}

    def _files(self) -> list[Path]:
        return sorted(self.directory.glob(_PATTERN))

    def _read(self, files: Iterable[Path]) -> Iterable[PublishedHead]:
        for path in files:
            yield from parse_heads(path.read_text(encoding="ascii", errors="replace"), str(path))


def _drop_unfinished(file: BinaryIO) -> None:
    """Cut a last line without an end: its writer was stopped in the middle, and what follows must not continue it."""
    file.seek(0)
    text = file.read()
    file.truncate(text.rfind(b"\n") + 1)
