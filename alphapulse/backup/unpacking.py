"""A backup taken apart: the database into an empty one, everything else into a folder. Blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from alphapulse.backup.archive import ArchiveReader
from alphapulse.backup.folders import put_file
from alphapulse.backup.service import CONTENT, DATABASE, describe, opened
from alphapulse.errors import DriftFound
from alphapulse.ports.backup import Content, Load
from alphapulse.sealing import Seal


@dataclass(frozen=True, slots=True)
class Unpacked:
    """content: what the database held when it was kept."""

    content: Content
    created_at: datetime


def unpack(path: Path, seal: Seal, load: Load, folder: Path) -> Unpacked:
    """Raises DriftFound when the backup is damaged or lacks the database; the empty database stays empty then."""
    created_at = describe(path).created_at
    content: Content | None = None
    loaded = False
    with opened(path) as file:
        for name, pieces in ArchiveReader(file, seal).parts():
            if name == CONTENT:
                content = _content(pieces)
            elif name == DATABASE:
                load.load(pieces)
                loaded = True
            else:
                put_file(folder, name, pieces)
    if content is None or not loaded:
        raise DriftFound(f"{path} holds no database", fix="Use another backup.")
    return Unpacked(content, created_at)


def _content(pieces: Iterator[bytes]) -> Content:
    data: dict[str, Any] = json.loads(b"".join(pieces))
    heads = {tenant: (int(sequence), str(last)) for tenant, (sequence, last) in data["heads"].items()}
    return Content(int(data["server"]), str(data["schema"]), data["rows"], heads)
