"""`alphapulse daemon`: run it, start it in the background, stop it, see how it is."""

from __future__ import annotations

import socket
import sys
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from alphapulse.cli import context as files
from alphapulse.cli import process
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.machine import hand_over
from alphapulse.cli.render import clean, say, warn
from alphapulse.client.connection import Connection, Target, is_loopback
from alphapulse.errors import AlphaPulseError, Conflict, DaemonUnreachable, Misconfigured, NotFound

daemon = group()

_Data = Annotated[str | None, typer.Option("--data-directory", metavar="DIR", help="Default: the user's data folder.")]
_Host = Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Default: 127.0.0.1.")]
_Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Default: 8470; 0 takes a free one.")]

_Cert = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain (PEM): serves TLS 1.3 itself.")
]
_Key = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key (PEM). SIGHUP reads both again.")]


@daemon.command("run")
def run_daemon(
    ctx: typer.Context,
    host: _Host = None,
    port: _Port = None,
    data_directory: _Data = None,
    tls_cert: _Cert = None,
    tls_key: _Key = None,
) -> None:
    """Run the daemon in the foreground."""
    directory = [f"--data-directory={data_directory}"] if data_directory else []
    hand_over(invocation(ctx), "run", *_address(host, port), *_certificate(tls_cert, tls_key), *directory)


@daemon.command("start")
def start(
    ctx: typer.Context,
    host: _Host = None,
    port: _Port = None,
    data_directory: _Data = None,
    tls_cert: _Cert = None,
    tls_key: _Key = None,
) -> None:
    """Start the daemon in the background; returns when it answers."""
    run = invocation(ctx)
    directory = process.data_directory(run.environment, data_directory)
    already = process.running(directory)
    if already is not None:
        _insist_on_same(already, host, port)
        run.output.note("It was running already.")
        _show(run, already, directory, None)
        _say_how_to_reach(run, already)
        return
    started = process.Started(directory, [*_address(host, port), *_certificate(tls_cert, tls_key)], run.environment)
    try:
        found = started.wait_until_up()
    except BaseException:
        started.end()
        raise
    _show(run, found, directory, None)
    _say_how_to_reach(run, found)


def _say_how_to_reach(run: Invocation, found: process.Running) -> None:
    try:
        current = files.chosen_name(run.contexts(), run.environment, run.context_name)
    except Misconfigured as error:
        warn(f"{error.message}: {error.fix}")
        return
    if not found.context or found.context == current:
        return
    if run.context_name is None and not _answers(run, current):
        files.edit(run.contexts_file, lambda known: replace(known, current=found.context or known.current))
        run.output.note(f"Commands now talk to context {found.context}: no daemon answers in {current} any more.")
    else:
        run.output.note(
            f"Commands go on talking to context {current}: reach this daemon with --context {found.context}."
        )


def _answers(run: Invocation, name: str) -> bool:
    """Whether a daemon answers in this context; one of another machine is never given up."""
    known = run.contexts().named.get(name)
    if known is None or not is_loopback(known.url):
        return known is not None
    connection = Connection(Target(known.url, ca=known.ca))
    try:
        connection.get("/health/live")
    except AlphaPulseError:
        return False
    finally:
        connection.close()
    return True


def _insist_on_same(already: process.Running, host: str | None, port: int | None) -> None:
    """Raises Conflict when the daemon that runs does not listen where it is asked to. Port 0 is any."""
    listens = int(already.url.rpartition(":")[2])
    differs: list[str] = []
    if host is not None and already.host and already.host not in _addresses(host):
        differs.append(f"it listens on {already.host}, not on {host}")
    if port and port != listens:
        differs.append(f"its port is {listens}, not {port}")
    if differs:
        raise Conflict(
            f"the daemon (process {already.pid}) runs already, and differently: {'; '.join(differs)}",
            fix="Stop it first (`alphapulse daemon stop`), or leave the options out.",
        )


def _addresses(host: str) -> set[str]:
    """What a name stands for, so that localhost is no other address than 127.0.0.1."""
    try:
        return {host, *(str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))}
    except OSError:
        return {host}


def _address(host: str | None, port: int | None) -> list[str]:
    return [f"--{name}={value}" for name, value in (("host", host), ("port", port)) if value is not None]


