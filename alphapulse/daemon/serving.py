"""The daemon's life: everything opened, requests served and jobs run in one event loop, and a bounded, orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop

from alphapulse import __version__
from alphapulse.clock import SystemClock
from alphapulse.daemon import lifecycle, uploads
from alphapulse.daemon.app import create_app
from alphapulse.daemon.assembly.whole import Assembly, open_assembly
from alphapulse.daemon.context_file import announce, announced, contexts_file
from alphapulse.daemon.transport import PatientHttp, Tls
from alphapulse.domain.wire import write_time
from alphapulse.errors import AlphaPulseError, Defect, Unauthenticated
from alphapulse.tenancy.key_store import find_key
from alphapulse.tenancy.keys import parse_key

if TYPE_CHECKING:
    from alphapulse.settings import Settings

#: What closing may take beyond the drain itself.
_CLOSING_S = 5.0
_LARGEST_MESSAGE = 65_536

_log = logging.getLogger(__name__)


def run_daemon(settings: Settings, *, context: str | None) -> None:
    """Serve until SIGTERM or SIGINT.

    context: name under which the command line learns of us; empty: one that derives from the directory; None: it is
    not told.

    Raises Conflict when the directory or the port is taken, Misconfigured and Unavailable as the parts do.
    """
    directory = settings.data_directory
    with lifecycle.held(directory):
        uploads.clear(directory)
        bound = lifecycle.bind(settings.host, settings.port)
        with contextlib.closing(bound):
            _run(_serve(settings, bound, context))


def run_worker(settings: Settings) -> None:
    """Run jobs until SIGTERM or SIGINT, beside other workers. Raises Misconfigured and Unavailable."""
    _run(_work(settings))


def _run(main: Any) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, contextlib.suppress(asyncio.CancelledError):
        runner.run(main)


class _Stop:
    """What the signals do: the first asks for an orderly end, a second one for an end at once."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.failed = False
        self._main = asyncio.current_task()
        self._up = False
        self._hurry: Callable[[], object] = lambda: None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number.name)

    def up(self, hurry: Callable[[], object]) -> None:
        """From now on a signal asks; before, it abandons the start."""
        self._up = True
        self._hurry = hurry

    def fail(self) -> None:
        self.failed = True
        self._ask()

    def _signalled(self, name: str) -> None:
        _log.info("stopping", extra={"signal": name, "at_once": self.asked.is_set()})
        self._ask()

    def _ask(self) -> None:
        if self.asked.is_set():
            self._hurry()
        elif not self._up and self._main is not None:
            self._main.cancel()
        self.asked.set()


