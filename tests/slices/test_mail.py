"""The outbox: a mail goes exactly when its cause was committed, and is tried until it is taken or given up."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from jinja2 import meta

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.mail.console import ConsoleMail
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.alerts.delivery import KEEP, LEASE, PAUSES, Delivery
from alphapulse.alerts.outbox import enqueue_mail
from alphapulse.alerts.rendering import Letters
from alphapulse.clock import ManualClock, SystemClock
from alphapulse.domain.mail import VALUES, Mail, MailTemplate, has_link
from alphapulse.errors import AlphaPulseError, Defect, InvalidInput, Refused, Unavailable
from alphapulse.ports.database import Row
from alphapulse.ports.mail import Mailer
from alphapulse.sealing import Seal
from tests.conftest import MakeTenant

URL = "https://funds.example"
INVITED = {"tenant": "Acme", "role": "trader", "inviter": "ann@acme.example", "token": "T0KEN", "expires_at": "soon"}


class Post:
    """A mail adapter that does what it is told: takes mails, raises, or does not come back.

    stuck: cleared, it takes no mail and does not say so. poison: the mail that it breaks on.
    """

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.trouble: AlphaPulseError | None = None
        self.poison: UUID | None = None
        self.asked = asyncio.Event()
        self.stuck = asyncio.Event()
        self.stuck.set()

    async def send(self, mail: Mail) -> None:
        self.asked.set()
        await self.stuck.wait()
        if self.trouble is not None:
            raise self.trouble
        if mail.id == self.poison:
            raise RuntimeError("nobody foresaw this")
        self.sent.append(mail)

    async def forget(self, mails: Sequence[UUID]) -> int:
        return 0

    async def ping(self) -> None:
        return None


class Office:
    """A tenant with an outbox."""

    def __init__(self, database: PostgresDatabase, tenant_id: UUID, mailer: Mailer, folder: Path) -> None:
        self.database = database
        self.tenant_id = tenant_id
        self.seal = Seal.from_file(folder / "master.key")
        self.clock = ManualClock(SystemClock().now())
        self.delivery = Delivery(
            database=database,
            clock=self.clock,
            seal=self.seal,
            mailer=mailer,
            letters=Letters(URL),
            telemetry=NoTelemetry(),
        )

    async def invite(
        self, key: str = "one", *, to: str = "bob@acme.example", tenant: str = "Acme", fails: bool = False
    ) -> UUID:
        async with self.database.transaction(self.tenant_id) as tx:
            mail_id = await enqueue_mail(
                tx,
                self.seal,
                tenant_id=self.tenant_id,
                to=to,
                template="invitation",
                values={**INVITED, "tenant": tenant},
                at=self.clock.now(),
                key=key,
            )
            if fails:
                raise Unavailable("the cause failed")
        return mail_id

    async def row(self, mail_id: UUID) -> Row:
        async with self.database.transaction(self.tenant_id) as tx:
            row = await tx.one("SELECT * FROM mails WHERE id = %(id)s", {"id": mail_id})
        assert row is not None
        return row


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
async def office(database: PostgresDatabase, make_tenant: MakeTenant, post: Post, tmp_path: Path) -> Office:
    return Office(database, await make_tenant(database), post, tmp_path)


async def test_a_mail_goes_once_its_cause_is_committed(office: Office, post: Post) -> None:
    await office.invite()
    assert await office.delivery.run() == 1
    [mail] = post.sent
    assert (mail.to, mail.subject) == ("bob@acme.example", "ann@acme.example invites you to Acme on AlphaPulse")
    assert f"{URL}/accept#T0KEN" in mail.text
    assert "alphapulse members accept T0KEN" in mail.text
    assert f'href="{URL}/accept#T0KEN"' in mail.html


async def test_a_cause_that_fails_sends_no_mail(office: Office, post: Post) -> None:
    with pytest.raises(Unavailable):
        await office.invite(fails=True)
    assert await office.delivery.run() == 0


async def test_the_same_key_is_the_same_mail_and_another_tenants_is_not(
    office: Office, post: Post, make_tenant: MakeTenant, tmp_path: Path
) -> None:
    other = Office(office.database, await make_tenant(office.database, "globex"), post, tmp_path)
    first = await office.invite("one")
    assert await office.delivery.run() == 1
    assert await office.invite("one") == first
    assert await office.delivery.run() == 0
    assert await other.invite("one") != first
    assert await other.delivery.run() == 1


async def test_the_token_is_sealed_while_the_mail_waits_and_gone_once_it_is_sent(office: Office) -> None:
    mail_id = await office.invite()
    waiting = await office.row(mail_id)
    assert b"T0KEN" not in waiting["sealed_values"]
    await office.delivery.run()
    sent = await office.row(mail_id)
    assert (sent["state"], sent["sealed_values"], sent["error"]) == ("sent", None, "")


async def test_a_mail_about_no_tenant_goes_as_well(office: Office, post: Post) -> None:
    async with office.database.shared() as tx:
        await enqueue_mail(
            tx,
            office.seal,
            tenant_id=None,
            to="ann@acme.example",
            template=MailTemplate.PASSWORD_RESET,
            values={"token": "T0KEN", "expires_at": "soon"},
            at=office.clock.now(),
            key="reset",
        )
    assert await office.delivery.run() == 1
    assert f"{URL}/reset#T0KEN" in post.sent[0].text


async def test_what_fails_for_now_is_tried_again_after_its_pause_until_it_is_given_up(
    office: Office, post: Post
) -> None:
    mail_id = await office.invite()
    post.trouble = Unavailable("no server")
    for pause in PAUSES:
        assert await office.delivery.run() == 0
        row = await office.row(mail_id)
        assert (row["state"], row["error"]) == ("queued", "unavailable: no server")
        office.clock.advance(pause - timedelta(seconds=1))
        await office.delivery.run()
        assert (await office.row(mail_id))["attempts"] == row["attempts"], "before its pause is over"
        office.clock.advance(timedelta(seconds=1))
    await office.delivery.run()
    given_up = await office.row(mail_id)
    assert (given_up["state"], given_up["sealed_values"]) == ("failed", None)
    post.trouble = None
    assert await office.delivery.run() == 0


async def test_a_mail_that_is_refused_for_good_is_given_up_at_once_and_stops_no_other(
    office: Office, post: Post
) -> None:
    refused = await office.invite("one")
    post.trouble = Refused("550")
    await office.delivery.run()
    post.trouble = None
    await office.invite("two", to="cyd@acme.example")
    assert await office.delivery.run() == 1
    assert (await office.row(refused))["state"] == "failed"


async def test_words_that_no_mail_can_hold_are_told_without_them_and_stop_no_other(
    database: PostgresDatabase, make_tenant: MakeTenant, tmp_path: Path
) -> None:
    office = Office(
        database, await make_tenant(database), ConsoleMail(tmp_path / "mail", sender="a@b.example"), tmp_path
    )
    broken = await office.invite("one", tenant="Acme \ud800")
    await office.invite("two")
    assert await office.delivery.run() == 1
    row = await office.row(broken)
    assert (row["state"], row["error"]) == (
        "queued",
        f"defect: mail {broken} cannot be written as a message (UnicodeEncodeError)",
    )


async def test_an_error_that_nobody_foresaw_fails_the_job_once_the_other_mails_are_sent(
    office: Office, post: Post
) -> None:
    poison = await office.invite("one")
    post.poison = poison
    await office.invite("two")
    for attempt in range(1, len(PAUSES) + 2):
        with pytest.raises(RuntimeError):
            await office.delivery.run()
        assert len(post.sent) == 1
        assert (await office.row(poison))["attempts"] == attempt
        office.clock.advance(LEASE)
    assert await office.delivery.run() == 0
    row = await office.row(poison)
    assert (row["state"], row["error"]) == ("failed", "refused: every attempt ended with its worker")


async def test_a_mail_whose_courier_died_is_sent_again_after_the_lease(office: Office, post: Post) -> None:
    await office.invite()
    post.stuck.clear()
    dying = asyncio.create_task(office.delivery.run())
    await asyncio.wait_for(post.asked.wait(), 15)
    dying.cancel()
    await asyncio.wait([dying])
    post.stuck.set()
    assert await office.delivery.run() == 0, "somebody may still be sending it"
    office.clock.advance(LEASE)
    assert await office.delivery.run() == 1


async def test_old_mails_and_their_copies_are_deleted_and_waiting_ones_are_not(office: Office, tmp_path: Path) -> None:
    mailer = ConsoleMail(tmp_path / "mail", sender="alphapulse@localhost")
    written = Office(office.database, office.tenant_id, mailer, tmp_path)
    await written.invite("old")
    await written.delivery.run()
    [path] = (tmp_path / "mail").glob("*.eml")
    assert "T0KEN" in email.message_from_bytes(path.read_bytes(), policy=email.policy.default).as_string()
    written.clock.advance(KEEP)
    assert await written.delivery.tidy(office.tenant_id) == 0
    written.clock.advance(timedelta(seconds=1))
    waiting = await written.invite("new")
    written.clock.advance(KEEP * 2)
    assert await written.delivery.tidy(office.tenant_id) == 1
    assert list((tmp_path / "mail").glob("*.eml")) == []
    assert (await written.row(waiting))["state"] == "queued"


async def test_an_address_that_is_none_is_refused_where_the_mail_is_caused(office: Office) -> None:
    for to in ("bob", "bob@acme.example\r\nBcc: all@acme.example", "a@b, c@d", "x" * 250 + "@a.example", "a@b\0"):
        with pytest.raises(InvalidInput, match="not a mail address"):
            await office.invite(to=to)


async def test_other_values_than_the_templates_are_a_defect_at_once(office: Office) -> None:
    async with office.database.transaction(office.tenant_id) as tx:
        for template, values in {"invitation": {"tenant": "Acme"}, "praise": {}}.items():
            with pytest.raises(Defect, match="template"):
                await enqueue_mail(
                    tx,
                    office.seal,
                    tenant_id=office.tenant_id,
                    to="bob@acme.example",
                    template=template,
                    values=values,
                    at=office.clock.now(),
                    key="one",
                )


@pytest.mark.parametrize("template", MailTemplate)
def test_every_template_uses_exactly_the_values_it_asks_for(template: MailTemplate) -> None:
    environment = Letters(URL)._environment
    loader = environment.loader
    assert loader is not None
    used: set[str] = set()
    for suffix in ("txt", "html"):
        source, _, _ = loader.get_source(environment, f"{template.value}.{suffix}.j2")
        used |= meta.find_undeclared_variables(environment.parse(source))
    given = VALUES[template] | {"public_url"} | ({"link"} if has_link(template) else set())
    assert used - {"public_url"} == given - {"public_url"}


def test_a_value_neither_breaks_the_subject_nor_becomes_markup() -> None:
    values = {**INVITED, "tenant": "<b>Acme</b>\r\nBcc: all@acme.example", "inviter": "x\n\ny"}
    mail = Letters(URL).write(
        MailTemplate.INVITATION, values, mail_id=uuid4(), to="bob@acme.example", written_at=SystemClock().now()
    )
    assert "\n" not in mail.subject
    assert "<b>Acme" not in mail.html
    assert "&lt;b&gt;Acme" in mail.html
