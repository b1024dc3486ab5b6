"""``doctor``: what is wrong on this machine, each finding with its fix. Changes nothing and starts nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from alphapulse.backup.service import list_backups
from alphapulse.clock import SystemClock
from alphapulse.daemon import lifecycle, login
from alphapulse.daemon.assembly import database as parts
from alphapulse.errors import AlphaPulseError

if TYPE_CHECKING:
    from alphapulse.adapters.database.urls import DatabaseUrls
    from alphapulse.settings import Settings

_LEAST_SPACE = 1_000_000_000
_LARGEST_SKEW_S = 2.0
_OLDEST_BACKUP = timedelta(days=2)
_OPTIONAL = {"ccxt": "live candles of venues", "uvloop": "a faster event loop"}


@dataclass(frozen=True, slots=True)
class Finding:
    """fix: what to do; empty when ok, and where nothing need be done."""

    check: str
    ok: bool
    detail: str
    fix: str = ""


Check = Callable[["Settings"], Iterator[Finding]]


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Print every finding. The exit code: 0 when all is well, 1 otherwise."""
    found = examine(settings)
    if as_json:
        print(json.dumps({"ok": all(one.ok for one in found), "findings": [asdict(one) for one in found]}))
    else:
        say(found)
    return 0 if all(one.ok for one in found) else 1


def say(found: Sequence[Finding]) -> None:
    """A line each, and a second one with the fix."""
    width = max(len(one.check) for one in found)
    for one in found:
        print(f"{'ok  ' if one.ok else 'FAIL'}  {one.check:{width}}  {one.detail}")
        if one.fix:
            print(f"{'':{width + 8}}fix: {one.fix}")


def examine(settings: Settings) -> list[Finding]:
    """Every check, in order. That the settings are valid was found out in order to get here."""
    checks: tuple[Check, ...] = (
        _python,
        _settings,
        _directory,
        _space,
        _daemon,
        _port,
        _login,
        _database,
        _backups,
        _packages,
    )
    return [finding for check in checks for finding in check(settings)]


def _python(_: Settings) -> Iterator[Finding]:
    good = sys.version_info >= (3, 11)
    yield Finding("python", good, platform.python_version(), "" if good else "Install Python 3.11 or newer.")


def _settings(settings: Settings) -> Iterator[Finding]:
    where = "embedded" if settings.database_url is None else "configured"
    yield Finding("settings", True, f"valid; database {where}, listens on {settings.host}:{settings.port}")


def _directory(settings: Settings) -> Iterator[Finding]:
    directory = settings.data_directory
    if not directory.exists():
        yield Finding("data directory", True, f"{directory} does not exist yet; the first start makes it")
        return
    try:
        lifecycle.prepare(directory)
    except AlphaPulseError as error:
        yield Finding("data directory", False, error.message, error.fix)
        return
    mode = stat.S_IMODE(directory.stat().st_mode)
    private = not mode & 0o077
    fix = "" if private else f"Run: chmod 700 {directory}"
    yield Finding("data directory", private, f"{directory}, mode {mode:o}, writable", fix)
    for name in (lifecycle.KEY_FILE, "master.key"):
        path = directory / name
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding("secrets", False, f"{path} can be read by others", f"Run: chmod 600 {path}")