class _Server(uvicorn.Server):
    """uvicorn without hands on our signals. on_up: called when it accepts connections."""

    def __init__(self, config: uvicorn.Config, on_up: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_up = on_up

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_up()


async def _serve(settings: Settings, bound: socket.socket, context: str | None) -> None:
    stop = _Stop()
    began = asyncio.get_running_loop().time()
    tls = _tls(settings)
    url = lifecycle.url_of(bound, tls=settings.tls_certificate is not None)
    settings = _reached_at(settings, url)
    async with open_assembly(settings, on_failure=stop.fail) as assembly:
        written = await _introduce(
            assembly, settings.data_directory, url, context, production=settings.profile == "production"
        )

        def on_up() -> None:
            host = str(bound.getsockname()[0])
            state = lifecycle.State(os.getpid(), url, write_time(SystemClock().now()), __version__, written, host)
            lifecycle.write_state(settings.data_directory, state)
            took = round(asyncio.get_running_loop().time() - began, 3)
            _log.info("ready", extra={"url": url, "data_directory": str(settings.data_directory), "took_s": took})

        server = _Server(_uvicorn(settings, create_app(assembly.services, settings), tls), on_up)
        tasks = {
            "server": asyncio.create_task(server.serve(sockets=[bound])),
            "worker": asyncio.create_task(assembly.work()),
            "schedule": asyncio.create_task(assembly.schedule.run()),
        }

        def hurry() -> None:
            server.force_exit = True
            tasks["worker"].cancel()

        stop.up(hurry)
        await _until_end(stop, tasks)
        assembly.services.health.drain()
        lifecycle.drop_state(settings.data_directory)
        server.should_exit = True
        tasks["worker"].cancel()
        tasks["schedule"].cancel()
        await _drained(list(tasks.values()), settings.drain_timeout.total_seconds() + _CLOSING_S)
    if stop.failed:
        raise Defect("a part of the daemon ended unexpectedly", fix="See the log for the part and the reason.")
    _log.info("stopped")


async def _work(settings: Settings) -> None:
    stop = _Stop()
    beside = lifecycle.read_state(settings.data_directory)
    if beside is not None:
        settings = _reached_at(settings, beside.url)
    async with open_assembly(settings, owns_server=False, on_failure=stop.fail) as assembly:
        worker = asyncio.create_task(assembly.work())
        stop.up(worker.cancel)
        _log.info("working", extra={"concurrency": assembly.concurrency})
        await _until_end(stop, {"worker": worker})
        worker.cancel()
        await _drained([worker], settings.drain_timeout.total_seconds() + _CLOSING_S)
    if stop.failed:
        raise Defect("a part of the worker ended unexpectedly", fix="See the log for the part and the reason.")
    _log.info("stopped")


def _reached_at(settings: Settings, url: str) -> Settings:
    """Mails lead to where the daemon listens, unless somebody said how people reach it."""
    return settings if "public_url" in settings.model_fields_set else settings.model_copy(update={"public_url": url})


async def _until_end(stop: _Stop, tasks: dict[str, asyncio.Task[None]]) -> None:
    """Until a signal asks to stop, or one of the parts ends, which it must not."""
    asked = asyncio.create_task(stop.asked.wait())
    await asyncio.wait([asked, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    for name, task in tasks.items():
        if task.done():
            error = None if task.cancelled() else task.exception()
            _log.critical("a part of the daemon ended", extra={"part": name}, exc_info=error)
            stop.failed = True


async def _drained(tasks: list[asyncio.Task[None]], within_s: float) -> None:
    _, late = await asyncio.wait(tasks, timeout=within_s)
    for task in late:
        _log.warning("a part did not end in time", extra={"part": task.get_name()})
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _tls(settings: Settings) -> Tls | None:
    """What the daemon ends TLS with, its files read again at SIGHUP; None where a proxy does, or nobody."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    tls = Tls(settings.tls_certificate, settings.tls_key)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, tls.reload)
    return tls


def _uvicorn(settings: Settings, app: Any, tls: Tls | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=PatientHttp,
        ws="websockets-sansio",
        ws_max_size=_LARGEST_MESSAGE,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=max(1, round(settings.drain_timeout.total_seconds())),
        ssl_context_factory=None if tls is None else lambda _config, _default: tls.context,
    )


async def _introduce(assembly: Assembly, directory: Path, url: str, context: str | None, *, production: bool) -> str:
    """Make the platform admin's key on the first start, and tell the command line of this machine where we are.

    production: no key is made, for no second factor would guard it; admins log in. The context that was written; empty
    when none was.
    """
    path = directory / lifecycle.KEY_FILE
    key = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    if not await _is_known(assembly, key) and not production:
        key = await assembly.services.keys.create_platform_key()
        lifecycle.write_private(path, key + "\n")
    if context is None:
        return ""
    file, place = contexts_file(os.environ), await asyncio.to_thread(directory.resolve)
    try:
        name, credential = await asyncio.to_thread(announced, file, place, context)
        keep = credential if await _is_ours(assembly, credential) else ""
        return await asyncio.to_thread(announce, file, place, name, url, key, keep=keep)
    except AlphaPulseError as error:
        # The daemon serves others all the same.
        _log.warning("the command line was not told of this daemon", extra={"reason": str(error), "fix": error.fix})
        return ""


async def _is_ours(assembly: Assembly, credential: str) -> bool:
    """Whether a context's credential is of this daemon: a key of its database, or a login that it still accepts."""
    if parse_key(credential) is not None:
        return await _is_known(assembly, credential)
    try:
        await assembly.services.logins.authenticate(credential)
    except Unauthenticated:
        return False
    return True


async def _is_known(assembly: Assembly, text: str) -> bool:
    """Whether this database has the key. A revoked one counts: only removing admin.key asks for another."""
    key = parse_key(text)
    if key is None:
        return False
    async with assembly.services.database.shared() as tx:
        return await find_key(tx, key.prefix) is not None
