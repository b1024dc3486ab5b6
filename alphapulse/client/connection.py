"""One HTTP connection to a daemon: where it is, as whom, and what its answers mean.

Plain blocking calls. A command asks one or two questions and ends, so an event loop would only cost start-up time;
the dashboard calls the same methods from threads (`asyncio.to_thread`), which httpx allows. Only the event stream,
which waits for hours, is asynchronous: see ``client/stream.py``.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from alphapulse import __version__
from alphapulse.client.failures import failure
from alphapulse.domain import wire
from alphapulse.errors import (
    DaemonUnreachable,
    Defect,
    InvalidInput,
    Misconfigured,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

T = TypeVar("T")

#: Seconds to wait for an answer to an ordinary question.
QUICK = 5.0
#: Seconds for answers that the daemon has to compute: chains, drift, imports.
LONG = 30.0
#: Seconds for an upload of many candles.
UPLOAD = 300.0
#: Seconds that one request waits for rate limits, all its waits together.
LONGEST_WAIT = 90.0

#: Told the seconds of a wait before it begins.
OnWait = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Target:
    """url: ``http://host:port``, no slash at the end. credential: a token or an API key; empty to ask as nobody.

    tenant: slug a platform admin acts in; empty for everybody else. ca: PEM file that the daemon's certificate
    is checked against; empty for the system's authorities. variable: of the environment, where the credential is from;
    empty when it is not from there. dashboard: whether the questions are a dashboard's, whose reads no plan counts.
    """

    url: str
    credential: str = ""
    tenant: str = ""
    ca: str = ""
    variable: str = ""
    dashboard: bool = False

    def headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self.credential:
            headers["Authorization"] = f"Bearer {self.credential}"
        if self.tenant:
            headers["X-Tenant"] = self.tenant
        if self.dashboard:
            headers["X-Client"] = "dashboard"
        return headers


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list. next: cursor for the rest, as ``before`` or ``since`` of the next call; None at the end."""

    items: tuple[T, ...]
    next: str | None = None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Connection:
    """Sends requests. Raises what the daemon raised; DaemonUnreachable when nothing answers, Unavailable when late."""

    def __init__(self, target: Target, on_wait: OnWait | None = None) -> None:
        """on_wait: told how long before a rate limit is waited for; None: TooManyRequests is raised instead."""
        self.target = target
        self._on_wait = on_wait
        self._http: httpx.Client | None = None

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def get(self, path: str, *, timeout: float = QUICK, **query: Any) -> Any:
        return self.request("GET", path, query=query, timeout=timeout)

    def post(
        self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, timeout: float = QUICK
    ) -> Any:
        return self.request("POST", path, body={} if body is None else body, headers=headers, timeout=timeout)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        upload: Path | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = QUICK,
        accept: tuple[int, ...] = (),
    ) -> Any:
        """The decoded JSON of a success. accept: other statuses whose JSON is an answer and not an error.

        query: None values are left out. body: a domain value. upload: sent as it is, instead of ``body``.
        A request that a rate limit refused was not worked on, so any method may be repeated.
        """
        waited = 0.0
        while True:
            try:
                return self._once(method, path, query or {}, body, upload, headers or {}, timeout, accept)
            except TooManyRequests as error:
                pause = error.retry_after.total_seconds()
                waited += pause
                if self._on_wait is None or not 0 < pause <= waited <= LONGEST_WAIT:
                    raise
                self._on_wait(pause)
                time.sleep(pause)

    def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Any,
        upload: Path | None,
        headers: Mapping[str, str],
        timeout: float,
        accept: tuple[int, ...],
    ) -> Any:
        sent: dict[str, str] = dict(headers)
        content: Any = None
        if body is not None:
            content = json.dumps(wire.encode(body)).encode()
            sent["Content-Type"] = "application/json"
        parameters = {name: _text(value) for name, value in query.items() if value is not None}
        if upload is None:
            response = self._send(method, path, parameters, content, sent, timeout)
        else:
            sent["Content-Type"] = "application/octet-stream"
            with upload.open("rb") as content:
                response = self._send(method, path, parameters, content, sent, timeout)
        return self._answer(response, accept)

    @contextmanager
    def streamed(self, path: str, headers: Mapping[str, str], *, timeout: float = LONG) -> Generator[httpx.Response]:
        """A success whose body is read as it comes. Raises Unavailable also when it breaks off meanwhile."""
        import httpx

        try:
            with self._client().stream("GET", path, headers=dict(headers), timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    self._answer(response, ())
                yield response
        except (httpx.TransportError, httpx.InvalidURL) as error:
            self._unanswered(error, "GET", path, timeout)

    def page(self, kind: type[T], path: str, *, timeout: float = QUICK, **query: Any) -> Page[T]:
        answer = self.get(path, timeout=timeout, **query)
        if not isinstance(answer, dict) or "items" not in answer:
            raise Defect(f"GET {path}: the daemon's answer is not a list", fix=_VERSIONS)
        found = cast("dict[str, Any]", answer)
        cursor = found.get("next")
        items = cast("list[Any]", found["items"])
        return Page(tuple(read(kind, item) for item in items), None if cursor is None else str(cursor))

    def stream(self, path: str, *, timeout: float = LONG, **query: Any) -> Iterator[bytes]:
        """The body of a success as it arrives. Raises Unavailable when the connection breaks before its end.

        timeout: seconds until the first byte, and between two.
        """
        import httpx

        parameters = {name: _text(value) for name, value in query.items() if value is not None}
        try:
            with self._client().stream("GET", path, params=parameters, timeout=timeout) as response:
                if response.is_success:
                    yield from response.iter_bytes()
                    return
                response.read()
                self._answer(response, ())
        except (httpx.TransportError, httpx.InvalidURL) as error:
            self._unanswered(error, "GET", path, timeout)

    def _send(
        self, method: str, path: str, query: dict[str, str], content: Any, headers: dict[str, str], timeout: float
    ) -> httpx.Response:
        import httpx

        def send() -> httpx.Response:
            return self._client().request(method, path, params=query, content=content, headers=headers, timeout=timeout)

        try:
            try:
                return send()
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # A kept-alive connection may have been closed just as we wrote; a GET asked again changes nothing.
                if method != "GET":
                    raise
                return send()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            self._unanswered(error, method, path, timeout)

    def _client(self) -> httpx.Client:
        if self._http is None:
            import httpx

            self._http = httpx.Client(
                base_url=self.target.url,
                headers={
                    **self.target.headers(),
                    "Accept": "application/json",
                    "User-Agent": f"alphapulse/{__version__}",
                },
                verify=certificates(self.target),
                trust_env=not is_loopback(self.target.url),
            )
        return self._http

    def _unanswered(self, error: Exception, method: str, path: str, timeout: float) -> NoReturn:
        import httpx

        url = self.target.url
        if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError | httpx.InvalidURL):
            raise Misconfigured(
                f"{url}: {error}", fix="Write the address as http://HOST:PORT or https://HOST:PORT."
            ) from error
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            raise DaemonUnreachable(
                f"no daemon answers at {url}",
                fix="Start one with `alphapulse daemon start`, or choose another with --context NAME.",
            ) from error
        if isinstance(error, httpx.TimeoutException):
            raise Unavailable(
                f"{method} {path}: no answer from {url} within {timeout:g} s",
                fix="Look at `alphapulse daemon logs`." if method == "GET" else _LOOK_FIRST,
            ) from error
        raise Unavailable(
            f"{method} {path}: the connection to {url} broke before the answer",
            fix="Try again." if method == "GET" else _LOOK_FIRST,
        ) from error

    def _answer(self, response: httpx.Response, accept: tuple[int, ...]) -> Any:
        try:
            body = response.json() if response.content else None
        except ValueError:
            body = None
        if response.is_success or response.status_code in accept:
            if body is None and response.content:
                raise Misconfigured(
                    f"{self.target.url} answers, but not as an AlphaPulse daemon",
                    fix="Check the address of the context: `alphapulse context list`.",
                )
            return body
        error = failure(response.status_code, body, response.headers)
        raise refused_variable(self.target, error) if isinstance(error, Unauthenticated) else error


