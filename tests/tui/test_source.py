"""The daemon's side of the dashboard's source, asked over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from alphapulse.client.connection import Target
from alphapulse.domain.orders import OrderStatus
from alphapulse.errors import Unauthenticated
from alphapulse.tui.source import DaemonSource
from tests.cli import examples
from tests.cli.scripted import ScriptedDaemon


@contextmanager
def events_up_to(newest: int) -> Generator[tuple[str, list[int]]]:
    """A server of GET /events with ``newest`` events, of which none may be seen; and the questions it got."""
    asked: list[int] = []

    class Events(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            since = int(query["since"][0])
            asked.append(since)
            body = json.dumps({"items": [], "next": str(since + 1) if since < newest else None}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 -- as the base class names it

    server = ThreadingHTTPServer(("127.0.0.1", 0), Events)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("newest", [0, 1, 2, 3, 7, 8, 1000, 123_457])
async def test_the_newest_event_is_found_without_reading_all_of_them(newest: int) -> None:
    with events_up_to(newest) as (url, asked):
        source = DaemonSource(Target(url))
        assert await source.head() == newest
        await source.close()
        assert len(asked) <= 2 * newest.bit_length() + 2


async def test_open_orders_are_asked_for_as_live_ones_and_read_to_the_end() -> None:
    first, last = examples.order(OrderStatus.OPEN), examples.order(OrderStatus.UNKNOWN, UUID(int=1))
    with ScriptedDaemon() as daemon:
        daemon.on("GET /orders", {"items": [first], "next": "c1"}, {"items": [last], "next": None})
        source = DaemonSource(Target(daemon.url))
        assert list(await source.live_orders("momentum")) == [first, last]
        await source.close()
        asked = [one.query for one in daemon.asked]
    assert [(query["fund"], query["status"], query.get("before")) for query in asked] == [
        ("momentum", "live", None),
        ("momentum", "live", "c1"),
    ]


async def test_a_stream_that_refuses_the_key_of_the_environment_names_the_variable() -> None:
    with ScriptedDaemon() as daemon:
        daemon.problem("GET /ws", 401, "unauthenticated", "the API key is unknown")
        source = DaemonSource(Target(daemon.url, "ap_wrong", variable="ALPHAPULSE_API_KEY"))
        with pytest.raises(Unauthenticated, match="in the variable ALPHAPULSE_API_KEY"):
            await anext(aiter(source.follow(0)))
        await source.close()
