"""Every way for a mail to leave: what comes out is the mail, and what goes wrong is told apart."""

from __future__ import annotations

import email
import email.policy
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Literal, cast
from uuid import uuid4

import pytest

from alphapulse.adapters.mail.console import ConsoleMail
from alphapulse.adapters.mail.smtp import SmtpMail, SmtpServer
from alphapulse.domain.mail import Mail, MailTemplate
from alphapulse.errors import Misconfigured, Refused, Unavailable
from alphapulse.ports.mail import Mailer
from tests.fakes.certificates import Authority, server_context
from tests.fakes.mail_server import LOGIN, Mailbox, mail_server

SENDER = "alphapulse@funds.example"


def a_mail(**changes: object) -> Mail:
    mail = Mail(
        id=uuid4(),
        template=MailTemplate.INVITATION,
        to="ann@acme.example",
        subject="Ünïcode invites you",
        text="Hello, the token is T0KEN.\n",
        html="<p>Hello, the token is <b>T0KEN</b>.</p>",
        written_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
    )
    return replace(mail, **changes)  # pyright: ignore[reportArgumentType]


def parsed(path: Path) -> EmailMessage:
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


class Way:
    """One adapter, and how its mails are read at the other end."""

    def __init__(self, mailer: Mailer, mailbox: Mailbox | None, folder: Path) -> None:
        self.mailer = mailer
        self._mailbox = mailbox
        self._folder = folder

    def received(self) -> list[EmailMessage]:
        if self._mailbox is not None:
            return self._mailbox.received
        return [parsed(path) for path in sorted(self._folder.glob("*.eml"))]


@pytest.fixture(params=["console", "smtp", "smtp-tls", "smtp-starttls"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    if request.param == "console":
        yield Way(ConsoleMail(tmp_path / "mail", sender=SENDER), None, tmp_path / "mail")
        return
    authority = Authority(tmp_path)
    context = server_context(*authority.sign("127.0.0.1"))
    kind = request.param.partition("-")[2]
    with mail_server(
        tls=context if kind == "tls" else None, starttls=context if kind == "starttls" else None
    ) as mailbox:
        server = SmtpServer(
            host="127.0.0.1",
            port=mailbox.port,
            security=cast("Literal['tls', 'starttls', 'none']", kind or "none"),
            authorities=authority.file,
        )
        yield Way(SmtpMail(server, sender=SENDER), mailbox, tmp_path)


async def test_a_mail_arrives_whole(way: Way) -> None:
    mail = a_mail()
    await way.mailer.ping()
    await way.mailer.send(mail)
    [message] = way.received()
    assert (message["From"], message["To"], message["Subject"]) == (SENDER, mail.to, mail.subject)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == mail.text
    assert html.get_content().strip() == mail.html
    assert message["Auto-Submitted"] == "auto-generated"


async def test_a_mail_sent_again_is_the_same_message(way: Way) -> None:
    mail = a_mail()
    await way.mailer.send(mail)
    await way.mailer.send(mail)
    ids = {message["Message-ID"] for message in way.received()}
    assert ids == {f"<{mail.id}@funds.example>"}


async def test_the_console_writes_files_for_the_owner_alone_and_logs_no_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    mailer = ConsoleMail(tmp_path / "mail", sender=SENDER)
    await mailer.send(a_mail())
    [path] = (tmp_path / "mail").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    [record] = caplog.records
    assert (record.__dict__["to"], record.__dict__["template"]) == ("ann@acme.example", "invitation")
    assert "T0KEN" not in str(record.__dict__)


async def test_the_console_forgets_the_mails_it_is_told_to_and_no_others(tmp_path: Path) -> None:
    mailer = ConsoleMail(tmp_path, sender=SENDER)
    gone, kept = a_mail(), a_mail()
    await mailer.send(gone)
    await mailer.send(kept)
    assert await mailer.forget([gone.id, uuid4()]) == 1
    [path] = list(tmp_path.glob("*.eml"))  # noqa: ASYNC240 -- a folder of two files
    assert parsed(path)["Message-ID"] == f"<{kept.id}@funds.example>"


async def test_a_refusal_for_good_and_one_for_now_are_told_apart() -> None:
    with mail_server() as mailbox:
        mailer = SmtpMail(SmtpServer(host="127.0.0.1", port=mailbox.port, security="none"), sender=SENDER)
        mailbox.answer = "550 5.1.1 ann@acme.example is unknown here"
        with pytest.raises(Refused, match="550") as refused:
            await mailer.send(a_mail())
        assert "ann@" not in str(refused.value)
        mailbox.answer = "451 4.7.1 try again later"
        with pytest.raises(Unavailable, match="451"):
            await mailer.send(a_mail())
        mailbox.answer = ""
        await mailer.send(a_mail())
    with pytest.raises(Unavailable, match="does not answer"):
        await mailer.send(a_mail())


async def test_a_login_is_used_and_a_wrong_one_named_without_its_password(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with mail_server(starttls=server_context(*authority.sign("127.0.0.1")), login=True) as mailbox:
        server = SmtpServer(
            host="127.0.0.1",
            port=mailbox.port,
            security="starttls",
            username=LOGIN[0],
            password=LOGIN[1],
            authorities=authority.file,
        )
        await SmtpMail(server, sender=SENDER).send(a_mail())
        assert len(mailbox.received) == 1
        wrong = replace(server, password="not that one")
        with pytest.raises(Misconfigured, match="refuses the login") as refused:
            await SmtpMail(wrong, sender=SENDER).ping()
        assert "not that one" not in f"{refused.value}{wrong}"


@pytest.mark.parametrize("kind", ["tls", "starttls"])
@pytest.mark.parametrize("flaw", ["expired", "self-signed", "wrong host", "unknown authority"])
async def test_a_server_that_does_not_prove_its_name_gets_no_mail(
    kind: Literal["tls", "starttls"], flaw: str, tmp_path: Path
) -> None:
    trusted = Authority(tmp_path)
    pair = {
        "expired": lambda: trusted.expired("127.0.0.1"),
        "self-signed": lambda: trusted.self_signed("127.0.0.1"),
        "wrong host": lambda: trusted.sign("mail.example.com"),
        "unknown authority": lambda: Authority(tmp_path, "Other Authority").sign("127.0.0.1"),
    }[flaw]()
    context = server_context(*pair)
    with mail_server(
        tls=context if kind == "tls" else None, starttls=context if kind == "starttls" else None
    ) as mailbox:
        server = SmtpServer(host="127.0.0.1", port=mailbox.port, security=kind, authorities=trusted.file)
        with pytest.raises(Misconfigured, match="does not prove its name"):
            await SmtpMail(server, sender=SENDER).send(a_mail())
        assert mailbox.received == []


async def test_a_server_without_starttls_gets_no_mail_in_the_clear() -> None:
    with mail_server() as mailbox:
        server = SmtpServer(host="127.0.0.1", port=mailbox.port, security="starttls")
        with pytest.raises(Misconfigured, match="does not offer"):
            await SmtpMail(server, sender=SENDER).send(a_mail())
        assert mailbox.received == []
