"""Failed log-ins: guessing is slowed down, and nobody is locked out of their account by it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from alphapulse.clock import ManualClock
from alphapulse.domain.tenancy import Role, Token
from alphapulse.domain.throttle import ATTACK, FREE_TRIES, TRUST
from alphapulse.errors import TooManyRequests, Unauthenticated
from alphapulse.tenancy.doors import LogIn
from alphapulse.tenancy.throttle import network_of
from tests.daemon.house import PASSWORD, House

TRADER = LogIn("trader@acme.example", PASSWORD, address="192.0.2.1")


@pytest.fixture
def house(house_in_time: House) -> House:
    return house_in_time


async def outcome(house: House, given: LogIn) -> str:
    try:
        await house.services.logins.login(given)
    except Unauthenticated:
        return "wrong"
    except TooManyRequests:
        return "wait"
    return "in"


async def guess(house: House, times: int, given: LogIn = TRADER) -> list[str]:
    return [await outcome(house, replace(given, password=f"guess {number}")) for number in range(times)]


async def enter(house: House, given: LogIn = TRADER) -> Token:
    return await house.services.logins.login(given)


async def test_guesses_from_one_place_are_slowed_down_and_then_even_the_right_one_waits(
    house: House, clock: ManualClock
) -> None:
    assert await guess(house, FREE_TRIES + 2) == ["wrong"] * FREE_TRIES + ["wait"] * 2
    assert await outcome(house, TRADER) == "wait"
    with pytest.raises(TooManyRequests) as refused:
        await enter(house)
    assert refused.value.retry_after == timedelta(seconds=1)
    clock.advance(timedelta(seconds=1))
    assert await outcome(house, TRADER) == "in"
    assert await guess(house, FREE_TRIES) == ["wrong"] * FREE_TRIES


async def test_strangers_cannot_lock_an_owner_out(house: House) -> None:
    """Two hundred guesses from two hundred addresses; the owner comes from another one."""
    for number in range(200):
        await guess(house, 1, replace(TRADER, address=f"198.51.100.{number}"))
    assert await outcome(house, TRADER) == "in"
    assert await outcome(house, replace(TRADER, address="203.0.113.9")) == "in"


async def test_who_shares_an_address_with_a_guesser_gets_in_from_a_device_that_was_there_before(house: House) -> None:
    device = (await enter(house)).device
    await guess(house, 20)
    assert await outcome(house, TRADER) == "wait"
    assert await outcome(house, replace(TRADER, device=device)) == "in"
    assert await outcome(house, replace(TRADER, device=device, address="203.0.113.9")) == "in"


async def test_a_device_is_one_users_and_is_not_trusted_with_guesses(house: House) -> None:
    device = (await enter(house)).device
    viewer = replace(TRADER, email="viewer@acme.example")
    await guess(house, FREE_TRIES, viewer)
    assert await outcome(house, replace(viewer, device=device)) == "wait"
    assert await guess(house, TRUST, replace(TRADER, device=device)) == ["wrong"] * TRUST
    assert await outcome(house, replace(TRADER, device=device)) == "in"  # now as anybody: no failure of this place
    changed = device[:-4] + ("AAAA" if not device.endswith("AAAA") else "BBBB")
    await guess(house, FREE_TRIES)
    assert await outcome(house, replace(TRADER, device=changed)) == "wait"


async def test_a_device_is_forgotten_after_three_months_and_when_the_password_changes(
    house: House, clock: ManualClock
) -> None:
    first = await enter(house)
    await guess(house, FREE_TRIES)
    changed = replace(TRADER, password="another horse battery")
    await house.services.logins.change_password(first.token, PASSWORD, changed.password)
    assert await outcome(house, replace(changed, device=first.device)) == "wait"
    clock.advance(timedelta(hours=2))
    second = await enter(house, changed)
    clock.advance(timedelta(days=90))
    await guess(house, FREE_TRIES)
    assert await outcome(house, replace(changed, device=second.device)) == "wait"


async def test_an_unknown_address_is_slowed_down_like_a_known_one(house: House) -> None:
    nobody = replace(TRADER, email="nobody@acme.example")
    assert await guess(house, FREE_TRIES + 1, nobody) == await guess(house, FREE_TRIES + 1)


async def test_guesses_at_the_same_time_are_counted_all(house: House) -> None:
    guesses = (outcome(house, replace(TRADER, password=f"guess {number}")) for number in range(20))
    assert await asyncio.gather(*guesses) == ["wrong"] * 20
    with pytest.raises(TooManyRequests) as refused:
        await enter(house)
    assert refused.value.retry_after == timedelta(minutes=15)


async def test_many_right_log_ins_at_the_same_time_all_pass(house: House) -> None:
    assert await asyncio.gather(*(outcome(house, TRADER) for _ in range(20))) == ["in"] * 20


async def test_one_address_that_tries_many_accounts_is_slowed_down(house: House) -> None:
    spread = [(await guess(house, 1, replace(TRADER, email=f"user{number}@acme.example")))[0] for number in range(102)]
    assert spread == ["wrong"] * 100 + ["wait"] * 2
    assert await outcome(house, replace(TRADER, address="203.0.113.9")) == "in"


async def test_the_owner_is_told_once_of_an_attack(house: House) -> None:
    for number in range(ATTACK + 20):
        await guess(house, 1, replace(TRADER, address=f"198.51.100.{number}"))
    async with house.services.database.shared() as tx:
        mails = await tx.all("SELECT recipient FROM mails WHERE template = 'account_locked'")
    assert mails == [{"recipient": "trader@acme.example"}]


async def test_failures_are_stored_without_address_or_name(house: House) -> None:
    await guess(house, 1)
    async with house.services.database.shared() as tx:
        rows = await tx.all("SELECT login_failures::text AS whole FROM login_failures")
    assert len(rows) == 3
    assert all("acme" not in row["whole"] and "192.0.2.1" not in row["whole"] for row in rows)


async def test_over_http_the_wait_is_said(house: House) -> None:
    body = {"email": "trader@acme.example", "password": "not the password"}
    answers = [await house.ask("POST", "/auth/login", body) for _ in range(FREE_TRIES + 1)]
    assert [answer.status_code for answer in answers] == [401] * FREE_TRIES + [429]
    assert (answers[-1].headers["retry-after"], answers[-1].json()["code"]) == ("1", "too_many_requests")
    assert await house.as_(Role.VIEWER)


def test_a_place_is_an_address_or_a_whole_ipv6_network() -> None:
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("") == ""
