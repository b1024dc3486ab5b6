"""Uploads: kept beside the data while they arrive, gone afterwards, and quiet when the client goes away."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.daemon import uploads
from alphapulse.domain.tenancy import Role
from tests.daemon.house import House, listening
from tests.daemon.processes import Daemon, daemon
from tests.daemon.waiting import eventually, eventually_now

PATH = "/market/candles?filename=paperville_BTC-USDT_1h.csv"


@pytest.fixture
def served(urls: DatabaseUrls) -> Iterator[Daemon]:
    with daemon(urls) as made:
        yield made


async def half_a_request(netloc: str, path: str, headers: dict[str, str]) -> asyncio.StreamWriter:
    """A POST whose body never comes whole."""
    host, _, port = netloc.partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    lines = [f"POST {path} HTTP/1.1", f"Host: {netloc}", "Content-Length: 1000"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", "{"]).encode())
    await writer.drain()
    return writer


async def test_a_client_that_goes_away_amid_its_body_is_no_defect_of_ours(
    house: House, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    headers = {**await house.as_(Role.TRADER), "Content-Type": "application/json", "Idempotency-Key": "k"}
    async with listening(house) as netloc:

        async def counted() -> bool:
            shown = house.services.telemetry.render()[0].decode()
            return 'request_seconds_count{method="POST",route="/trades",status="4xx"} 3.0' in shown

        for _ in range(3):
            (await half_a_request(netloc, "/trades", headers)).close()
        await eventually(counted)
    said = caplog.text + "".join(capsys.readouterr())
    assert "should not" not in said
    assert "ClientDisconnect" not in said


async def test_an_upload_lies_in_the_data_directory_for_the_daemons_user_alone(house: House) -> None:
    folder = house.settings.data_directory / uploads.FOLDER
    headers = await house.as_(Role.PLATFORM_ADMIN)
    async with listening(house) as netloc:
        writer = await half_a_request(netloc, PATH, headers)

        async def arrives() -> bool:
            return bool(list(folder.glob("*/upload")))

        async def gone() -> bool:
            return not list(folder.iterdir())

        await eventually(arrives)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        writer.close()
        await eventually(gone)


def test_what_a_killed_daemon_left_of_an_upload_is_removed_at_the_next_start(served: Daemon) -> None:
    url = served.start()
    folder = served.data / uploads.FOLDER
    key = {"Authorization": f"Bearer {served.key}"}
    with asyncio.Runner() as runner:
        writer = runner.run(half_a_request(urlsplit(url).netloc, PATH, key))
        eventually_now(lambda: uploads_in(folder))
        served.kill()
        writer.close()
    assert uploads_in(folder)
    served.start()
    assert not uploads_in(folder)


def uploads_in(folder: Path) -> list[Path]:
    return list(folder.glob("*/upload"))
