"""Mails leave a daemon at once: the commit that causes one wakes the job that delivers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.adapters.mail.console import ConsoleMail
from alphapulse.adapters.queue.procrastinate import ProcrastinateQueue
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.alerts.delivery import Delivery
from alphapulse.alerts.outbox import enqueue_mail
from alphapulse.alerts.rendering import Letters
from alphapulse.clock import SystemClock
from alphapulse.daemon.assembly.mail import open_mailer, shows_links
from alphapulse.daemon.jobs.mail import Courier, MailJob
from alphapulse.errors import Misconfigured
from alphapulse.settings import load
from tests.conftest import SEAL, MakeTenant
from tests.daemon.waiting import eventually


@pytest.fixture
async def post(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Path]:
    """The folder into which a worker with a courier delivers."""
    queue = ProcrastinateQueue(urls.app, database=database, telemetry=NoTelemetry())
    delivery = Delivery(
        database=database,
        clock=SystemClock(),
        seal=SEAL,
        mailer=ConsoleMail(tmp_path / "mail", sender="alphapulse@localhost"),
        letters=Letters("https://funds.example"),
        telemetry=NoTelemetry(),
    )
    functions = {"mail": MailJob(delivery=delivery).run}
    tasks = [
        asyncio.create_task(queue.work(functions, concurrency=1)),
        asyncio.create_task(Courier(database=database, queue=queue).run()),
    ]
    yield tmp_path / "mail"
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


async def confirm(database: PostgresDatabase, tenant_id: UUID, key: str) -> None:
    async with database.transaction(tenant_id) as tx:
        await enqueue_mail(
            tx,
            SEAL,
            tenant_id=tenant_id,
            to="ann@acme.example",
            template="confirmation",
            values={"token": key, "expires_at": "soon"},
            at=SystemClock().now(),
            key=key,
        )


async def test_a_committed_mail_is_delivered_without_waiting_for_the_schedule(
    post: Path, database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(database)
    for count in (1, 2, 3):
        await confirm(database, tenant, f"mail {count}")

        async def arrived(wanted: int = count) -> bool:
            return len(list(post.glob("*.eml"))) == wanted  # noqa: ASYNC240 -- a folder of three files

        await eventually(arrived)


def test_links_are_shown_only_where_nobody_else_could_deliver_them(tmp_path: Path) -> None:
    smtp = {"host": "mail.example.com", "sender": "alphapulse@example.com"}
    assert shows_links(load(data_directory=tmp_path))
    assert not shows_links(load(data_directory=tmp_path, mail="smtp", smtp=smtp))


@pytest.mark.parametrize(
    ("smtp", "problem"),
    [
        ({}, "smtp.host"),
        ({"host": "mail.example.com", "sender": "nobody"}, "smtp.sender"),
        ({"host": "mail.example.com", "sender": "a@b.example", "security": "none"}, "readable"),
        ({"host": "mail.example.com", "sender": "a@b.example", "username": "ann"}, "go together"),
    ],
)
def test_a_mail_server_that_could_not_be_used_is_refused_at_start(
    smtp: dict[str, str], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured, match=problem):
        load(data_directory=tmp_path, mail="smtp", smtp=smtp)


def test_the_password_of_the_mail_server_is_never_shown(tmp_path: Path) -> None:
    smtp = {"host": "mail.example.com", "sender": "a@b.example", "username": "ann", "password": "p4ssw0rd"}
    settings = load(data_directory=tmp_path, mail="smtp", smtp=smtp)
    open_mailer(settings)
    assert "p4ssw0rd" not in f"{settings.shown()}{settings}"


@pytest.mark.parametrize("url", ["http://funds.example", "https://funds.example/app", "ftp://x", "https://u@x"])
def test_a_public_address_that_could_not_stand_in_a_link_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="public_url"):
        load(data_directory=tmp_path, public_url=url)