def _space(settings: Settings) -> Iterator[Finding]:
    existing = next(path for path in (settings.data_directory, *settings.data_directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    enough = free >= _LEAST_SPACE
    fix = "" if enough else "Free at least 1 GB: the database refuses to write when the disk is full."
    yield Finding("disk space", enough, f"{free / 1e9:.1f} GB free at {existing}", fix)


def _daemon(settings: Settings) -> Iterator[Finding]:
    pid = lifecycle.running(settings.data_directory)
    state = lifecycle.read_state(settings.data_directory)
    if state is not None:
        yield Finding("daemon", True, f"runs as process {state.pid} at {state.url} since {state.started_at}")
    elif pid is not None:
        yield Finding("daemon", True, f"process {pid} is starting or stopping")
    elif (settings.data_directory / lifecycle.PID_FILE).exists():
        yield Finding("daemon", True, "does not run; it did not end orderly last time, which the next start mends")
    else:
        yield Finding("daemon", True, "does not run", "Start it: alphapulse daemon start")


def _port(settings: Settings) -> Iterator[Finding]:
    state = lifecycle.read_state(settings.data_directory)
    if state is not None:
        good = _answers(state.url)
        fix = "" if good else "See its log: alphapulse daemon logs"
        yield Finding("port", good, f"{state.url} {'answers' if good else 'does not answer'}", fix)
        return
    try:
        lifecycle.bind(settings.host, settings.port).close()
    except AlphaPulseError as error:
        yield Finding("port", False, error.message, error.fix)
    else:
        yield Finding("port", True, f"{settings.host}:{settings.port} is free")


def _answers(url: str) -> bool:
    host, _, port = url.partition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def _login(settings: Settings) -> Iterator[Finding]:
    """Whether the command line, as it stands, can log in to the daemon that it would ask."""
    state = lifecycle.read_state(settings.data_directory)
    try:
        seen = login.look(os.environ)
    except AlphaPulseError as error:
        yield Finding("login", False, error.message, error.fix)
        return
    if seen.answer is login.Answer.ACCEPTED or (seen.answer is login.Answer.NOBODY and state is None):
        yield Finding("login", True, seen.detail)
        return
    other = state.context if state is not None and state.context != seen.context else ""
    yield Finding("login", False, seen.detail, f"Run: alphapulse context use {other}" if other else seen.fix)


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        configured = parts.configured_urls(settings)
        urls = configured or parts.embedded_server(settings).running()
        if urls is None:
            yield Finding("database", True, "the embedded database does not run; the daemon starts it")
            return
        yield from _reached(settings, urls)
    except AlphaPulseError as error:
        yield Finding("database", False, error.message, error.fix)


def _reached(settings: Settings, urls: DatabaseUrls) -> Iterator[Finding]:
    version = parts.version(settings, urls)
    current = version.current == version.needed
    fix = "" if current else "Run: alphapulse db upgrade"
    yield Finding("schema", current, f"version {version.current or 'none'}, needed {version.needed}", fix)
    if not current:
        return
    yield from _clock(urls)
    found = parts.findings(urls)
    detail = "; ".join(found) or "forced on every tenant's table, and the login is not above it"
    fix = "Connect as ap_app, and run: alphapulse db upgrade" if found else ""
    yield Finding("row-level security", not found, detail, fix)


def _clock(urls: DatabaseUrls) -> Iterator[Finding]:
    seen = parts.look(urls)
    yield Finding("database", True, f"PostgreSQL {seen.server}, answers in {seen.took_s * 1000:.0f} ms")
    skew = (SystemClock().now() - seen.now).total_seconds()
    near = abs(skew) <= _LARGEST_SKEW_S
    fix = "" if near else "Set both clocks by NTP: jobs fire by the database's."
    yield Finding("clock", near, f"{skew:+.3f} s against the database's", fix)


def _backups(settings: Settings) -> Iterator[Finding]:
    found = list_backups(settings.backup_directory)
    late = f"in {settings.backup_directory}"
    fix = "Make one: alphapulse db backup; the daemon makes one every night."
    if not found:
        yield Finding("backup", True, f"none {late} yet", fix)
        return
    age = SystemClock().now() - found[0].created_at
    good = age <= _OLDEST_BACKUP or not settings.backup.daily
    detail = f"the newest is {age.total_seconds() / 3600:.0f} hours old, {len(found)} {late}"
    yield Finding("backup", good, detail, "" if good else f"{fix} See: alphapulse jobs list --name backup")


def _packages(_: Settings) -> Iterator[Finding]:
    for name, purpose in _OPTIONAL.items():
        there = importlib.util.find_spec(name) is not None
        fix = "" if there else f"For {purpose}: pip install {name}"
        yield Finding(f"package {name}", True, f"{'installed' if there else 'not installed'} ({purpose})", fix)
