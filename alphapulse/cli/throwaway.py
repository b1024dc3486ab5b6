"""A daemon of its own in a temporary folder, with everything gone afterwards whatever happens."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from alphapulse.cli import context, process
from alphapulse.cli.context import Context
from alphapulse.errors import Misconfigured

#: Settings of the person at the keyboard must not reach a throw-away daemon: least of all their database's address.
_PREFIX = "ALPHAPULSE_"


class Throwaway:
    """url, admin: where it answers, and the platform admin's key for it. kept: survives the block."""

    def __init__(self, folder: Path, environment: Mapping[str, str], settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.kept = False
        clean = {name: value for name, value in environment.items() if not name.startswith(_PREFIX)}
        self._started = process.Started(
            self.data, ["--port", "0"], {**clean, "XDG_CONFIG_HOME": str(folder / "config"), **settings}
        )

    def wait_until_up(self) -> Context:
        """The context of its platform admin."""
        found = self._started.wait_until_up()
        own = context.load(context.contexts_file({"XDG_CONFIG_HOME": str(self.folder / "config")}))
        admin = next((item for item in own.named.values() if item.url == found.url), None)
        if admin is None:
            raise Misconfigured(f"the daemon at {found.url} left no key in {self.folder / 'config'}")
        return admin

    def end(self) -> None:
        """The daemon ends its database with itself; one that had to be killed leaves it, and it is ended here."""
        self._started.end()
        for file in self.data.rglob("postmaster.pid"):
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text(encoding="utf-8").split("\n", 1)[0]), signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def throwaway(environment: Mapping[str, str], settings: Mapping[str, str]) -> Generator[Throwaway]:
    """Starts one. settings: more environment variables for it. SIGTERM and SIGHUP end the block like Ctrl-C."""
    folder = Path(tempfile.mkdtemp(prefix="alphapulse-demo-"))
    with _ended_by_signals():
        made: Throwaway | None = None
        try:
            made = Throwaway(folder, environment, settings)
            yield made
        finally:
            if made is None:
                shutil.rmtree(folder, ignore_errors=True)
            elif not made.kept:
                made.end()


@contextmanager
def _ended_by_signals() -> Generator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
