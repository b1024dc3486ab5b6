"""Events as they happen, over a WebSocket that is put back up when it falls.

Nothing is lost on the way: events are rows with sequence numbers, and every new connection asks for those after the
last one seen. Asynchronous, because it waits for hours and the dashboard does other things meanwhile.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from alphapulse.client.connection import QUICK, Target, certificates, is_loopback, read, refused_variable
from alphapulse.client.failures import failure
from alphapulse.domain import wire
from alphapulse.domain.events import Event
from alphapulse.errors import AlphaPulseError, DaemonUnreachable, Forbidden, TryAgain, Unauthenticated

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

#: The daemon sends a heartbeat every 15 s: a connection silent for longer than two of them is gone.
SILENCE = 40.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
#: How often a login is renewed in-band: well within a token's hour.
RENEW_EVERY = 1500.0
#: Close codes that the daemon gives for a reason that reconnecting does not mend.
_REVOKED, _REFUSED = 4401, 4403

Renew = Callable[[], Awaitable[str]]


class LinkState(StrEnum):
    UP = "up"  # connected and subscribed
    ALIVE = "alive"  # a heartbeat came
    DOWN = "down"  # lost; another attempt follows by itself


@dataclass(frozen=True, slots=True)
class Link:
    """Said between events. at: the daemon's time, with a heartbeat. detail: why it is down."""

    state: LinkState
    at: datetime | None = None
    detail: str = ""


async def follow(
    target: Target, since: int | None = 0, *, renew: Renew | None = None
) -> AsyncGenerator[Event | Link, None]:
    """Every event after sequence number ``since`` that the caller may see, and how the connection is; without end.

    since: None to begin with what happens from now on.
    renew: gives a fresh token; asked every 25 minutes, so that a login outlives its hour.
    Raises DaemonUnreachable when the first connection fails (later ones are tried again, after 0.5 to 10 s),
    Unauthenticated when the login ended, Forbidden when the daemon refuses this caller.
    """
    last, pause, connected = since, FIRST_PAUSE, False
    while True:
        try:
            async with _subscribed(target, last, renew) as socket:
                while True:
                    async with asyncio.timeout(SILENCE):
                        message = _message(await socket.recv())
                    kind = message.pop("type", None)
                    if kind == "subscribed":
                        last, connected, pause = int(message["since"]), True, FIRST_PAUSE
                        yield Link(LinkState.UP)
                    elif kind == "event":
                        event = read(Event, message)
                        last = event.sequence
                        yield event
                    elif kind == "heartbeat":
                        yield Link(LinkState.ALIVE, at=wire.parse_time(str(message["at"])))
                    elif kind == "error":
                        raise _told(failure(int(message.get("status", 400)), message, {}), target)
        except (OSError, TimeoutError, TryAgain, *_lost()) as error:
            final = _final(error, target)
            if final is not None:
                raise final from error
            if not connected:
                raise _unreachable(error, target) from error
            yield Link(LinkState.DOWN, detail=str(error) or "the daemon fell silent")
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


@asynccontextmanager
async def _subscribed(target: Target, since: int | None, renew: Renew | None) -> AsyncGenerator[ClientConnection, None]:
    from websockets.asyncio.client import connect

    scheme, _, rest = target.url.partition("://")
    secure = scheme == "https"
    async with connect(
        f"{'wss' if secure else 'ws'}://{rest}/ws",
        additional_headers=target.headers(),
        ssl=certificates(target) if secure else None,
        proxy=None if is_loopback(target.url) else True,
        open_timeout=QUICK,
        close_timeout=1,
        max_size=4 * 1024 * 1024,
    ) as socket:
        await socket.send(json.dumps({"type": "subscribe", **({} if since is None else {"since": since})}))
        if renew is None:
            yield socket
            return
        keeper = asyncio.create_task(_keep_renewed(socket, renew))
        try:
            yield socket
        finally:
            keeper.cancel()


async def _keep_renewed(socket: ClientConnection, renew: Renew) -> None:
    while True:
        await asyncio.sleep(RENEW_EVERY)
        await socket.send(json.dumps({"type": "auth", "token": await renew()}))


def _message(text: str | bytes) -> dict[str, Any]:
    message = json.loads(text)
    return cast("dict[str, Any]", message) if isinstance(message, dict) else {}


def _unreachable(error: Exception, target: Target) -> TryAgain:
    if isinstance(error, TryAgain):
        return error
    return DaemonUnreachable(
        f"no event stream at {target.url}: {error}",
        fix="Start a daemon with `alphapulse daemon start`, or choose another with --context NAME.",
    )


def _lost() -> tuple[type[Exception], ...]:
    from websockets.exceptions import WebSocketException

    return (WebSocketException,)


def _told(error: AlphaPulseError, target: Target) -> AlphaPulseError:
    """A refusal of the credential as that of the environment variable, where it is from one."""
    return refused_variable(target, error) if isinstance(error, Unauthenticated) else error


def _final(error: Exception, target: Target) -> AlphaPulseError | None:
    """The error to give up with; None where another attempt may help."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    if isinstance(error, InvalidStatus):
        response = error.response
        try:
            body = json.loads(response.body or b"null")
        except ValueError:
            body = None
        found = failure(response.status_code, body, {key.lower(): value for key, value in response.headers.items()})
        return None if found.retryable else _told(found, target)
    if isinstance(error, ConnectionClosed) and error.rcvd is not None:
        if error.rcvd.code == _REVOKED:
            ended = Unauthenticated(
                f"{target.url} ended the stream: {error.rcvd.reason or 'the login is no longer valid'}",
                fix="Log in again with `alphapulse login`.",
            )
            return _told(ended, target)
        if error.rcvd.code == _REFUSED:
            return Forbidden(f"{target.url} refuses the stream: {error.rcvd.reason or 'not allowed'}")
    return None
