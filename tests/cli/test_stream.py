"""Following events over a connection that breaks, against a real WebSocket server."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.server import ServerConnection, serve

from alphapulse.client.connection import Target
from alphapulse.client.stream import Link, LinkState, follow
from alphapulse.domain import wire
from alphapulse.domain.events import Event, EventKind
from alphapulse.errors import DaemonUnreachable, Forbidden, Unauthenticated
from tests.cli.examples import AT
from tests.cli.scripted import Reply, ScriptedDaemon

Script = Callable[[ServerConnection, dict[str, Any]], Awaitable[None]]


def frame(sequence: int) -> str:
    event = Event(uuid4(), sequence, EventKind.EQUITY_MARKED, "demo", AT, AT, {"equity": "1"})
    return json.dumps({"type": "event", **wire.encode(event)})


@asynccontextmanager
async def streaming(script: Script) -> AsyncGenerator[str]:
    """A server that answers a subscription and then follows ``script``; its http address."""

    async def connection(link: ServerConnection) -> None:
        asked = json.loads(await link.recv())
        await link.send(json.dumps({"type": "subscribed", "since": asked.get("since", 7)}))
        await script(link, asked)

    async with serve(connection, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_broken_connection_is_put_back_up_after_the_last_event_seen() -> None:
    asked: list[int | None] = []

    async def script(link: ServerConnection, message: dict[str, Any]) -> None:
        asked.append(message["since"])
        await link.send(frame(message["since"] + 1))
        await link.send(frame(message["since"] + 2))
        link.transport.abort()

    seen: list[str] = []
    async with streaming(script) as url, aclosing(follow(Target(url, "k"), 10)) as stream:
        async for item in stream:
            seen.append(item.state.value if isinstance(item, Link) else str(item.sequence))
            if len(seen) == 7:
                break
    assert asked == [10, 12]
    assert seen == ["up", "11", "12", "down", "up", "13", "14"]


async def test_following_from_now_on_resumes_where_the_daemon_said_now_was() -> None:
    asked: list[int | None] = []

    async def script(link: ServerConnection, message: dict[str, Any]) -> None:
        asked.append(message.get("since"))
        link.transport.abort()

    async with streaming(script) as url, aclosing(follow(Target(url, "k"), None)) as stream:
        states = [item.state async for item, _ in _first(stream, 3) if isinstance(item, Link)]
    assert states == [LinkState.UP, LinkState.DOWN, LinkState.UP]
    assert asked == [None, 7]


async def _first(stream: AsyncIterator[Event | Link], count: int) -> AsyncIterator[tuple[Event | Link, int]]:
    number = 0
    async for item in stream:
        number += 1
        yield item, number
        if number == count:
            return


@pytest.mark.parametrize(("code", "kind"), [(4401, Unauthenticated), (4403, Forbidden)])
async def test_a_login_that_ended_is_not_tried_again(code: int, kind: type[Exception]) -> None:
    async def script(link: ServerConnection, _message: dict[str, Any]) -> None:
        await link.close(code, "revoked")

    with pytest.raises(kind, match="revoked"):
        async with streaming(script) as url, aclosing(follow(Target(url, "k"))) as stream:
            async for _ in stream:
                pass


KEY = "ALPHAPULSE_API_KEY"


async def refusal(url: str, variable: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as raised:
        async with aclosing(follow(Target(url, "ap_k", variable=variable))) as stream:
            async for _ in stream:
                pass
    return raised.value


async def test_a_refused_key_of_the_environment_is_told_as_such_however_the_stream_refuses_it() -> None:
    problem = {"code": "unauthenticated", "status": 401, "detail": "the API key is unknown", "request_id": "req-9"}

    async def close(link: ServerConnection, _message: dict[str, Any]) -> None:
        await link.close(4401, "revoked")

    async def say(link: ServerConnection, _message: dict[str, Any]) -> None:
        await link.send(json.dumps({"type": "error", **problem}))
        await link.wait_closed()

    with ScriptedDaemon() as door:
        door.on("GET /ws", Reply(401, problem))
        async with streaming(close) as closing, streaming(say) as saying:
            for url in (closing, saying, door.url):
                named, other = await refusal(url, KEY), await refusal(url, "")
                assert named.message == f"{url} refuses the API key in the variable {KEY}"
                assert KEY in named.fix
                assert KEY not in other.message
                assert named.request_id == other.request_id


async def test_an_error_of_the_daemon_is_raised_as_itself() -> None:
    async def script(link: ServerConnection, _message: dict[str, Any]) -> None:
        problem = {"type": "error", "code": "forbidden", "status": 403, "detail": "not for viewers"}
        await link.send(json.dumps(problem))
        await link.wait_closed()

    with pytest.raises(Forbidden, match="not for viewers"):
        async with streaming(script) as url, aclosing(follow(Target(url, "k"))) as stream:
            async for _ in stream:
                pass


async def test_a_heartbeat_tells_the_daemons_time_and_unknown_messages_are_passed_over() -> None:
    async def script(link: ServerConnection, _message: dict[str, Any]) -> None:
        await link.send(json.dumps({"type": "something-new", "x": 1}))
        await link.send(json.dumps({"type": "heartbeat", "at": wire.encode(AT)}))
        await link.wait_closed()

    async with streaming(script) as url, aclosing(follow(Target(url, "k"))) as stream:
        items = [item async for item, _ in _first(stream, 2)]
    assert items == [Link(LinkState.UP), Link(LinkState.ALIVE, at=AT)]


async def test_without_a_daemon_the_first_connection_fails_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(DaemonUnreachable, match="no event stream"):
        async with aclosing(follow(Target(url, "k"))) as stream:
            async for _ in stream:
                pass


async def test_the_credential_travels_in_a_header_and_never_in_the_address() -> None:
    requests: list[tuple[str, str | None, str | None]] = []

    async def script(link: ServerConnection, _message: dict[str, Any]) -> None:
        assert link.request is not None
        headers = link.request.headers
        requests.append((link.request.path, headers.get("authorization"), headers.get("x-tenant")))
        await link.wait_closed()

    async with streaming(script) as url, aclosing(follow(Target(url, "secret", "acme"))) as stream:
        assert [item async for item, _ in _first(stream, 1)] == [Link(LinkState.UP)]
    assert requests == [("/ws", "Bearer secret", "acme")]