def _certificate(cert: Path | None, key: Path | None) -> list[str]:
    named = (("tls-cert", cert), ("tls-key", key))
    return [f"--{name}={path.absolute()}" for name, path in named if path is not None]


@daemon.command("stop")
def stop(ctx: typer.Context, data_directory: _Data = None) -> None:
    """Let running requests and jobs finish, then stop the daemon."""
    run = invocation(ctx)
    directory = process.data_directory(run.environment, data_directory)
    pid = process.stop(directory)
    if pid is None:
        run.output.note("No daemon runs here.")
    run.output.record({"stopped": pid}, [("stopped", f"process {pid}" if pid else "nothing")], key=str(pid or ""))


@daemon.command("status")
def status(ctx: typer.Context, data_directory: _Data = None) -> None:
    """Whether it runs, where, and how its parts are; exits with 9 when it does not answer."""
    run = invocation(ctx)
    directory = process.data_directory(run.environment, data_directory)
    found = process.running(directory)
    if found is None:
        pid = process.locked_by(directory)
        raise DaemonUnreachable(
            f"a daemon (process {pid}) is starting or stopping on {directory}"
            if pid
            else f"no daemon runs on {directory}",
            fix="Wait a moment, or look at `alphapulse daemon logs`."
            if pid
            else "Start it: `alphapulse daemon start`.",
        )
    try:
        answer = Connection(Target(found.url, ca=_authority(run, found))).request("GET", "/health/ready", accept=(503,))
    except AlphaPulseError as error:
        answer = {"status": f"does not answer: {error.message}", "ports": {}}
    _show(run, found, directory, cast("dict[str, Any]", answer))
    if cast("dict[str, Any]", answer).get("status") != "ready":
        raise typer.Exit(9)


def _authority(run: Invocation, found: process.Running) -> str:
    """The file that its certificate is checked with, as the context of this daemon names it."""
    known = run.contexts().named.get(found.context)
    return "" if known is None else known.ca


def _show(run: Invocation, found: process.Running, directory: Path, health: dict[str, Any] | None) -> None:
    pairs = [
        ("daemon", found.url),
        ("process", str(found.pid)),
        ("version", found.version),
        ("started", found.started_at),
        ("data", str(directory)),
        *([("context", found.context)] if found.context else []),
    ]
    shown: dict[str, Any] = {
        "url": found.url,
        "pid": found.pid,
        "version": found.version,
        "started_at": found.started_at,
        "data_directory": str(directory),
        "context": found.context or None,
    }
    if health is not None:
        shown["health"] = health
        pairs.append(("health", str(health.get("status", "unknown"))))
        for name, port in cast("dict[str, dict[str, Any]]", health.get("ports", {})).items():
            delay = port.get("latency_ms")
            speed = f"{float(delay):.1f} ms" if isinstance(delay, int | float) else ""
            words = ("ok" if port.get("ok") else "DOWN", speed, str(port.get("detail") or ""))
            pairs.append((f"  {name}", "  ".join(word for word in words if word)))
    run.output.record(shown, pairs, key=found.url)


@daemon.command("logs")
def logs(
    ctx: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing what is added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last.")] = 50,
    data_directory: _Data = None,
) -> None:
    """The daemon's log, one JSON object a line."""
    run = invocation(ctx)
    file = process.data_directory(run.environment, data_directory) / "daemon.log"
    try:
        opened = file.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise NotFound(f"{file}: there is no log yet", fix="Start the daemon: `alphapulse daemon start`.") from None
    except OSError as error:
        raise process.unusable(file.parent, error) from error
    with opened as log:
        for line in deque(log, maxlen=lines):
            say(clean(line.rstrip("\n")))
        position = log.tell()
    if follow:
        _follow(file, position)


def _follow(file: Path, position: int) -> None:
    """Prints what is added, also when the log was rotated under us; ends by Ctrl-C."""
    while True:
        sys.stdout.flush()
        try:
            size = file.stat().st_size
        except FileNotFoundError:
            size = 0
        if size < position:
            position = 0
            warn("the log was rotated")
        if size > position:
            with file.open(encoding="utf-8", errors="replace") as log:
                log.seek(position)
                for line in log:
                    say(clean(line.rstrip("\n")))
                position = log.tell()
        time.sleep(0.25)
