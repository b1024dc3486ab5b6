"""A private PostgreSQL, started from a pip wheel's programs in the daemon's data directory.

It listens on a unix socket in a 0700 directory and nowhere else. It survives the daemon's death by SIGKILL:
the next start adopts it. PostgreSQL refuses to run as root, so root starts it as ``nobody`` (or as whoever
owns the data already).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import psutil
import psycopg
from psycopg import sql

from alphapulse.adapters.database import binaries, sockets
from alphapulse.adapters.database.server_user import ServerUser
from alphapulse.adapters.database.urls import DatabaseUrls, socket_urls
from alphapulse.errors import Conflict, Misconfigured, Unavailable

DATABASE = "alphapulse"

_LOG_LIMIT_BYTES = 10_000_000

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "jit": "off",  # compiling costs more than it saves on queries of a few rows
    "max_connections": "100",
    "shared_buffers": "64MB",
}
#: For throw-away data only: nothing survives a crash of the machine.
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """One server for one directory. Its methods block: call them in a thread from async code.

    directory: made if missing; holds ``data``, ``log`` and ``lock``. The lock is held from start() to stop(),
    so two daemons never share a directory. durable=False: for tests and demos. settings: more of the server's
    parameters.
    """

    def __init__(
        self,
        directory: Path,
        *,
        version: int = binaries.NEWEST,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        timeout_s: float = 60,
    ) -> None:
        self.directory = directory.absolute()
        self._version = version
        self._durable = durable
        self._settings = {**_SETTINGS, **({} if durable else _NOT_DURABLE), **(settings or {})}
        self._timeout_s = timeout_s
        self._lock: IO[str] | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def start(self) -> DatabaseUrls:
        """Make the data directory where there is none, start the server or adopt the one that runs; repeatable.

        Raises Conflict when another process holds the directory, Misconfigured when the machine or the data
        is at fault (with the end of the server's log), Unavailable when it takes too long.
        """
        held = self._lock is not None
        self._take_lock()
        try:
            socket_directory = self._wait_for_running() or self._launch()
            self._make_database(socket_directory)
        except BaseException:
            if self._child is not None and self._child.poll() is None and self._running() is None:
                self._child.kill()  # it never became ready: leave nothing behind
                self._child.wait()
            if not held:
                self._drop_lock()
            raise
        return socket_urls(socket_directory, DATABASE)

    def running(self) -> DatabaseUrls | None:
        """The running server's logins, without starting anything and without the lock; None when it is down."""
        socket_directory = self._running()
        return None if socket_directory is None else socket_urls(socket_directory, DATABASE)

    def stop(self) -> None:
        """End every session, write everything down, let the lock go.

        Nothing when no server runs, and nothing when another daemon holds the directory: its server is not ours.
        """
        try:
            self._take_lock()
        except Conflict:
            return
        process = self._process()
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)
            self._wait_for_end(process)
        with contextlib.suppress(OSError):
            sockets.directory_of(self.directory, ServerUser.of(self.data)).rmdir()
        self._drop_lock()

    def pid(self) -> int | None:
        """The server's process id, or None when it does not run."""
        process = self._process()
        return None if process is None else process.pid

    # The lock

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self.directory / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(20).strip() or "unknown"
            lock.close()
            raise Conflict(
                f"process {holder} already uses {self.directory}",
                fix="Stop that daemon, or name another data directory.",
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _drop_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # What runs

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _process(self) -> psutil.Process | None:
        """The live process named by the pid file, if it is a PostgreSQL that works inside our data directory.

        The number alone proves nothing: it may have been given to another process, or the file may be a copy.
        """
        lines = self._pid_file()
        try:
            process = psutil.Process(abs(int(lines[0])))
            ours = process.name().startswith("postgres") and Path(process.cwd()).samefile(self.data)
        except (IndexError, ValueError, OSError, psutil.Error):
            return None
        return process if ours else None

    def _wait_for_running(self) -> Path | None:
        """Our server once it answers, however long it recovers; None when there is none, or it was just ending."""
        deadline = time.monotonic() + self._timeout_s
        while self._process() is not None:
            found = self._running()
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise self._too_slow()
            time.sleep(0.01)
        return None

    def _too_slow(self) -> Unavailable:
        return Unavailable(
            f"the embedded PostgreSQL was not ready within {self._timeout_s:.0f} s",
            fix=f"It may be recovering: see {self.log} and try again.",
        )

    def _running(self) -> Path | None:
        """Socket directory of our server when it answers."""
        lines = self._pid_file()
        if self._process() is None or len(lines) < 8 or lines[7].strip() != "ready":
            return None
        directory = Path(lines[4].strip())
        try:
            with psycopg.connect(_postgres(directory), connect_timeout=5):
                return directory
        except psycopg.OperationalError:
            return None

    # Starting

    def _launch(self) -> Path:
        version = self._version_of_data()
        user = ServerUser.of(self.data)
        programs = binaries.programs(version or self._version, user.uid)
        if version is None:
            self._initialise(programs, user)
        socket_directory = sockets.make_directory(self.directory, user)
        deadline = time.monotonic() + self._timeout_s
        while True:
            self._drop_stale_pid_file()
            sockets.drop_stale(socket_directory)
            started_at = self._log_size()
            self._spawn(programs, user, socket_directory)
            if self._ready_before(deadline):
                return socket_directory
            tail = self._log_since(started_at)
            if not _passes(tail, socket_directory) or time.monotonic() > deadline:
                raise Misconfigured(
                    f"the embedded PostgreSQL in {self.data} does not start: {_reason(tail)}",
                    fix=f"See {self.log}. The data is left as it is.",
                )
            time.sleep(0.1)

    def _version_of_data(self) -> int | None:
        """Major version of the data; None when there is none yet. Raises Misconfigured when it is damaged."""
        marker = self.data / "PG_VERSION"
        if marker.exists():
            text = marker.read_text().strip()
            if text.isdigit() and (self.data / "global" / "pg_control").exists():
                return int(text)
        elif not self.data.exists():
            return None
        raise Misconfigured(
            f"{self.data} is not a whole PostgreSQL data directory",
            fix="Restore it from a backup, or move it away to start with an empty database.",
        )

    def _initialise(self, programs: Path, user: ServerUser) -> None:
        """Built beside its place and renamed when whole, so an interrupted attempt leaves no half database."""
        unfinished = self.directory / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        user.insist_on_name()
        user.own(unfinished)
        command = [programs / "initdb", "-D", user.name_of(unfinished), "-U", "postgres", "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C", *([] if self._durable else ["--no-sync"])]
        done = subprocess.run(
            command, cwd=unfinished, env=_environment(), capture_output=True, text=True, check=False, **user.identity()
        )
        if done.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise Misconfigured(
                f"cannot make a database in {self.directory}: {_reason(done.stderr)}",
                fix="Check that the disk has room and that the data directory is writable.",
            )
        unfinished.rename(self.data)

    def _spawn(self, programs: Path, user: ServerUser, socket_directory: Path) -> None:
        if self._log_size() > _LOG_LIMIT_BYTES:
            self.log.replace(self.directory / "log.1")
        settings = {**self._settings, "unix_socket_directories": str(socket_directory)}
        parameters = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        if self._child is not None:
            self._child.poll()  # so that an earlier one that died is not left a zombie
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [programs / "postgres", "-D", user.name_of(self.data), *parameters],
                cwd=self.data,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the daemon's terminal must not end the database first
                **user.identity(),
            )

    def _ready_before(self, deadline: float) -> bool:
        """False when the server gave up. Raises Unavailable when the deadline passes."""
        assert self._child is not None
        while self._child.poll() is None:
            if self._running() is not None:
                return True
            if time.monotonic() > deadline:
                raise self._too_slow()
            time.sleep(0.01)
        return False

    def _make_database(self, socket_directory: Path) -> None:
        with psycopg.connect(_postgres(socket_directory), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _drop_stale_pid_file(self) -> None:
        """The pid file of a dead server; PostgreSQL itself would trip when its pid was given to somebody else."""
        lines = self._pid_file()
        if lines and self._process() is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _wait_for_end(self, process: psutil.Process) -> None:
        try:
            if self._child is not None and self._child.pid == process.pid:
                self._child.wait(self._timeout_s)
            else:
                process.wait(self._timeout_s)
        except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
            raise Unavailable(
                f"the embedded PostgreSQL (process {process.pid}) does not stop", fix=f"See {self.log}."
            ) from None

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _log_since(self, offset: int) -> str:
        with self.log.open("rb") as log:
            log.seek(offset)
            return log.read(100_000).decode(errors="replace")


def _postgres(socket_directory: Path) -> str:
    return f"host={socket_directory} user=postgres dbname=postgres"


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _passes(log: str, socket_directory: Path) -> bool:
    """Whether a server that gave up with this log was only in the way of a killed one that is not quite gone yet."""
    if "pre-existing shared memory block" in log:
        return True  # sessions of a killed server take a moment to notice that it is gone
    return "lock file" in log and "already exists" in log and not sockets.listens(socket_directory)


def _reason(log: str) -> str:
    """The line of a server's log that says why it ended."""
    lines = [line for line in log.splitlines() if line.strip()]
    told = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line]
    return (told or lines or ["it said nothing"])[-1].strip()[:500]
