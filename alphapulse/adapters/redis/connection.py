"""The way to one Redis or Valkey: short time-outs, verified TLS, and a pause after a failure."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import exceptions as vendor
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from alphapulse.errors import AlphaPulseError, Misconfigured, Unavailable

#: A copy or a count that takes longer than this is not worth the wait.
_TIMEOUT_S = 0.25
_CONNECT_S = 1.0
#: After a failure nobody asks again for so long: otherwise each request would pay for the time-out.
_PAUSE_S = 1.0
_CONNECTIONS = 32
#: Scripts that are sent one by one; more at the same time wait for the next round trip and share it.
_AT_ONCE = 1
_LARGEST_BATCH = 128
_Command = tuple[str | bytes | float, ...]
_FIX = "Start it, or correct redis_url."


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua program that runs in the server, in one piece."""

    text: str
    digest: str

    @classmethod
    def of(cls, text: str) -> Script:
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class RedisServer:
    """url: ``redis://`` or ``rediss://``, with user, password and database number where needed, and nothing else.

    ca: PEM file with the authority of the server's certificate; the system's authorities when empty. With rediss the
    certificate and its host name are always checked. Raises Misconfigured for a URL that is none.
    """

    def __init__(self, url: str, *, ca: str = "") -> None:
        options, self.address = _options(url, ca)
        self._pool = ConnectionPool(
            max_connections=_CONNECTIONS,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_CONNECT_S,
            # A connection that the server closed is found out when it is used: once more, on a new one.
            retry=Retry(NoBackoff(), 1),
            **options,
        )
        self._redis = Redis(connection_pool=self._pool)
        self._failed_at = -_PAUSE_S
        self._under_way = 0
        self._waiting: list[tuple[_Command, asyncio.Future[Any]]] = []
        self._flush: asyncio.Task[None] | None = None

    async def close(self) -> None:
        await self._redis.aclose()
        await self._pool.disconnect()

    async def ping(self) -> None:
        """Asks, pause or not. Raises Unavailable unless it answers."""
        self._failed_at = -_PAUSE_S
        await self.ask("PING")

    async def run(self, script: Script, keys: Sequence[str], *arguments: str | bytes | float) -> Any:
        """What the script returns. Raises Unavailable."""
        command = ("EVALSHA", script.digest, len(keys), *keys, *arguments)
        try:
            if self._under_way < _AT_ONCE:
                return await self.ask(*command)
            return await self._queued(command)
        except _UnknownScript:
            return await self.ask("EVAL", script.text, *command[2:])

    async def ask(self, *command: str | bytes | float) -> Any:
        """One command's answer. Raises Unavailable."""
        self._check_pause()
        self._under_way += 1
        try:
            return await self._redis.execute_command(*command)
        except (vendor.RedisError, OSError) as error:
            raise self._translated(error) from error
        finally:
            self._under_way -= 1
            if self._waiting and self._flush is None:
                self._flush = asyncio.create_task(self._send_waiting())

    async def _queued(self, command: _Command) -> Any:
        """Together with others that came while the server was busy with us: one round trip for all of them."""
        self._check_pause()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        found = await answer
        if isinstance(found, Exception):
            raise self._translated(found) from found
        return found

    async def _send_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_LARGEST_BATCH], self._waiting[_LARGEST_BATCH:]
            pipeline = self._redis.pipeline(transaction=False)
            for command, _ in batch:
                pipeline.execute_command(*command)
            try:
                found: list[Any] = await pipeline.execute(raise_on_error=False)
            except (vendor.RedisError, OSError) as error:
                found = [error] * len(batch)
            for (_, answer), one in zip(batch, found, strict=True):
                if not answer.done():
                    answer.set_result(one)
        self._flush = None

    def _check_pause(self) -> None:
        if time.monotonic() - self._failed_at < _PAUSE_S:
            raise Unavailable(f"Redis at {self.address} did not answer just now", fix=_FIX)

    def _translated(self, error: Exception) -> AlphaPulseError | _UnknownScript:
        if isinstance(error, vendor.NoScriptError):
            return _UnknownScript()
        if isinstance(error, vendor.OutOfMemoryError):
            return Unavailable(f"Redis at {self.address} is full", fix="Give it more maxmemory.")
        if isinstance(error, vendor.ConnectionError | vendor.TimeoutError | OSError):
            self._failed_at = time.monotonic()
            return Unavailable(f"Redis at {self.address} does not answer", fix=_FIX)
        # The server's own words may repeat what was sent.
        return Unavailable(f"Redis at {self.address} refuses the command: {type(error).__name__}", fix=_FIX)


class _UnknownScript(Exception):
    """The server was restarted, or never saw it."""


def _options(url: str, ca: str) -> tuple[dict[str, Any], str]:
    """What the library needs to connect, and how the server is called in messages: without its password."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
        number = int(parts.path.strip("/") or "0")
    except ValueError as error:
        raise Misconfigured("redis_url is no address of a Redis", fix=_FORM) from error
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname or parts.query or parts.fragment:
        raise Misconfigured("redis_url is no address of a Redis", fix=_FORM)
    options: dict[str, Any] = {"host": parts.hostname, "port": port, "db": number, "protocol": 3}
    if parts.username:
        options["username"] = unquote(parts.username)
    if parts.password:
        options["password"] = unquote(parts.password)
    if parts.scheme == "rediss":
        options |= {"connection_class": SSLConnection, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
        options |= {"ssl_ca_certs": ca} if ca else {}
    else:
        options["connection_class"] = Connection
    return options, f"{parts.hostname}:{port}"


_FORM = "Write it as redis://HOST:PORT/NUMBER, or rediss:// for TLS, with USER:PASSWORD@ where needed."
