"""Making backups, finding them again, and letting the old ones go. Everything here blocks: call it in a thread."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from alphapulse.backup.archive import ArchiveReader, ArchiveWriter, key_name, read_header
from alphapulse.clock import Clock
from alphapulse.domain.backups import BackupFile, Retention
from alphapulse.domain.wire import parse_time, write_time
from alphapulse.errors import AlphaPulseError, Conflict, InvalidInput, Misconfigured, NotFound, StorageFull, Unavailable
from alphapulse.ports.backup import BesidesDatabase, Dump
from alphapulse.sealing import Seal

CONTENT = "content.json"
DATABASE = "database"
_SUFFIX = ".backup"
_UNFINISHED = ".unfinished"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Backups:
    """The backups in one folder. kept: what belongs into one besides the database."""

    def __init__(
        self,
        *,
        directory: Path,
        seal: Seal,
        dump: Dump,
        kept: Sequence[BesidesDatabase],
        clock: Clock,
        retention: Retention,
    ) -> None:
        self.directory = directory
        self._seal = seal
        self._dump = dump
        self._kept = kept
        self._clock = clock
        self._retention = retention

    def make(self, *, stopped: Callable[[], bool] = lambda: False) -> BackupFile:
        """Write a backup, read it back whole, and only then give it its name.

        stopped: asked again and again; once true, Unavailable is raised and nothing is left. Raises Conflict while
        another is being made here, StorageFull, Misconfigured, Unavailable.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with alone(self.directory / ".lock", "another backup is being made"):
                for left in self.directory.glob(f"*{_SUFFIX}{_UNFINISHED}"):
                    left.unlink(missing_ok=True)  # of one that was killed
                return self._made(stopped)
        except OSError as error:
            raise _disk(error, self.directory) from error

    def _made(self, stopped: Callable[[], bool]) -> BackupFile:
        at = self._clock.now()
        finished = self.directory / f"alphapulse-{at:%Y%m%dT%H%M%S.%fZ}{_SUFFIX}"
        unfinished = finished.with_name(f"{finished.name}{_UNFINISHED}")
        try:
            with self._created(unfinished) as file:
                self._write(file, at, stopped)
            verify(unfinished, self._seal)
            unfinished.replace(finished)
        finally:
            unfinished.unlink(missing_ok=True)
        _sync(self.directory)
        return describe(finished)

    def tidy(self) -> list[BackupFile]:
        """Delete those that are too old; which."""
        oldest = self._clock.now() - self._retention.keep
        gone = [one for one in list_backups(self.directory)[self._retention.keep_least :] if one.created_at < oldest]
        for one in gone:
            Path(one.file).unlink(missing_ok=True)
        return gone

    def _write(self, file: IO[bytes], at: datetime, stopped: Callable[[], bool]) -> None:
        with self._dump.snapshot() as snapshot:
            content = snapshot.content
            header = {"created_at": write_time(at), "server": content.server, "schema": content.schema}
            archive = ArchiveWriter(file, self._seal, header)
            archive.add(CONTENT, [json.dumps(asdict(content)).encode()])
            archive.add(DATABASE, _until(stopped, snapshot.chunks))
        for kept in self._kept:
            for name, chunks in kept.parts():
                archive.add(name, _until(stopped, chunks))
        archive.finish()

    @contextmanager
    def _created(self, path: Path) -> Generator[IO[bytes]]:
        """A new file for its owner alone, on disk when the block ends."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def alone(lock_file: Path, otherwise: str) -> Generator[None]:
    """The only process in this block. Raises Conflict, saying ``otherwise``, while there is another."""
    lock = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Conflict(f"{otherwise} ({lock_file.parent})", fix="Wait until it is done.") from None
    try:
        yield
    finally:
        os.close(lock)


def list_backups(directory: Path) -> list[BackupFile]:
    """Newest first. What is in the folder and no backup is passed over."""
    found: list[BackupFile] = []
    for path in directory.glob(f"*{_SUFFIX}"):
        with suppress(AlphaPulseError):
            found.append(describe(path))
    return sorted(found, key=lambda one: one.created_at, reverse=True)


def verify(path: Path, seal: Seal) -> dict[str, Any]:
    """Read everything: parts, bytes and the checksum over all. Raises DriftFound, Misconfigured or InvalidInput."""
    with opened(path) as file:
        reader = ArchiveReader(file, seal)
        for _ in reader.parts():
            pass
        return reader.sums


def describe(path: Path) -> BackupFile:
    """What a backup says of itself. Raises NotFound, InvalidInput when it is none, DriftFound when it is damaged."""
    with opened(path) as file:
        header = read_header(file)
    try:
        created_at = parse_time(str(header["created_at"]), "created_at")
        server, schema, key = int(header["server"]), str(header["schema"]), str(header["key"])
    except (KeyError, ValueError) as error:
        raise InvalidInput(f"{path} is not a backup of AlphaPulse: its header lacks {error}") from error
    return BackupFile(str(path), created_at, path.stat().st_size, server, schema, key)


def opens(backup: BackupFile, seal: Seal) -> bool:
    """Whether this master key opens it."""
    return backup.key == key_name(seal)


@contextmanager
def opened(path: Path) -> Generator[IO[bytes]]:
    """Raises NotFound, or Misconfigured when the file cannot be read."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", fix="List them with: alphapulse db backups") from None
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}", fix="Correct its permissions.") from error
    with file:
        yield file


def _until(stopped: Callable[[], bool], chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if stopped():
            raise Unavailable("the backup was stopped", fix="It is made again by itself, or with: alphapulse db backup")
        yield chunk


def _disk(error: OSError, path: Path) -> AlphaPulseError:
    if error.errno in _NO_ROOM:
        return StorageFull(f"no room for a backup at {path}", fix="Free space, or set ALPHAPULSE_BACKUP__DIRECTORY.")
    return Misconfigured(
        f"no backup can be written at {path}: {error.strerror}", fix="Correct ALPHAPULSE_BACKUP__DIRECTORY."
    )


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
