"""The second factor: an authenticator, recovery codes, and who must have one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyotp.totp import TOTP

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.clock import ManualClock
from alphapulse.domain.throttle import FREE_TRIES
from alphapulse.errors import AlreadyExists
from alphapulse.tenancy.admins import create_platform_admin
from alphapulse.tenancy.codes import hash_recovery, new_secret, step_of
from alphapulse.tenancy.passwords import Passwords
from tests.daemon.conftest import NOW
from tests.daemon.house import PASSWORD, House, audit_of, open_house
from tests.daemon.test_logins import bearer, login

TRADER = "trader@acme.example"


@pytest.fixture
def house(house_in_time: House) -> House:
    return house_in_time


@dataclass
class Authenticator:
    secret: str
    clock: ManualClock
    recovery: list[str]

    def code(self) -> str:
        return TOTP(self.secret).at(self.clock.now())


async def enrolled(house: House, clock: ManualClock, email: str = TRADER) -> Authenticator:
    """With one that is confirmed; its next code is a new one."""
    token = bearer((await login(house, email))["token"])
    begun = await house.ask("POST", "/auth/totp", {"password": PASSWORD}, headers=token)
    assert begun.status_code == 200, begun.text
    made = Authenticator(begun.json()["secret"], clock, [])
    body = {"password": PASSWORD, "code": made.code()}
    confirmed = await house.ask("POST", "/auth/totp/confirm", body, headers=token)
    assert confirmed.status_code == 200, confirmed.text
    made.recovery = confirmed.json()["codes"]
    clock.advance(timedelta(seconds=30))
    return made


async def attempt(house: House, email: str = TRADER, **more: str) -> tuple[int, str]:
    answer = await house.ask("POST", "/auth/login", {"email": email, "password": PASSWORD, **more})
    return answer.status_code, answer.json().get("code", "in")


async def test_a_login_with_an_authenticator_needs_its_code(house: House, clock: ManualClock) -> None:
    made = await enrolled(house, clock)
    assert await attempt(house) == (400, "code_needed")
    assert await attempt(house, code="000000") == (401, "unauthenticated")
    assert await attempt(house, code=made.code()) == (200, "in")
    wrong = await house.ask("POST", "/auth/login", {"email": TRADER, "password": "wrong", "code": made.code()})
    assert wrong.json()["detail"] == "e-mail or password is wrong"


async def test_without_the_password_nobody_learns_that_there_is_a_second_factor(
    house: House, clock: ManualClock
) -> None:
    await enrolled(house, clock)
    body = {"email": TRADER, "password": "not the password"}
    with_factor = (await house.ask("POST", "/auth/login", body)).json()
    without = (await house.ask("POST", "/auth/login", {**body, "email": "viewer@acme.example"})).json()
    assert {**with_factor, "request_id": ""} == {**without, "request_id": ""}


async def test_a_code_is_taken_once_also_by_two_at_the_same_time(house: House, clock: ManualClock) -> None:
    made = await enrolled(house, clock)
    code = made.code()
    both = await asyncio.gather(attempt(house, code=code), attempt(house, code=code))
    assert sorted(status for status, _ in both) == [200, 401]
    assert (await attempt(house, code=code))[0] == 401
    clock.advance(timedelta(seconds=30))
    assert (await attempt(house, code=made.code()))[0] == 200


async def test_a_clock_may_be_wrong_by_half_a_minute(house: House, clock: ManualClock) -> None:
    made = await enrolled(house, clock)
    clock.advance(timedelta(minutes=5))
    early = TOTP(made.secret).at(clock.now() - timedelta(seconds=60))
    late = TOTP(made.secret).at(clock.now() + timedelta(seconds=30))
    assert (await attempt(house, code=early))[0] == 401
    assert (await attempt(house, code=late))[0] == 200
    assert (await attempt(house, code=made.code()))[0] == 401  # a later one was taken


async def test_a_recovery_code_logs_in_once(house: House, clock: ManualClock) -> None:
    made = await enrolled(house, clock)
    assert len(set(made.recovery)) == 10
    typed = made.recovery[0].lower().replace("-", " ")
    assert (await attempt(house, code=typed))[0] == 200
    assert (await attempt(house, code=made.recovery[0]))[0] == 401
    token = bearer((await login(house, TRADER, code=made.recovery[1]))["token"])
    shown = (await house.ask("GET", "/auth/totp", headers=token)).json()
    assert (shown["recovery_codes"], shown["required"]) == (8, False)


async def test_new_recovery_codes_void_the_old_ones(house: House, clock: ManualClock) -> None:
    made = await enrolled(house, clock)
    token = bearer((await login(house, TRADER, code=made.code()))["token"])
    clock.advance(timedelta(seconds=30))
    answer = await house.ask("POST", "/auth/totp/codes", {"password": PASSWORD, "code": made.code()}, headers=token)
    assert answer.status_code == 200, answer.text
    assert (await attempt(house, code=made.recovery[0]))[0] == 401
    assert (await attempt(house, code=answer.json()["codes"][0]))[0] == 200


async def test_a_second_factor_goes_with_password_and_code_only(house: House, clock: ManualClock) -> None:
    made = await enrolled(house, clock)
    token = bearer((await login(house, TRADER, code=made.code()))["token"])
    clock.advance(timedelta(seconds=30))
    path = "/auth/totp/disable"
    for password, code, field in (("wrong", made.code(), "password"), (PASSWORD, "000000", "code")):
        answer = await house.ask("POST", path, {"password": password, "code": code}, headers=token)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert (await attempt(house))[1] == "code_needed"
    answer = await house.ask("POST", path, {"password": PASSWORD, "code": made.code()}, headers=token)
    assert answer.status_code == 200, answer.text
    assert (await attempt(house))[0] == 200
    tenant = await house.services.tenancy.get_tenant("acme")
    told = [event for event in await audit_of(house, tenant.id) if event.action.startswith("second_factor.")]
    assert [(event.action, event.actor) for event in told] == [
        ("second_factor.enabled", TRADER),
        ("second_factor.disabled", TRADER),
    ]


async def test_codes_cannot_be_guessed_by_who_has_the_password(house: House, clock: ManualClock) -> None:
    made = await enrolled(house, clock)
    statuses = [(await attempt(house, code=f"{number:06}"))[0] for number in range(FREE_TRIES + 3)]
    assert statuses == [401] * FREE_TRIES + [429] * 3
    assert (await attempt(house))[0] == 429
    # Whoever has both is not kept waiting.
    assert (await attempt(house, code=made.code()))[0] == 200


async def test_codes_cannot_be_guessed_by_who_is_logged_in(house: House, clock: ManualClock) -> None:
    made = await enrolled(house, clock)
    token = bearer((await login(house, TRADER, code=made.code()))["token"])
    clock.advance(timedelta(seconds=30))
    body = {"password": PASSWORD, "code": "000000"}
    statuses = [
        (await house.ask("POST", "/auth/totp/disable", body, headers=token)).status_code for _ in range(FREE_TRIES + 1)
    ]
    assert statuses == [422] * FREE_TRIES + [429]


async def test_an_authenticator_counts_only_after_its_first_code(house: House, clock: ManualClock) -> None:
    token = bearer((await login(house, TRADER))["token"])
    refused = await house.ask("POST", "/auth/totp", {"password": "wrong"}, headers=token)
    assert (refused.status_code, refused.json()["field"]) == (422, "password")
    secrets = [
        (await house.ask("POST", "/auth/totp", {"password": PASSWORD}, headers=token)).json()["secret"]
        for _ in range(2)
    ]
    assert (await attempt(house))[0] == 200
    for secret, expected in ((secrets[0], 422), (secrets[1], 200)):
        body = {"password": PASSWORD, "code": TOTP(secret).at(clock.now())}
        answer = await house.ask("POST", "/auth/totp/confirm", body, headers=token)
        assert answer.status_code == expected, answer.text
    again = await house.ask("POST", "/auth/totp", {"password": PASSWORD}, headers=token)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_an_api_key_has_no_second_factor(house: House) -> None:
    answer = await house.ask("POST", "/auth/totp", {"password": PASSWORD}, headers=house.platform)
    assert (answer.status_code, "API key" in answer.json()["detail"]) == (422, True)


async def test_the_secret_is_stored_sealed_and_recovery_codes_hashed(house: House, clock: ManualClock) -> None:
    made = await enrolled(house, clock)
    async with house.services.database.shared() as tx:
        found = await tx.one("SELECT user_by_email(%(email)s) AS id", {"email": TRADER})
    assert found is not None
    async with house.services.database.user(found["id"]) as tx:
        row = await tx.one("SELECT sealed_secret, recovery_hashes, second_factors::text AS whole FROM second_factors")
    assert row is not None
    assert made.secret.encode() not in bytes(row["sealed_secret"])
    assert made.secret not in row["whole"]
    assert hash_recovery(made.recovery[0]) in {bytes(one) for one in row["recovery_hashes"]}
    async with house.services.database.shared() as tx:
        assert await tx.all("SELECT 1 FROM second_factors") == []


async def test_in_production_a_platform_admin_without_a_second_factor_may_do_nothing_but_add_one(
    database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path, clock: ManualClock
) -> None:
    production = {
        "profile": "production",
        "mail": "smtp",
        "smtp": {"host": "mail.example", "sender": "ops@alphapulse.example"},
        "public_url": "https://alphapulse.example",
        "trusted_proxies": ("127.0.0.1",),
        "backup": {"directory": tmp_path.parent / "backups"},
    }
    async with open_house(database, urls, tmp_path / "data", clock, **production) as house:
        services = house.services
        made = await create_platform_admin(
            services.database, clock, Passwords(1), services.second_factors, email="root@ops.example", password=PASSWORD
        )
        authenticator = Authenticator(made.secret, clock, [*made.recovery_codes])
        assert await attempt(house, "root@ops.example") == (400, "code_needed")
        token = bearer((await login(house, "root@ops.example", code=authenticator.code()))["token"])
        assert (await house.ask("GET", "/tenants", headers=token)).status_code == 200
        clock.advance(timedelta(seconds=30))
        body = {"password": PASSWORD, "code": authenticator.code()}
        assert (await house.ask("POST", "/auth/totp/disable", body, headers=token)).status_code == 200
        refused = await house.ask("GET", "/tenants", headers=token)
        assert (refused.status_code, "alphapulse totp enable" in refused.json()["fix"]) == (403, True)
        assert (await house.ask("GET", "/auth/totp", headers=token)).json()["required"] is True
        await enrolled(house, clock, "root@ops.example")
        assert (await house.ask("GET", "/tenants", headers=token)).status_code == 200
        with pytest.raises(AlreadyExists):
            await create_platform_admin(
                services.database,
                clock,
                Passwords(1),
                services.second_factors,
                email="Root@ops.example",
                password=PASSWORD,
            )


def test_codes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B, SHA-1, the last six digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        at = datetime.fromtimestamp(seconds, UTC)
        assert step_of(secret, code, at) == seconds // 30
    assert step_of(secret, "287082", datetime.fromtimestamp(59 + 90, UTC)) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "'; --", "\x00" * 6])
def test_what_is_no_code_is_refused(code: str) -> None:
    assert step_of(new_secret(), code, NOW) is None
