"""The daemon's process as seen from outside: where it is, whether it runs, starting and stopping it.

In its data directory the daemon keeps daemon.pid (locked while it runs), daemon.json (0600: pid, url, started_at,
version, context, host; there while it answers) and daemon.log. The lock decides, never the number: a process id may be
somebody else's by now.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alphapulse.client.failures import failure
from alphapulse.errors import AlphaPulseError, Misconfigured, Unavailable

#: Seconds a daemon may take to answer, the first start's database included.
START_WITHIN = 60.0
#: Seconds a daemon may take to end: it lets requests and jobs finish.
STOP_WITHIN = 40.0
_LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon that answers. started_at: ISO 8601, UTC. context: what it calls itself in contexts.toml; may be empty.

    host: the address it listens on; empty when it does not say.
    """

    pid: int
    url: str
    started_at: str
    version: str
    context: str = ""
    host: str = ""


def data_directory(environment: Mapping[str, str], given: str | None = None) -> Path:
    """Where the daemon of this user keeps its data, found as the daemon finds it."""
    if given or environment.get("ALPHAPULSE_DATA_DIRECTORY"):
        return Path(given or environment["ALPHAPULSE_DATA_DIRECTORY"]).absolute()
    from platformdirs import user_config_path, user_data_path

    file = Path(environment.get("ALPHAPULSE_CONFIG") or user_config_path("alphapulse") / "alphapulse.toml")
    try:
        configured = tomllib.loads(file.read_text(encoding="utf-8")).get("data_directory")
    except FileNotFoundError:
        configured = None
    except (OSError, ValueError) as error:
        raise Misconfigured(f"cannot read {file}: {error}", fix="Mend it: `alphapulse config validate`.") from error
    return Path(configured).absolute() if configured else user_data_path("alphapulse")


def command(*arguments: str) -> list[str]:
    """What runs the daemon's own program. Raises Misconfigured when only the client is installed."""
    if importlib.util.find_spec("uvicorn") is None:
        raise Misconfigured(
            "the daemon is not installed here", fix="Install it with `pip install 'alphapulse[daemon]'`."
        )
    return [sys.executable, "-m", "alphapulse.daemon", *arguments]


def locked_by(directory: Path) -> int | None:
    """The process that runs a daemon on this directory, answering or not; None when there is none."""
    try:
        with (directory / "daemon.pid").open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.readline(20).strip()
                return int(text) if text.isdigit() else None
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise unusable(directory, error) from error
    return None


def unusable(directory: Path, error: OSError) -> Misconfigured:
    why = "it is a file" if directory.is_file() else error.strerror or str(error)
    return Misconfigured(
        f"{directory} cannot be the data directory: {why}",
        fix="Name a directory that you may write, with --data-directory or ALPHAPULSE_DATA_DIRECTORY.",
    )


def running(directory: Path) -> Running | None:
    """The daemon that answers on this directory."""
    pid = locked_by(directory)
    try:
        data: dict[str, Any] = json.loads((directory / "daemon.json").read_text(encoding="utf-8"))
        found = Running(
            int(data["pid"]),
            str(data["url"]),
            str(data["started_at"]),
            str(data["version"]),
            str(data.get("context", "")),
            str(data.get("host", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.pid == pid else None


class Started:
    """A daemon that this process started, in a session of its own: Ctrl-C at the terminal does not reach it."""

    def __init__(self, directory: Path, options: list[str], environment: Mapping[str, str]) -> None:
        self.directory = directory
        self._said = directory / "daemon.err"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = self._said.open("wb")
        except OSError as error:
            raise unusable(directory, error) from error
        with opened as said:
            self.process = subprocess.Popen(
                command("run", "--data-directory", str(directory), "--quiet", "--json", *options),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
                env=dict(environment),
            )

    def wait_until_up(self) -> Running:
        """Raises what it ended with instead, Unavailable when it takes too long."""
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            found = running(self.directory)
            if found is not None and found.pid == self.process.pid:
                self._said.unlink(missing_ok=True)
                return found
            if self.process.poll() is not None:
                raise self._reason()
            time.sleep(_LOOK_EVERY)
        raise Unavailable(
            f"the daemon did not answer within {START_WITHIN:g} s", fix=f"Look at {self.directory / 'daemon.log'}."
        )

    def _reason(self) -> AlphaPulseError:
        """What it said on its way out: with --json its last line is the error itself."""
        lines = [line for line in self._said.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        self._said.unlink(missing_ok=True)
        said = lines[-1] if lines else f"it ended with code {self.process.returncode}"
        try:
            problem = json.loads(said)["error"]
            return failure(500, {**problem, "detail": problem["message"]}, {})
        except (ValueError, KeyError, TypeError):
            return Misconfigured(f"the daemon did not start: {said}", fix=f"Look at {self.directory / 'daemon.log'}.")

    def end(self) -> None:
        """Stops it for certain: asks, asks again, then kills."""
        for sign, patience in ((signal.SIGTERM, 20.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
            if self.process.poll() is not None:
                return
            self.process.send_signal(sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)


def stop(directory: Path) -> int | None:
    """The process that was asked to end, and has; None when none ran. Raises Unavailable when it takes too long."""
    pid = locked_by(directory)
    if not pid:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_WITHIN
    while locked_by(directory) == pid:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"the daemon (process {pid}) still runs after {STOP_WITHIN:g} s",
                fix="It may be finishing a long job; stop it again to end that at once.",
            )
        time.sleep(_LOOK_EVERY)
    return pid
