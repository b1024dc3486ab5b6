"""Logging in and out, refreshing, sessions, the own password."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.clock import ManualClock
from alphapulse.domain.tenancy import Role
from alphapulse.errors import TooManyRequests
from alphapulse.tenancy.passwords import Passwords
from tests.daemon.house import PASSWORD, House, audit_of, open_house
from tests.daemon.waiting import eventually


async def login(house: House, email: str, password: str = PASSWORD, **more: str) -> dict[str, str]:
    answer = await house.ask("POST", "/auth/login", {"email": email, "password": password, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def status_of(house: House, token: str) -> int:
    return (await house.ask("GET", "/auth/whoami", headers=bearer(token))).status_code


async def test_a_login_gives_a_token_for_an_hour_that_says_tenant_and_role(house: House) -> None:
    given = await login(house, "Trader@acme.example")
    assert (given["tenant"], given["role"]) == ("acme", "trader")
    who = (await house.ask("GET", "/auth/whoami", headers=bearer(given["token"]))).json()
    assert (who["actor"], who["tenant"], who["role"]) == ("trader@acme.example", "acme", "trader")
    claims = jwt.decode(given["token"], options={"verify_signature": False})
    assert set(claims) == {"iss", "sub", "sid", "tenant_id", "role", "iat", "exp", "jti"}
    assert claims["exp"] - claims["iat"] == 3600
    assert jwt.get_unverified_header(given["token"])["alg"] == "EdDSA"


async def test_wrong_password_and_unknown_user_are_told_in_the_same_words(house: House) -> None:
    answers = [
        await house.ask("POST", "/auth/login", {"email": email, "password": "not the password"})
        for email in ("trader@acme.example", "nobody@acme.example", "not an address")
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert len({answer.json()["detail"] for answer in answers}) == 1


async def test_wrong_password_and_unknown_user_take_the_same_time() -> None:
    passwords = Passwords(1)
    stored = await passwords.hash(PASSWORD)
    times: dict[str | None, list[float]] = {stored: [], None: []}
    for _ in range(5):
        for subject, measured in times.items():
            began = time.perf_counter()
            assert not await passwords.matches(subject, "not the password")
            measured.append(time.perf_counter() - began)
    known, unknown = min(times[stored]), min(times[None])
    assert 0.5 < known / unknown < 2.0


async def test_a_member_of_two_tenants_names_one_with_the_same_password(house: House) -> None:
    rival = await house.services.tenancy.get_tenant("rival")
    await house.member(rival.id, "trader@acme.example", Role.VIEWER)
    answer = await house.ask("POST", "/auth/login", {"email": "trader@acme.example", "password": PASSWORD})
    assert (answer.status_code, answer.json()["field"]) == (422, "tenant")
    assert "acme, rival" in answer.json()["fix"]
    assert (await login(house, "trader@acme.example", tenant="rival"))["role"] == "viewer"
    assert (await login(house, "trader@acme.example", tenant="acme"))["role"] == "trader"


async def test_logging_into_a_tenant_of_others_is_told_in_the_words_of_a_wrong_password(house: House) -> None:
    for slug in ("rival", "nowhere"):
        body = {"email": "trader@acme.example", "password": PASSWORD, "tenant": slug}
        answer = await house.ask("POST", "/auth/login", body)
        assert (answer.status_code, answer.json()["detail"]) == (401, "e-mail or password is wrong")


async def test_a_refresh_token_is_good_for_one_token_and_one_successor(
    database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path
) -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    async with open_house(database, urls, tmp_path, clock) as house:
        await house.tenant("acme")
        first = await login(house, "trader@acme.example")
        clock.advance(timedelta(minutes=50))
        second = await refreshed(house, first["refresh_token"])
        clock.advance(timedelta(minutes=10))
        expired = await house.ask("GET", "/auth/whoami", headers=bearer(first["token"]))
        assert (expired.status_code, "expired" in expired.json()["detail"]) == (401, True)
        assert await status_of(house, second["token"]) == 200
        clock.advance(timedelta(hours=3))
        assert await status_of(house, second["token"]) == 401
        assert await status_of(house, (await refreshed(house, second["refresh_token"]))["token"]) == 200


async def refreshed(house: House, token: str) -> dict[str, str]:
    answer = await house.ask("POST", "/auth/refresh", {"refresh_token": token})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_refresh_token_that_comes_back_ends_the_whole_session(house: House) -> None:
    first = await login(house, "trader@acme.example")
    other = await login(house, "trader@acme.example")
    second = await refreshed(house, first["refresh_token"])
    assert await status_of(house, second["token"]) == 200
    reused = await house.ask("POST", "/auth/refresh", {"refresh_token": first["refresh_token"]})
    assert (reused.status_code, "used before" in reused.json()["detail"]) == (401, True)
    assert await status_of(house, first["token"]) == 401
    assert await status_of(house, second["token"]) == 401
    answer = await house.ask("POST", "/auth/refresh", {"refresh_token": second["refresh_token"]})
    assert answer.status_code == 401
    assert await status_of(house, other["token"]) == 200
    tenant = await house.services.tenancy.get_tenant("acme")
    (event,) = [event for event in await audit_of(house, tenant.id) if event.action == "session.revoked"]
    assert (event.actor, "used twice" in event.reason) == ("trader@acme.example", True)


async def test_a_refresh_token_that_is_not_ours_ends_nothing(house: House) -> None:
    given = await login(house, "trader@acme.example")
    token = given["refresh_token"]
    device = given["device"]
    refused = {
        "changed": token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB"),
        "cut": token[:-10],
        "a device's": device,
        "a device's in its place": "apr_" + device.removeprefix("apd_"),
        "an access token": given["token"],
        "empty": "",
        "not ASCII": "apr_" + "ü" * 60,
    }
    for case, text in refused.items():
        answer = await house.ask("POST", "/auth/refresh", {"refresh_token": text})
        assert answer.status_code == 401, (case, answer.text)
    await refreshed(house, token)


async def test_of_two_refreshes_at_once_one_passes_and_the_session_ends(house: House) -> None:
    import asyncio

    given = await login(house, "trader@acme.example")
    body = {"refresh_token": given["refresh_token"]}
    answers = await asyncio.gather(*(house.ask("POST", "/auth/refresh", body) for _ in range(6)))
    passed = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(passed) == 1
    assert await status_of(house, passed[0]["token"]) == 401


async def test_a_session_cannot_be_refreshed_for_ever(
    database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path
) -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    async with open_house(database, urls, tmp_path, clock) as house:
        await house.tenant("acme")
        given = await login(house, "trader@acme.example")
        assert given["refresh_until"] == "2026-03-08T00:00:00Z"
        clock.advance(timedelta(days=6, hours=23, minutes=30))
        given = await refreshed(house, given["refresh_token"])
        assert given["expires_at"] == "2026-03-08T00:00:00Z"
        clock.advance(timedelta(minutes=30))
        answer = await house.ask("POST", "/auth/refresh", {"refresh_token": given["refresh_token"]})
        assert (answer.status_code, "too old" in answer.json()["detail"]) == (401, True)


async def test_a_refresh_gives_the_role_as_it_is_now(house: House) -> None:
    given = await login(house, "trader@acme.example")
    tenant = await house.services.tenancy.get_tenant("acme")
    await house.services.members.change_role(tenant.id, "trader@acme.example", "viewer", actor="test")
    assert (await refreshed(house, given["refresh_token"]))["role"] == "viewer"


async def test_logging_out_ends_every_token_of_the_session_at_once(house: House) -> None:
    first = await login(house, "trader@acme.example")
    second = await refreshed(house, first["refresh_token"])
    other = await login(house, "trader@acme.example")
    assert await status_of(house, second["token"]) == 200
    assert (await house.ask("POST", "/auth/logout", headers=bearer(first["token"]))).status_code == 200
    for given in (first, second):
        assert await status_of(house, given["token"]) == 401
    answer = await house.ask("POST", "/auth/refresh", {"refresh_token": second["refresh_token"]})
    assert answer.status_code == 401
    assert await status_of(house, other["token"]) == 200


async def test_a_revocation_made_by_another_process_is_seen_within_five_seconds(house: House) -> None:
    token = (await login(house, "trader@acme.example"))["token"]
    assert await status_of(house, token) == 200
    tenant = await house.services.tenancy.get_tenant("acme")
    await house.services.members.remove(tenant.id, "trader@acme.example", actor="another replica")

    async def refused() -> bool:
        return await status_of(house, token) == 401

    await eventually(refused, within_s=5)


async def test_somebody_sees_where_they_are_logged_in_and_ends_one(house: House) -> None:
    here = (await login(house, "trader@acme.example"))["token"]
    answer = await house.http.post(
        "/auth/login",
        json={"email": "trader@acme.example", "password": PASSWORD},
        headers={"User-Agent": "phone/1.0"},
    )
    there = answer.json()["token"]
    shown = (await house.ask("GET", "/sessions", headers=bearer(here))).json()["items"]
    assert [(item["program"], item["current"]) for item in shown] == [("phone/1.0", False), (shown[1]["program"], True)]
    assert {(item["email"], item["slug"], item["address"]) for item in shown} == {
        ("trader@acme.example", "acme", "127.0.0.1")
    }
    ended = await house.ask("DELETE", f"/sessions/{shown[0]['id']}", headers=bearer(here))
    assert ended.status_code == 200, ended.text
    assert (await status_of(house, there), await status_of(house, here)) == (401, 200)
    again = await house.ask("DELETE", f"/sessions/{shown[0]['id']}", headers=bearer(here))
    assert again.status_code == 404
    tenant = await house.services.tenancy.get_tenant("acme")
    (event,) = [event for event in await audit_of(house, tenant.id) if event.action == "session.revoked"]
    assert (event.actor, event.subject) == ("trader@acme.example", shown[0]["id"])


async def test_somebody_ends_all_their_other_sessions(house: House) -> None:
    kept = (await login(house, "trader@acme.example"))["token"]
    others = [(await login(house, "trader@acme.example"))["token"] for _ in range(3)]
    viewer = (await login(house, "viewer@acme.example"))["token"]
    answer = await house.ask("DELETE", "/sessions", headers=bearer(kept))
    assert (answer.status_code, answer.json()) == (200, {"ended": 3})
    assert [await status_of(house, token) for token in (kept, viewer, *others)] == [200, 200, 401, 401, 401]


async def test_an_admin_ends_a_members_session_and_nobody_elses(house: House) -> None:
    trader = (await login(house, "trader@acme.example"))["token"]
    admin = await house.as_(Role.TENANT_ADMIN)
    shown = (await house.ask("GET", "/members/sessions", headers=admin)).json()["items"]
    (session,) = [item for item in shown if item["email"] == "trader@acme.example"]
    path = f"/sessions/{session['id']}"
    for headers in (await house.as_(Role.VIEWER), await house.as_(Role.TENANT_ADMIN, "rival")):
        assert (await house.ask("DELETE", path, headers=headers)).status_code == 404
    assert (await house.ask("GET", "/members/sessions", headers=await house.as_(Role.VIEWER))).status_code == 403
    assert await status_of(house, trader) == 200
    assert (await house.ask("DELETE", path, headers=admin)).status_code == 200
    assert await status_of(house, trader) == 401


async def test_a_flood_of_logins_is_told_to_come_back_and_holds_no_more_than_its_share() -> None:
    import asyncio

    passwords = Passwords(1)
    stored = await passwords.hash(PASSWORD)
    answers = await asyncio.gather(*(passwords.matches(stored, PASSWORD) for _ in range(40)), return_exceptions=True)
    assert answers.count(True) == 32
    assert sum(isinstance(answer, TooManyRequests) for answer in answers) == 8


async def test_a_changed_password_ends_the_users_other_sessions(house: House) -> None:
    kept = (await login(house, "trader@acme.example"))["token"]
    other = (await login(house, "trader@acme.example"))["token"]
    assert await status_of(house, other) == 200
    body = {"current": PASSWORD, "new": "another horse battery"}
    answer = await house.ask("POST", "/auth/password", body, headers=bearer(kept))
    assert answer.status_code == 200, answer.text
    assert (await status_of(house, kept), await status_of(house, other)) == (200, 401)
    old = await house.ask("POST", "/auth/login", {"email": "trader@acme.example", "password": PASSWORD})
    assert old.status_code == 401
    await login(house, "trader@acme.example", "another horse battery")
    tenant = await house.services.tenancy.get_tenant("acme")
    told = {event.action: event for event in await audit_of(house, tenant.id)}
    assert (told["auth.password"].actor, told["auth.password"].status) == ("trader@acme.example", 200)
    assert (told["password.changed"].actor, "battery" in repr(told["password.changed"])) == (
        "trader@acme.example",
        False,
    )


async def test_a_password_is_changed_only_by_who_knows_it(house: House) -> None:
    token = bearer((await login(house, "viewer@acme.example"))["token"])
    refused = {
        "current": {"current": "not the password", "new": "another horse battery"},
        "new": {"current": PASSWORD, "new": "eleven char"},
    }
    for field, body in refused.items():
        answer = await house.ask("POST", "/auth/password", body, headers=token)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert answer.json()["fix"]
    same = {"current": PASSWORD, "new": PASSWORD}
    assert (await house.ask("POST", "/auth/password", same, headers=token)).status_code == 422
    by_key = await house.ask("POST", "/auth/password", refused["current"], headers=house.platform)
    assert (by_key.status_code, "API key" in by_key.json()["detail"]) == (422, True)
    await login(house, "viewer@acme.example")


async def test_the_current_password_cannot_be_guessed_with_a_stolen_token(house: House) -> None:
    token = bearer((await login(house, "viewer@acme.example"))["token"])
    statuses = [
        (
            await house.ask(
                "POST", "/auth/password", {"current": f"guess {number}", "new": "another horse battery"}, headers=token
            )
        ).status_code
        for number in range(7)
    ]
    assert statuses == [422] * 5 + [429] * 2
    await login(house, "viewer@acme.example")
