"""The erasure ledger's copy outside of the database: a restored backup does not know what was erased after it.

A file of one line per erasure, ids and times alone, written before the first row goes. Append-only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from alphapulse.domain.privacy import ErasureEntry
from alphapulse.errors import StorageFull


def read_file(path: Path) -> list[ErasureEntry]:
    """Empty when there is no file. Raises InvalidInput naming the line that is none."""
    if not path.exists():
        return []
    return [ErasureEntry.parse(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def append(path: Path, entries: Iterable[ErasureEntry]) -> None:
    """Durable when it returns; an entry that is there already is not written twice. Raises StorageFull."""
    known = {(each.kind, each.erased_id) for each in read_file(path)}
    fresh = [entry for entry in entries if (entry.kind, entry.erased_id) not in known]
    if not fresh:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "ab") as file:
            file.write("".join(f"{entry.line()}\n" for entry in fresh).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageFull(f"{path}: the erasure ledger cannot be written: {error.strerror}") from error
