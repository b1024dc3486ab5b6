"""Where the embedded server's unix socket lies: a short path of its own, closed to everybody else."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
import tempfile
from pathlib import Path

from alphapulse.adapters.database.server_user import ServerUser
from alphapulse.errors import Misconfigured

#: Longest socket path that every platform takes (104 bytes on macOS), the file's own name included.
_LONGEST = 100
_NAME = ".s.PGSQL.5432"


def directory_of(data_directory: Path, user: ServerUser) -> Path:
    """The same at every start of the same server, so that open pools find the way back after a restart."""
    name = f"ap-{os.geteuid()}-{hashlib.sha256(os.fsencode(data_directory)).hexdigest()[:12]}"
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base / name / _NAME)) > _LONGEST or not user.may_enter(base):
        base = Path("/tmp")  # noqa: S108 the directory below it is ours alone, or refused
    return base / name


def make_directory(data_directory: Path, user: ServerUser) -> Path:
    """Make it for the server's user. Raises Misconfigured when somebody else made it first."""
    directory = directory_of(data_directory, user)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
        user.own(directory)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user.effective or found.st_mode & 0o077:
        raise Misconfigured(
            f"{directory} belongs to somebody else", fix="Remove it, or set TMPDIR to a private folder."
        )
    return directory


def drop_stale(directory: Path) -> bool:
    """Remove what a killed server left here. False when a server still listens, and nothing was removed.

    PostgreSQL itself looks at the process id in the lock only, and that may be a zombie's by now, or a stranger's.
    """
    if listens(directory):
        return False
    for name in (_NAME, f"{_NAME}.lock"):
        (directory / name).unlink(missing_ok=True)
    return True


def listens(directory: Path) -> bool:
    """Whether any server takes connections on the socket in ``directory``."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(directory / _NAME))
        except BlockingIOError:
            return True  # so many wait for the server that we could not even queue
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True
