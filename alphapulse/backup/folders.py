"""What a backup takes from the data directory besides the database. Everything here blocks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from alphapulse.errors import DriftFound

_CHUNK = 1_048_576


class Folder:
    """Every file below ``root``, under ``name/``, and every empty folder, with a slash behind its name."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root

    def parts(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        for path in _files(self.root):
            yield f"{self.name}/{path.relative_to(self.root).as_posix()}", _chunks(path)
        for folder in sorted(self.root.rglob("*/")):
            if not any(folder.iterdir()):
                yield f"{self.name}/{folder.relative_to(self.root).as_posix()}/", iter(())


class SingleFile:
    """One file, under ``name``; left out while it does not exist."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path

    def parts(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        if self.path.exists():
            yield self.name, _chunks(self.path)


class CandleList:
    """Which candles there are, not the candles: a line of JSON for each file of the catalogue."""

    NAME = "candles.jsonl"

    def __init__(self, root: Path) -> None:
        self.root = root

    def parts(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        yield self.NAME, self._lines()

    def _lines(self) -> Iterator[bytes]:
        for path in _files(self.root):
            if path.suffix == ".parquet":
                line = {"path": path.relative_to(self.root).as_posix(), "sha256": _checksum(path)}
                yield json.dumps(line).encode() + b"\n"

    def differences(self, listed: bytes) -> Iterator[str]:
        """The listed files that are not there, or are not what they were; further ones do not matter."""
        for line in listed.splitlines():
            wanted = json.loads(line)
            path = self.root / str(wanted["path"])
            if not path.exists():
                yield f"{wanted['path']} is not there"
            elif _checksum(path) != wanted["sha256"]:
                yield f"{wanted['path']} has changed since"


def put_file(root: Path, name: str, chunks: Iterable[bytes]) -> None:
    """Write one file, or make one folder, below ``root``, for its owner alone.

    Raises DriftFound for a name that leads out of it.
    """
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or not place.parts:
        raise DriftFound(f"the backup holds a file with the impossible name {name!r}", fix="Use another backup.")
    path = root / place
    if name.endswith("/"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def exchange(fresh: Path, place: Path, kept_as: Path) -> None:
    """Put the folder ``fresh`` at ``place``; what stood there is kept beside it. Without ``fresh`` nothing happens."""
    if not fresh.exists():
        return
    if place.exists():
        place.rename(kept_as)
    shutil.move(fresh, place)


def _files(root: Path) -> Iterator[Path]:
    """Files, never links, and none that is only being written."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
            yield path


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()