def refused_variable(target: Target, error: Unauthenticated) -> Unauthenticated:
    """The same refusal, told as that of the environment variable where the credential is from one."""
    if not target.variable:
        return error
    return Unauthenticated(
        f"{target.url} refuses the API key in the variable {target.variable}",
        fix=f"Correct {target.variable}, or unset it: then the context's own login is used.",
        request_id=error.request_id,
    )


_LOOK_FIRST = "It may have happened: look before you repeat it."
_VERSIONS = "Compare `alphapulse --version` with the daemon's version in `alphapulse daemon status`."


def read(kind: type[T], data: Any) -> T:
    """``data`` as ``kind``. What this client cannot read is no fault of the caller: Defect, not InvalidInput."""
    try:
        return wire.decode(kind, data)
    except InvalidInput as error:
        raise Defect(f"cannot read the daemon's answer as {kind.__name__}: {error.message}", fix=_VERSIONS) from error


def certificates(target: Target) -> Any:
    """What the daemon's certificate is checked with. Loading authorities costs 40 ms: only for https."""
    if not target.url.startswith("https:"):
        return False
    import ssl

    try:
        return ssl.create_default_context(cafile=target.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"cannot read the authority file {target.ca}: {error}") from error


def is_loopback(url: str) -> bool:
    """Whether ``url`` stays on this machine: no proxy is asked, and plain http gives nothing away."""
    host = url.partition("://")[2].partition("/")[0]
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return name in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", name) is not None


def _text(value: Any) -> str:
    encoded = wire.encode(value)
    if isinstance(encoded, bool):
        return "true" if encoded else "false"
    return str(encoded)
