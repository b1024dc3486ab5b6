"""People's own accounts over HTTP: sign-up, the address, a forgotten password, the privacy policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.alerts.outbox import open_values
from alphapulse.clock import ManualClock
from alphapulse.domain.tenancy import Role
from alphapulse.sealing import Seal
from tests.daemon.house import PASSWORD, House, open_house

NEW = "a new long password"
TRADER = "trader@acme.example"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def home(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[House]:
    """A daemon with a mail server that takes sign-ups: links travel by mail alone. ``acme`` has its members."""
    async with open_house(database, urls, tmp_path, ManualClock(NOW)) as lax:
        await lax.tenant("acme")
    smtp = {"host": "127.0.0.1", "sender": "alphapulse@acme.example", "security": "none"}
    more: dict[str, Any] = {"mail": "smtp", "smtp": smtp, "signup": True}
    async with open_house(database, urls, tmp_path, ManualClock(NOW), **more) as opened:
        yield opened


def clock(house: House) -> ManualClock:
    assert isinstance(house.services.clock, ManualClock)
    return house.services.clock


async def mails(house: House, to: str) -> list[str]:
    """The tokens of what was written to an address, oldest first."""
    seal = Seal.from_file(house.settings.data_directory / "master.key")
    async with house.services.database.shared() as tx:
        rows = await tx.all(
            "SELECT id, sealed_values FROM mails WHERE recipient = %(to)s ORDER BY written_at, id", {"to": to}
        )
    return [open_values(seal, row["id"], row["sealed_values"])["token"] for row in rows]


async def token_of(house: House, to: str, kind: str) -> str:
    """The newest one of its kind that was mailed to an address."""
    tokens = [token for token in await mails(house, to) if token.startswith(kind)]
    assert tokens, f"no {kind} mail to {to}"
    return tokens[-1]


async def enters(house: House, address: str, password: str, **more: str) -> httpx.Response:
    return await house.ask("POST", "/auth/login", {"email": address, "password": password, **more})


async def forget(house: House, address: str) -> str:
    """What the daemon says to somebody who forgot their password."""
    answer = await house.ask("POST", "/password/reset", {"email": address})
    assert answer.status_code == 202, answer.text
    return answer.text


async def test_a_forgotten_password_is_set_anew_by_a_mail_and_ends_every_session(home: House) -> None:
    before = await home.as_(Role.TRADER)
    await forget(home, TRADER.upper())
    body = {"token": await token_of(home, TRADER, "rst"), "password": NEW}
    assert (await home.ask("POST", "/password/reset/finish", body)).status_code == 200
    assert (await enters(home, TRADER, PASSWORD)).status_code == 401
    assert (await enters(home, TRADER, NEW)).status_code == 200
    assert (await home.ask("GET", "/auth/whoami", headers=before)).status_code == 401
    assert (await home.ask("POST", "/password/reset/finish", body)).json()["code"] == "conflict"


async def test_an_address_that_nobody_has_is_told_the_same_and_gets_no_mail(home: House) -> None:
    assert await forget(home, "nobody@acme.example") == await forget(home, TRADER)
    assert await mails(home, "nobody@acme.example") == []


async def test_the_answer_takes_as_long_for_an_address_that_nobody_has(home: House) -> None:
    import time

    times: list[float] = []
    for address in (TRADER, "nobody@acme.example"):
        began = time.perf_counter()
        await forget(home, address)
        times.append(time.perf_counter() - began)
    assert min(times) >= 0.1


async def test_a_link_never_stands_in_the_answer_to_a_stranger_who_forgot_a_password(house: House) -> None:
    assert "link" not in await forget(house, TRADER) or '"link":null' in await forget(house, TRADER)


async def test_a_letter_box_is_not_flooded(home: House) -> None:
    for _ in range(5):
        await forget(home, TRADER)
    assert len([text for text in await mails(home, TRADER) if text.startswith("rst_")]) == 1
    clock(home).advance(timedelta(minutes=3))
    first = await token_of(home, TRADER, "rst")
    await forget(home, TRADER)
    second = await token_of(home, TRADER, "rst")
    assert first != second
    answer = await home.ask("POST", "/password/reset/finish", {"token": first, "password": NEW})
    assert answer.status_code == 409, answer.text


async def test_a_reset_link_ends_after_an_hour_and_wants_a_long_password(home: House) -> None:
    await forget(home, TRADER)
    token = await token_of(home, TRADER, "rst")
    short = await home.ask("POST", "/password/reset/finish", {"token": token, "password": "short"})
    assert (short.status_code, short.json()["field"]) == (422, "password")
    clock(home).advance(timedelta(hours=1))
    late = await home.ask("POST", "/password/reset/finish", {"token": token, "password": NEW})
    assert (late.status_code, "expired" in late.json()["detail"]) == (409, True)


@pytest.mark.parametrize("token", ["rst_" + "A" * 43, "", "inv_" + "A" * 43, "rst_'; DELETE FROM users; --", "x" * 400])
async def test_a_made_up_token_opens_nothing(home: House, token: str) -> None:
    for path, more in (("/password/reset/finish", {"password": NEW}), ("/account/confirm", {}), ("/signup/finish", {})):
        answer = await home.ask("POST", path, {"token": token, **more})
        assert answer.status_code in {404, 422}, (path, answer.text)


async def test_an_address_is_confirmed_by_the_mailed_link(home: House) -> None:
    headers = await home.as_(Role.TRADER)
    assert (await home.ask("POST", "/account/confirmation", headers=headers)).status_code == 202
    token = await token_of(home, TRADER, "cnf")
    assert (await home.ask("POST", "/account/confirm", {"token": token})).status_code == 200
    assert (await home.ask("POST", "/account/confirm", {"token": token})).status_code == 409
    again = await home.ask("POST", "/account/confirmation", headers=headers)
    assert (again.status_code, "confirmed already" in again.json()["detail"]) == (409, True)


async def sign_up(house: House, address: str, **more: str | None) -> httpx.Response:
    version = (await house.ask("GET", "/policy")).json()["version"]
    body = {"email": address, "slug": "newco", "name": "New Co", "policy_version": version, **more}
    return await house.ask("POST", "/signup", body)


async def test_a_sign_up_ends_in_a_tenant_whose_admin_it_is(home: House) -> None:
    assert (await sign_up(home, "eve@new.example")).text == '{"sent":true,"link":null}'
    token = await token_of(home, "eve@new.example", "sgn")
    assert (await home.ask("POST", "/signup/finish", {"token": token})).json()["code"] == "input_needed"
    made = await home.ask("POST", "/signup/finish", {"token": token, "password": NEW})
    assert (made.status_code, made.json()["slug"], made.json()["state"]) == (202, "newco", "provisioning")
    tenant = await home.services.tenancy.get_tenant("newco")
    await home.services.provisioning.run(tenant.id)
    entered = await enters(home, "eve@new.example", NEW)
    assert (entered.status_code, entered.json()["tenant"], entered.json()["role"]) == (200, "newco", "tenant_admin")
    again = await home.ask("POST", "/signup/finish", {"token": token, "password": NEW})
    assert again.status_code == 409


async def test_a_sign_up_that_is_not_finished_is_forgotten(home: House) -> None:
    await sign_up(home, "eve@new.example")
    assert await home.services.accounts.tidy() == 0
    clock(home).advance(timedelta(days=2))
    assert await home.services.accounts.tidy() == 1
    token = await token_of(home, "eve@new.example", "sgn")
    assert (await home.ask("POST", "/signup/finish", {"token": token, "password": NEW})).status_code == 404
    assert (await enters(home, TRADER, PASSWORD)).status_code == 200


async def test_who_has_an_account_signs_up_with_its_password(home: House) -> None:
    await forget(home, TRADER)
    reset = {"token": await token_of(home, TRADER, "rst"), "password": PASSWORD}
    assert (await home.ask("POST", "/password/reset/finish", reset)).status_code == 200
    assert (await sign_up(home, TRADER)).text == (await sign_up(home, "nobody@new.example", slug="other")).text
    token = await token_of(home, TRADER, "sgn")
    wrong = await home.ask("POST", "/signup/finish", {"token": token, "password": NEW})
    assert wrong.status_code == 401, wrong.text
    assert (await home.ask("POST", "/signup/finish", {"token": token, "password": PASSWORD})).status_code == 202


async def test_a_sign_up_needs_the_policy_a_free_slug_and_an_address(home: House) -> None:
    for change, status, code in (
        ({"policy_version": None}, 400, "policy_not_accepted"),
        ({"policy_version": "2001-01-01"}, 400, "policy_not_accepted"),
        ({"slug": "acme"}, 409, "already_exists"),
        ({"slug": "аcme"}, 422, "invalid_input"),
        ({"slug": "New Co"}, 422, "invalid_input"),
        ({"name": "\x00"}, 422, "invalid_input"),
        ({"tier": "platinum"}, 422, "invalid_input"),
    ):
        answer = await sign_up(home, "eve@new.example", **change)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (change, answer.text)
    assert (await sign_up(home, "no address")).status_code == 422


async def test_a_slug_that_looks_like_another_is_taken(home: House) -> None:
    for slug, free in (("acrne", False), ("acme1", True), ("acmel", False)):
        answer = await home.ask(
            "POST",
            "/tenants",
            {"name": "Look-alike", "slug": slug, "tier": "pro", "admin_email": "x@y.example"},
            headers=home.platform,
        )
        assert (answer.status_code == 409) is not free, answer.text


async def test_sign_up_is_closed_unless_it_is_opened(house: House) -> None:
    answer = await sign_up(house, "eve@new.example")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_new_version_of_the_policy_is_asked_for_at_the_next_login(
    database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "privacy-2026-01-01.md").write_text("# The first")
    async with open_house(database, urls, tmp_path, policy_directory=folder) as house:
        await house.tenant("acme")
        assert (await enters(house, TRADER, PASSWORD)).status_code == 200
    (folder / "privacy-2026-02-01.md").write_text("# The second")
    async with open_house(database, urls, tmp_path, policy_directory=folder) as house:
        shown = (await house.ask("GET", "/policy")).json()
        assert shown == {"version": "2026-02-01", "text": "# The second", "current": True}
        earlier = (await house.ask("GET", "/policy?version=2026-01-01")).json()
        assert (earlier["text"], earlier["current"]) == ("# The first", False)
        refused = await enters(house, TRADER, PASSWORD)
        assert (refused.status_code, refused.json()["code"]) == (400, "policy_not_accepted")
        assert "2026-02-01" in refused.json()["fix"]
        assert (await enters(house, TRADER, "a wrong password")).status_code == 401
        assert (await enters(house, TRADER, PASSWORD, policy_version="2026-01-01")).status_code == 400
        assert (await enters(house, TRADER, PASSWORD, policy_version="2026-02-01")).status_code == 200
        assert (await enters(house, TRADER, PASSWORD)).status_code == 200


async def test_the_policy_is_accepted_by_somebody_who_is_logged_in(house: House) -> None:
    headers = await house.as_(Role.VIEWER)
    version = house.services.policies.current
    assert (await house.ask("POST", "/policy/acceptance", {"version": version}, headers=headers)).status_code == 200
    other = await house.ask("POST", "/policy/acceptance", {"version": "2001-01-01"}, headers=headers)
    assert other.json()["code"] == "policy_not_accepted"
    assert (await house.ask("GET", "/policy?version=../../etc/passwd")).status_code == 404
