"""A real SMTP server (aiosmtpd) that keeps what it is given."""

from __future__ import annotations

import email
import email.policy
import gc
import socket
import ssl
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

LOGIN = ("alphapulse", "a password for mails")


@dataclass
class Mailbox:
    """port: where it listens on 127.0.0.1. answer: what it says to the next recipients; empty: takes them."""

    port: int = 0
    answer: str = ""
    received: list[EmailMessage] = field(default_factory=list[EmailMessage])

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.answer:
            return self.answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- as above
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        self.received.append(message)
        return "250 OK"


@contextmanager
def mail_server(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, login: bool = False
) -> Generator[Mailbox]:
    """tls: speaks TLS from the first byte; starttls: offers and demands it. login: takes mails after LOGIN only,
    for which it wants STARTTLS.
    """
    mailbox = Mailbox()
    options: dict[str, Any] = {}
    if starttls is not None:
        options |= {"tls_context": starttls, "require_starttls": True}
    if login:
        options |= {"authenticator": _authenticate, "auth_required": True}
    controller = Controller(mailbox, hostname="127.0.0.1", port=_free_port(), ssl_context=tls, **options)
    controller.start()
    try:
        mailbox.port = controller.port
        yield mailbox
    finally:
        controller.stop()
        del controller
        with warnings.catch_warnings():
            # aiosmtpd leaves the transport below an upgraded (STARTTLS) one to the collector when its loop ends.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    given = data if isinstance(data, LoginPassword) else LoginPassword(b"", b"")
    right = (given.login.decode(), given.password.decode()) == LOGIN
    return AuthResult(success=right, handled=False, auth_data=given)


def _free_port() -> int:
    """The controller connects to itself at start, so it must be told a real number."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])
