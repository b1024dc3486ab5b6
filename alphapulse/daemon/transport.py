"""The way in: TLS 1.3 with certificates that can be replaced while it serves, and connections that must not dawdle."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from alphapulse.errors import Misconfigured

#: A connection has this long until its request line and headers are complete: the first from its opening, the next
#: from their first byte. Between two requests it is closed after a few idle seconds.
HEAD_S = 10.0
#: Bytes of request line and headers while they are incomplete. What is complete is looked at by ``check_headers``.
LARGEST_HEAD = 131_072
_REFUSAL = (
    b"HTTP/1.1 %s\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
    b"cache-control: no-store\r\nconnection: close\r\n\r\n%s"
)

_log = logging.getLogger(__name__)


class Tls:
    """Serves TLS 1.3 and nothing older. Raises Misconfigured for files that are no certificate and its key."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self.context = self._made()

    def reload(self) -> None:
        """Read the files again, for connections from now on. Files that do not fit are logged, and the old stay."""
        try:
            self._made()
            self.context.load_cert_chain(*self._files)
        except (Misconfigured, OSError) as error:
            _log.error("the certificate was not replaced", extra={"reason": str(error)})
            return
        _log.info("the certificate was replaced", extra={"file": str(self._files[0])})

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(
                f"{self._files[0]} and {self._files[1]} are no certificate and its key: {error}",
                fix="Name PEM files that belong together and that the daemon may read.",
            ) from error
        return context


class PatientHttp(HttpToolsProtocol):
    """uvicorn's protocol with an end to its patience: heads that never end, or grow without end, are cut off."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is None:
            return
        self._head_bytes += len(data)
        if self._head_bytes > LARGEST_HEAD and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large", b'{"code":"payload_too_large","status":431}')

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head is None:
            self._begin()

    def on_headers_complete(self) -> None:
        self._end()
        super().on_headers_complete()

    def _begin(self) -> None:
        self._head_bytes = 0
        self._head = self.loop.call_later(HEAD_S, self._too_late)

    def _end(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _too_late(self) -> None:
        self._head = None
        if not self.transport.is_closing():
            self._refuse(b"408 Request Timeout", b'{"code":"try_again","status":408}')

    def _refuse(self, status: bytes, body: bytes) -> None:
        self._end()
        self.transport.write(_REFUSAL % (status, len(body), body))
        self.transport.close()
