"""Writing a file so that it is there wholly or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from alphapulse.errors import StorageFull

#: What systems answer when there is no room: no space, quota used up, file-size limit.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def replace_file(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` in one step, on disk when this returns. Raises StorageFull and leaves the old file
    as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if error.errno in _NO_ROOM:
            raise StorageFull(
                f"no room to write {path}: {error.strerror}", fix="Free some space; nothing was changed."
            ) from error
        raise


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Alone with ``folder`` among all processes, until the block ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(
                f"no room to write below {folder}", fix="Free some space; nothing was changed."
            ) from error
        raise
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """A rename is durable only once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
