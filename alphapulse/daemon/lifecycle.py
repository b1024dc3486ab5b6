"""One daemon per data directory, and how others find it.

The contract that ``alphapulse daemon start | stop | status | logs`` relies on, all in the data directory:

daemon.pid   first line: the process id. The running daemon holds an exclusive flock on the file from before it opens
             anything until everything is closed. Whoever gets ``flock(LOCK_SH | LOCK_NB)`` on it has found the file
             of a daemon that is gone, whatever process now has that id.
daemon.json  0600: {"pid", "url", "started_at", "version", "context", "host"}. Written when the daemon answers
             requests, removed when it stops taking them. It counts only while daemon.pid is locked and names the
             same pid.
daemon.log   one JSON object per line; daemon.log.1 to .3 are older.
admin.key    0600: the platform admin's key that the first start made.

Start: ``python -m alphapulse.daemon run --data-directory DIR --quiet`` in a session of its own; it is up when
daemon.json names its pid; when it ends first, its stderr says ``error: ...`` and ``fix: ...``. Stop: SIGTERM to the
pid, then wait until the lock on daemon.pid is free; a second SIGTERM ends requests and jobs at once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from alphapulse.errors import Conflict, Misconfigured, StorageFull

PID_FILE = "daemon.pid"
STATE_FILE = "daemon.json"
LOG_FILE = "daemon.log"
KEY_FILE = "admin.key"

#: A reader that looks at the lock holds it for a moment itself.
_PATIENCE_S = 1.0
_BACKLOG = 2048

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """What daemon.json holds. started_at: ISO 8601, UTC. context: what the command line calls this daemon, empty when
    it was not told. host: the address that is listened on.
    """

    pid: int
    url: str
    started_at: str
    version: str
    context: str = ""
    host: str = ""


def prepare(directory: Path) -> None:
    """Make the data directory, for its owner alone. Raises Misconfigured or StorageFull."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = directory / f".probe.{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageFull(f"{directory}: no space left", fix="Free space, or name another directory.") from error
        why = "it is a file" if directory.is_file() else error.strerror
        raise Misconfigured(
            f"the data directory {directory} cannot be written: {why}",
            fix="Correct its permissions, or name another with --data-directory.",
        ) from error


@contextlib.contextmanager
def held(directory: Path) -> Generator[int | None]:
    """Hold the directory for this process. Gives the pid of a predecessor that did not end orderly, if there was one.

    Raises Conflict while another daemon runs on it.
    """
    file = _locked(directory / PID_FILE)
    try:
        stale = _pid_in(file)
        if stale is not None:
            _log.warning("the last daemon did not end orderly; its pid file is stale", extra={"stale_pid": stale})
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        (directory / STATE_FILE).unlink(missing_ok=True)
        yield stale
    finally:
        (directory / STATE_FILE).unlink(missing_ok=True)
        (directory / PID_FILE).unlink(missing_ok=True)
        file.close()


def running(directory: Path) -> int | None:
    """The pid of the daemon that runs on this directory, by the lock and not by the number; None when there is none."""
    try:
        with (directory / PID_FILE).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(FileNotFoundError), (directory / PID_FILE).open() as file:
            return _pid_in(file) or 0
        return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    return None


def write_state(directory: Path, state: State) -> None:
    write_private(directory / STATE_FILE, json.dumps(asdict(state)) + "\n")


def read_state(directory: Path) -> State | None:
    """Of the daemon that runs; None when none does, or when it is not up yet."""
    pid = running(directory)
    try:
        data: dict[str, Any] = json.loads((directory / STATE_FILE).read_text())
        state = State(**data)
    except (OSError, ValueError, TypeError):
        return None
    return state if state.pid == pid else None


def drop_state(directory: Path) -> None:
    (directory / STATE_FILE).unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Written beside and moved into place, readable by its owner alone."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def bind(host: str, port: int) -> socket.socket:
    """A socket on the address, not yet listening; port 0 takes a free one. Raises Conflict or Misconfigured."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Misconfigured(f"host {host} is no address of this machine: {error}", fix="Correct host.") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # Listening now, not when everything is open: two daemons on one port meet here and not half-way up.
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {port} on {host} is in use",
                fix="Stop what listens there (alphapulse daemon status), or choose another with --port; 0 is any.",
            ) from error
        raise Misconfigured(
            f"cannot listen on {host} port {port}: {error.strerror}", fix="Choose another host or port."
        ) from error
    return bound


def url_of(bound: socket.socket, *, tls: bool) -> str:
    host, port = str(bound.getsockname()[0]), int(bound.getsockname()[1])
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host) or host  # noqa: S104 -- compared, not bound
    shown = f"[{reachable}]" if ":" in reachable else reachable
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def _locked(path: Path) -> IO[str]:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The file may have been removed by its owner between our open and our lock.
            if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        except BlockingIOError:
            if time.monotonic() > deadline:
                pid = _pid_in(file)
                file.close()
                raise Conflict(
                    f"a daemon already runs on {path.parent} (process {pid})",
                    fix="Stop it with `alphapulse daemon stop`, or name another data directory.",
                ) from None
        file.close()
        time.sleep(0.02)


def _pid_in(file: IO[str]) -> int | None:
    file.seek(0)
    text = file.readline(20).strip()
    return int(text) if text.isdigit() else None
