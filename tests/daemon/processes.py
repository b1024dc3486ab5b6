"""Real daemons in processes of their own, each with its folders, gone at the end of the test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.client.api import Client
from alphapulse.client.connection import Target
from alphapulse.daemon import lifecycle
from alphapulse.domain.people import Invitation
from tests.rates import GENEROUS_ENVIRONMENT

STARTS_WITHIN_S = 60.0


def member(inviting: Client, invitation: Invitation, password: str) -> Client:
    """Who was invited joins with a password and logs in; their client. The link is shown where no mail leaves."""
    assert invitation.link is not None
    token, policy = invitation.link.partition("#")[2], inviting.people.policy().version
    inviting.people.accept(token, password, policy)
    with Client(Target(inviting.target.url)) as nobody:
        entered = nobody.access.login(invitation.email, password)
    return Client(Target(inviting.target.url, entered.token))


class Daemon:
    """One data directory and the daemons that run on it, one after the other."""

    def __init__(
        self, folder: Path, urls: DatabaseUrls | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        """urls: a database to use instead of the embedded one. settings: further ``ALPHAPULSE_*`` variables."""
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "config"
        own = {name: value for name, value in os.environ.items() if not name.startswith("ALPHAPULSE_")}
        database = (
            {}
            if urls is None
            else {"ALPHAPULSE_DATABASE_URL": urls.app, "ALPHAPULSE_DATABASE_PLATFORM_URL": urls.platform}
        )
        self.environment = {
            **own,
            "XDG_CONFIG_HOME": str(self.config),
            **database,
            **GENEROUS_ENVIRONMENT,
            **(settings or {}),
        }
        self._process: subprocess.Popen[str] | None = None

    def spawn(self, *options: str) -> subprocess.Popen[str]:
        """Start one without waiting for it."""
        command = [sys.executable, "-m", "alphapulse.daemon", "run", "--data-directory", str(self.data), "--quiet"]
        if "--port" not in options:
            command += ["--port", "0"]
        self._process = subprocess.Popen(
            [*command, *options], env=self.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        return self._process

    def start(self, *options: str) -> str:
        """Start one and wait until it is up; its address."""
        process = self.spawn(*options)
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline:
            state = lifecycle.read_state(self.data)
            if state is not None and state.pid == process.pid:
                return state.url
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        raise AssertionError("the daemon is not up in time")

    def refused(self, *options: str) -> tuple[int, str]:
        """Start one that cannot: its exit code and what it said."""
        process = self.spawn(*options)
        said = process.communicate(timeout=STARTS_WITHIN_S)[1]
        return process.returncode, said

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.process.terminate()
        self.process.communicate(timeout=60)
        return self.process.returncode

    @property
    def key(self) -> str:
        return (self.data / lifecycle.KEY_FILE).read_text().strip()

    @property
    def contexts(self) -> dict[str, Any]:
        return tomllib.loads((self.config / "alphapulse" / "contexts.toml").read_text())

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Every log entry of this event."""
        lines = (self.data / lifecycle.LOG_FILE).read_text().splitlines()
        return [entry for entry in map(json.loads, lines) if entry["event"] == event]

    def database_pid(self) -> int:
        """Process of the embedded server."""
        return int((self.data / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])

    def client(self, url: str, **headers: str) -> httpx.Client:
        """As the platform admin."""
        return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {self.key}", **headers}, timeout=30)

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
        with suppress(OSError, ValueError):
            os.kill(self.database_pid(), signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def daemon(urls: DatabaseUrls | None = None, settings: Mapping[str, str] | None = None) -> Generator[Daemon]:
    folder = Path(tempfile.mkdtemp(prefix="alphapulse-test-"))
    folder.chmod(0o711)  # PostgreSQL, started by root, runs as another user
    made = Daemon(folder, urls, settings)
    try:
        yield made
    finally:
        made.end()
