"""WS /ws: a tenant's events as they are committed, from any sequence number on.

The client speaks JSON: ``{"type": "auth", "token": ...}`` first, unless the request carried an Authorization header,
and again at any time to renew; then ``{"type": "subscribe", "since": N}``, without ``since`` from now on. It is sent
``authenticated``, ``subscribed``, ``event``, ``heartbeat`` and ``error`` messages. Close codes: 4401 the credential is
missing, expired or revoked; 4403 the page or the role is not allowed; 4400 a message that is not understood;
1013 try again later (the client is too slow, or the database does not answer).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, cast
from urllib.parse import urlsplit

from starlette.websockets import WebSocket, WebSocketDisconnect

from alphapulse.audit.recorder import Recorder
from alphapulse.clock import Clock
from alphapulse.daemon.access import bearer
from alphapulse.daemon.answers import to_json
from alphapulse.daemon.envelope import check_headers
from alphapulse.daemon.facts import facts_of
from alphapulse.daemon.limits import Kind, RateLimits, address_of, has_credential
from alphapulse.daemon.problems import problem, status_of
from alphapulse.daemon.routing import parse_json
from alphapulse.daemon.tails import Tail, Tails
from alphapulse.daemon.trail import leave
from alphapulse.domain.tenancy import Caller, Permission
from alphapulse.domain.wire import write_time
from alphapulse.errors import AlphaPulseError, Forbidden, InvalidInput, TryAgain, Unauthenticated
from alphapulse.events.store import CHANNEL
from alphapulse.ports.database import Database
from alphapulse.ports.telemetry import Telemetry
from alphapulse.tenancy.logins import Logins

#: A client has this long to say who it is and what it wants.
_FIRST_MESSAGE_S = 5.0
HEARTBEAT_S = 15.0
#: How often the credential is looked at again; with the cache's own age a revocation is seen within 4 s.
_GUARD_S = 1.0
#: A client that does not take a message for this long is let go; it resumes from its last sequence number.
_SEND_S = 10.0
_LONGEST_MESSAGE = 16_384


class Stream:
    """allowed_origins: of web pages that may connect besides the daemon's own, as ``https://host``."""

    def __init__(
        self,
        *,
        database: Database,
        logins: Logins,
        recorder: Recorder,
        clock: Clock,
        telemetry: Telemetry,
        limits: RateLimits,
        allowed_origins: Collection[str] = (),
    ) -> None:
        self._database = database
        self._logins = logins
        self._recorder = recorder
        self._clock = clock
        self._telemetry = telemetry
        self._limits = limits
        self._allowed_origins = frozenset(allowed_origins)
        self._tails = Tails(database)
        self._connections = 0

    async def run(self) -> None:
        """The one listener of this process; without end."""
        async for tenant in self._database.listen(CHANNEL):
            self._tails.wake(tenant)

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from its request to its end."""
        await socket.accept()
        self._count(1)
        connection = Connection(socket, self._logins, self._tails, self._clock)
        status = 500
        try:
            check_headers(socket.scope)
            self._check_origin(socket)
            await self._admitted(socket, connection)
            status = 101
            await self._record(socket, connection.caller, status)
            await connection.serve()
        except WebSocketDisconnect:
            pass
        except AlphaPulseError as error:
            facts_of(socket.scope).outcome = error.code
            try:
                if status != 101:
                    await self._record(socket, connection.caller, status_of(error))
            finally:
                await connection.close(error)
        finally:
            self._count(-1)

    async def _admitted(self, socket: WebSocket, connection: Connection) -> None:
        """Opens the connection, counted as one read. Who is not known yet, or is refused, counts by address."""
        address = address_of(socket.scope)
        unknown = not has_credential(socket.scope)
        if unknown:
            await self._limits.admit_stranger(address, Kind.STRANGER)
        try:
            await connection.open()
        except Unauthenticated:
            if not unknown:
                await self._limits.admit_stranger(address, Kind.STRANGER)
            raise
        if connection.caller is not None:
            await self._limits.admit(connection.caller, Kind.READ)

    def _check_origin(self, socket: WebSocket) -> None:
        """Browsers name the page that asks; programs do not."""
        origin = socket.headers.get("origin")
        own = urlsplit(origin).netloc == socket.headers.get("host") if origin else True
        if not own and origin not in self._allowed_origins:
            raise Forbidden("pages of this origin may not connect", fix="Add it to the setting allowed_origins.")

    async def _record(self, socket: WebSocket, caller: Caller | None, status: int) -> None:
        facts = facts_of(socket.scope)
        facts.caller = caller
        await leave(self._recorder, socket.scope, facts, status)

    def _count(self, by: int) -> None:
        self._connections += by
        self._telemetry.gauge("stream_connections", self._connections)


class Connection:
    """One client. caller: once it has said who it is."""

    def __init__(self, socket: WebSocket, logins: Logins, tails: Tails, clock: Clock) -> None:
        self.caller: Caller | None = None
        self._socket = socket
        self._logins = logins
        self._tails = tails
        self._clock = clock
        self._tenant = socket.headers.get("x-tenant", "")
        self._credential = bearer(socket.headers.get("authorization", ""))

    async def open(self) -> None:
        """Find out who it is: by header, or by the first message."""
        if not self._credential:
            try:
                async with asyncio.timeout(_FIRST_MESSAGE_S):
                    message = await self._receive()
            except TimeoutError:
                raise Unauthenticated("no credential came", fix='Send {"type": "auth", "token": ...}.') from None
            if message["type"] != "auth":
                raise Unauthenticated("no credential came", fix='Send {"type": "auth", "token": ...} first.')
            self._take_credential(message)
        await self._authenticate()

    async def serve(self) -> None:
        """Send events until the client goes, or may no longer. Raises what ended it."""
        caller = self._known()
        caller.require(Permission.EVENTS_READ)
        tenant_id = caller.require_tenant()
        await self._say(type="authenticated", expires_at=write_time(caller.expires_at))
        since = await self._subscription()
        tail = self._tails.follow(tenant_id)
        try:
            since = await tail.latest() if since is None else since
            await self._say(type="subscribed", since=since)
            await _first_to_end(self._pump(tail, since), self._guard(), self._listen(), self._beat())
        finally:
            self._tails.leave(tenant_id)

    async def close(self, error: AlphaPulseError) -> None:
        match error:
            case Unauthenticated():
                code = 4401
            case Forbidden():
                code = 4403
            case TryAgain():
                code = 1013
            case _:
                code = 4400
        request_id = facts_of(self._socket.scope).request_id
        try:
            async with asyncio.timeout(_SEND_S):
                await self._say(**problem(error, request_id, status_of(error)) | {"type": "error"})
                await self._socket.close(code, error.message[:100])
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            pass  # it is gone, or takes nothing: that is what closing was for

    async def _subscription(self) -> int | None:
        """Where the client wants to go on; None for now."""
        try:
            async with asyncio.timeout(_FIRST_MESSAGE_S):
                while True:
                    message = await self._receive()
                    if message["type"] == "subscribe":
                        break
                    await self._renew(message)
        except TimeoutError:
            raise InvalidInput("no subscription came", fix='Send {"type": "subscribe", "since": N}.') from None
        since = message.get("since")
        if since is not None and (type(since) is not int or not 0 <= since < 2**63):
            raise InvalidInput("since: not a sequence number", field="since")
        return since

    async def _pump(self, tail: Tail, since: int) -> None:
        while True:
            news = tail.news
            frames = await tail.after(since)
            for frame in frames:
                if self._known().may(frame.permission):
                    await self._send(frame.text)
            if frames:
                since = frames[-1].sequence
            else:
                await news.wait()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._say(type="heartbeat", at=write_time(self._clock.now()))

    async def _guard(self) -> None:
        """Raises Unauthenticated as soon as the credential has expired or was revoked."""
        while True:
            await asyncio.sleep(_GUARD_S)
            await self._authenticate()

    async def _listen(self) -> None:
        while True:
            await self._renew(await self._receive())

    async def _renew(self, message: dict[str, Any]) -> None:
        if message["type"] != "auth":
            raise InvalidInput(f"a message of type {message['type'][:40]!r} is not expected here", field="type")
        before = self._known()
        self._take_credential(message)
        caller = await self._authenticate()
        if (caller.tenant_id, caller.user_id) != (before.tenant_id, before.user_id):
            raise Unauthenticated("the new credential is another user's", fix="Open a connection of its own for it.")
        await self._say(type="authenticated", expires_at=write_time(caller.expires_at))

    async def _authenticate(self) -> Caller:
        self.caller = await self._logins.authenticate(self._credential, self._tenant)
        return self.caller

    def _take_credential(self, message: dict[str, Any]) -> None:
        token = message.get("token")
        if not isinstance(token, str):
            raise Unauthenticated("no credential came", fix='Send {"type": "auth", "token": ...}.')
        self._credential = token
        tenant = message.get("tenant")
        if isinstance(tenant, str) and not self._tenant:
            self._tenant = tenant

    def _known(self) -> Caller:
        assert self.caller is not None
        return self.caller

    async def _receive(self) -> dict[str, Any]:
        """The next message. Raises WebSocketDisconnect, InvalidInput."""
        text = await self._socket.receive()
        if text["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(text.get("code", 1005))
        body = text.get("text") or (text.get("bytes") or b"").decode("utf-8", "replace")
        if len(body) > _LONGEST_MESSAGE:
            raise InvalidInput(f"a message is longer than {_LONGEST_MESSAGE} characters")
        message = parse_json(body.encode("utf-8", "replace"))
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise InvalidInput("a message must be an object with a type", field="type")
        return cast("dict[str, Any]", message)

    async def _say(self, **message: Any) -> None:
        await self._send(to_json(message).decode())

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(_SEND_S):
                await self._socket.send_text(text)
        except TimeoutError:
            raise TryAgain("the client takes nothing", fix="Connect again from the last sequence number.") from None


async def _first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
