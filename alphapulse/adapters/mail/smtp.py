"""Mails over SMTP with TLS (RFC 5321, 8314). A certificate that does not prove the server's name is always refused."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import UUID

import aiosmtplib

from alphapulse.adapters.mail.message import written
from alphapulse.domain.mail import Mail
from alphapulse.errors import Misconfigured, Refused, Unavailable

_PERMANENT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Where mails are handed over. security ``none`` sends everything readable: for a server on this machine only.

    authorities: a PEM file of further certificate authorities to trust, beside the system's. timeout_s: of each step.
    """

    host: str
    port: int
    security: Literal["tls", "starttls", "none"]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    authorities: Path | None = None
    timeout_s: float = 20.0


class SmtpMail:
    """One connection per mail: an SMTP server closes those that wait."""

    def __init__(self, server: SmtpServer, *, sender: str) -> None:
        self._server = server
        self._sender = sender
        self._trust = _trust(server)

    async def send(self, mail: Mail) -> None:
        async with self._connected() as client:
            await client.send_message(written(mail, self._sender))

    async def forget(self, mails: Sequence[UUID]) -> int:  # noqa: ARG002 -- the port's signature
        """What was handed over is with its recipient."""
        return 0

    async def ping(self) -> None:
        async with self._connected() as client:
            await client.noop()

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[aiosmtplib.SMTP]:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=self._trust,
            timeout=server.timeout_s,
        )
        where = f"the mail server {server.host}:{server.port}"
        try:
            async with client:
                yield client
        except aiosmtplib.SMTPAuthenticationError as error:
            raise Misconfigured(
                f"{where} refuses the login: {error.code}", fix="Correct smtp.username and smtp.password."
            ) from error
        except aiosmtplib.SMTPNotSupported as error:
            raise _unoffered(where, error) from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(where, max(error.recipients, key=lambda one: one.code)) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal(where, error) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            # The library has no class of its own for a server without STARTTLS.
            bare = type(error) is aiosmtplib.SMTPException
            raise (_unoffered if bare else _unreached)(where, error) from error


def _trust(server: SmtpServer) -> ssl.SSLContext:
    """The system's authorities and the server's own. Raises Misconfigured."""
    trust = ssl.create_default_context()
    trust.minimum_version = ssl.TLSVersion.TLSv1_2
    if server.authorities is not None:
        try:
            trust.load_verify_locations(server.authorities)
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(
                f"{server.authorities}: no certificates of authorities: {error}", fix="Name a PEM file."
            ) from error
    return trust


def _unoffered(where: str, error: Exception) -> Misconfigured:
    return Misconfigured(
        f"{where} does not offer what the settings ask for: {error}",
        fix="Correct smtp.security, and smtp.username where the server takes no login.",
    )


def _refusal(where: str, error: aiosmtplib.SMTPResponseException) -> Refused | Unavailable:
    """By the server's own word: 5xx never, 4xx later. Its text may hold the address, which logs shall not."""
    if error.code >= _PERMANENT:
        return Refused(f"{where} refuses the mail for good: {error.code}")
    return Unavailable(f"{where} does not take the mail now: {error.code}")


def _unreached(where: str, error: Exception) -> Misconfigured | Unavailable:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Misconfigured(
                f"{where} does not prove its name: {cause.verify_message}",
                fix="Correct smtp.host to the name in its certificate, or name its authority in smtp.authorities.",
            )
        cause = cause.__cause__ or cause.__context__
    return Unavailable(f"{where} does not answer: {error or type(error).__name__}")
