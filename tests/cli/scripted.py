"""A real HTTP server on a loopback port, whose answers a test writes down beforehand."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from alphapulse.domain import wire


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Reply:
    """hang_up: close the connection instead of answering."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    hang_up: bool = False
    raw: bytes | None = None


class ScriptedDaemon:
    """asked: every request so far. A route answers its replies in turn and the last one again and again."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._replies: dict[tuple[str, str], deque[Reply]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.headers.get("transfer-encoding") == "chunked":
                    body = _chunks(self.rfile)
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.asked.append(Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body))
                reply = server.reply(self.command, parts.path)
                if reply.hang_up:
                    self.close_connection = True
                    return
                content = reply.raw if reply.raw is not None else json.dumps(wire.encode(reply.body)).encode()
                self.send_response(reply.status)
                for name, value in {"X-Request-Id": "req-1", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 -- http.server looks for these names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def on(self, route: str, *replies: Reply | Any) -> None:
        """route: ``GET /orders``. A reply that is not a Reply is the body of a 200."""
        method, path = route.split(" ")
        self._replies[method, path] = deque(r if isinstance(r, Reply) else Reply(body=r) for r in replies)

    def problem(self, route: str, status: int, code: str, detail: str, **more: Any) -> None:
        body = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail, **more}
        self.on(route, Reply(status, body, {"Content-Type": "application/problem+json"}))

    def reply(self, method: str, path: str) -> Reply:
        replies = self._replies.get((method, path))
        if not replies:
            return Reply(404, {"code": "not_found", "detail": f"{method} {path} has no script", "status": 404})
        return replies.popleft() if len(replies) > 1 else replies[0]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()


def _chunks(stream: Any) -> bytes:
    body = b""
    while size := int(stream.readline(), 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body
