"""What surrounds every request: its id, its log context, its headers, its size limit, its time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alphapulse.audit.origin import ORIGIN
from alphapulse.clock import Clock
from alphapulse.daemon.facts import begin, route_of
from alphapulse.domain.rates import RateVerdict
from alphapulse.errors import InvalidInput, PayloadTooLarge, Refused, Unauthenticated
from alphapulse.ports.database import WATCHING
from alphapulse.ports.telemetry import Telemetry

#: An API needs no page features; a browser that lands here by accident gets none.
SECURITY_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
#: How much of a body that is too large is still read, bytes and seconds; then the connection is cut.
_DISCARD, _DISCARD_S = 32_000_000, 5.0
#: Bytes of all request headers together.
_LARGEST_HEADERS = 65_536
#: Bytes of path and query together.
_LONGEST_ADDRESS = 16_384
#: Seconds that may pass between two pieces of a body.
BODY_S = 30.0
_TRANSPORT_SECURITY = (b"strict-transport-security", b"max-age=31536000")


class Envelope:
    """Outermost: gives the request its id and the answer its headers, and measures."""

    def __init__(self, app: ASGIApp, clock: Clock, telemetry: Telemetry) -> None:
        self._app = app
        self._clock = clock
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        facts = begin(scope, self._clock.now(), started)
        structlog.contextvars.bind_contextvars(request_id=facts.request_id)
        origin = ORIGIN.set(facts)
        own = [*SECURITY_HEADERS, (b"x-request-id", facts.request_id.encode())]
        if scope.get("scheme") in {"https", "wss"}:
            own.append(_TRANSPORT_SECURITY)
        status = 500

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                counted = [] if facts.verdict is None else rate_headers(facts.verdict)
                message["headers"] = [*message.get("headers", ()), *own, *counted]
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        finally:
            ORIGIN.reset(origin)
            WATCHING.set(
                False
            )  # the server gives each request a context of its own; whoever calls us in theirs gets it back
            structlog.contextvars.unbind_contextvars("request_id")
            if scope["type"] == "http":
                self._telemetry.observe(
                    "http_request_seconds",
                    time.perf_counter() - started,
                    method=scope["method"] if scope.get("route") is not None else "any",
                    route=route_of(scope)[1],
                    status=f"{status // 100}xx",
                )


def rate_headers(verdict: RateVerdict) -> list[tuple[bytes, bytes]]:
    """Seconds are whole, and rounded up: who waits as long is not too early."""
    reset = math.ceil(verdict.reset.total_seconds())
    return [
        (b"ratelimit-limit", b"%d" % verdict.limit),
        (b"ratelimit-remaining", b"%d" % verdict.remaining),
        (b"ratelimit-reset", b"%d" % reset),
        (b"ratelimit-policy", b"%d;w=60" % verdict.limit),
    ]


class BodyLimit:
    """Refuses larger bodies, by their declared length at once and by what really arrives as it arrives.

    limit: bytes. larger: limits of single routes, by method and path.
    """

    def __init__(self, app: ASGIApp, limit: int, larger: Mapping[tuple[str, str], int]) -> None:
        self._app = app
        self._limit = limit
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if b"%00" in scope.get("raw_path", b"") or b"%00" in scope["query_string"] or "\x00" in scope["path"]:
            raise InvalidInput("the address contains a NUL", fix="Remove %00.")
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > _LONGEST_ADDRESS:
            raise PayloadTooLarge(f"the address is longer than {_LONGEST_ADDRESS} bytes", fix="Shorten it.")
        check_headers(scope)
        limit = self._larger.get((scope["method"], scope["path"]), self._limit)
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > limit:
            raise await _too_large(limit, receive)
        arrived, ended = 0, False

        async def counted() -> Message:
            nonlocal arrived, ended
            try:
                async with asyncio.timeout(None if ended else BODY_S):
                    message = await receive()
            except TimeoutError:
                raise Refused(f"nothing of the body came for {BODY_S:.0f} s", fix="Send it without a pause.") from None
            ended = not message.get("more_body", False)
            arrived += len(message.get("body", b""))
            if arrived > limit:
                raise await _too_large(limit, receive)
            return message

        await self._app(scope, counted, send)


def check_headers(scope: Scope) -> None:
    """Raises PayloadTooLarge for too many bytes of headers; Unauthenticated or InvalidInput for a credential or a
    tenant that is named twice: a proxy before us may have read the other one.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    names = [name for name, _ in headers]
    if sum(len(name) + len(value) for name, value in headers) > _LARGEST_HEADERS:
        raise PayloadTooLarge(
            f"the headers are larger than {_LARGEST_HEADERS} bytes", fix="Send fewer or shorter ones."
        )
    if names.count(b"authorization") > 1:
        raise Unauthenticated("there is more than one Authorization header", fix="Send one.")
    if names.count(b"x-tenant") > 1:
        raise InvalidInput("there is more than one X-Tenant header", field="X-Tenant", fix="Name one tenant.")


async def _too_large(limit: int, receive: Receive) -> PayloadTooLarge:
    """The refusal, after some of the rest was thrown away: a client that is still sending would not read it."""
    thrown = 0
    try:
        async with asyncio.timeout(_DISCARD_S):
            while thrown < _DISCARD:
                message = await receive()
                thrown += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    break
    except TimeoutError:
        pass
    return PayloadTooLarge(f"the body is larger than {limit} bytes", fix="Send less, or in several requests.")
