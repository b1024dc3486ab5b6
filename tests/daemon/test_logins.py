"""Logging in, tokens, API keys, revocation."""

from __future__ import annotations

import base64
import json
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.clock import ManualClock
from alphapulse.domain.tenancy import Role
from alphapulse.errors import Misconfigured, TooManyRequests, Unauthenticated
from alphapulse.tenancy.passwords import Passwords
from alphapulse.tenancy.service import PLATFORM_USER
from alphapulse.tenancy.tokens import Claims, Signer
from tests.daemon.house import PASSWORD, House, audit_of, open_house
from tests.daemon.waiting import eventually


async def login(house: House, email: str, password: str = PASSWORD, **more: str) -> dict[str, str]:
    answer = await house.ask("POST", "/auth/login", {"email": email, "password": password, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


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


async def join_rival(house: House, email: str, password: str) -> None:
    rival = await house.services.tenancy.get_tenant("rival")
    await house.services.tenancy.add_member(rival.id, email, "viewer", password, actor="test")


async def test_a_member_of_two_tenants_enters_the_one_whose_password_it_is(house: House) -> None:
    await join_rival(house, "trader@acme.example", "another horse battery")
    assert (await login(house, "trader@acme.example"))["tenant"] == "acme"
    assert (await login(house, "trader@acme.example", "another horse battery"))["role"] == "viewer"
    assert (await login(house, "trader@acme.example", tenant="acme"))["role"] == "trader"


async def test_where_one_password_opens_two_tenants_the_member_names_one(house: House) -> None:
    await join_rival(house, "trader@acme.example", PASSWORD)
    answer = await house.ask("POST", "/auth/login", {"email": "trader@acme.example", "password": PASSWORD})
    assert answer.status_code == 422
    assert answer.json()["field"] == "tenant"
    assert "acme, rival" in answer.json()["fix"]
    assert (await login(house, "trader@acme.example", tenant="rival"))["role"] == "viewer"


async def test_a_password_that_one_tenants_admin_chose_opens_no_other_tenant(house: House) -> None:
    chosen = {"email": "cfo@third.example", "role": "viewer", "password": "chosen by somebody else"}
    assert (await house.ask("POST", "/members", chosen, headers=await house.as_(Role.TENANT_ADMIN))).status_code == 201
    third = {"slug": "third", "name": "Third", "admin_email": "cfo@third.example", "admin_password": PASSWORD}
    assert (await house.ask("POST", "/tenants", third, headers=house.platform)).status_code == 201
    stolen = {"email": "cfo@third.example", "password": "chosen by somebody else", "tenant": "third"}
    assert (await house.ask("POST", "/auth/login", stolen)).status_code == 401
    assert (await login(house, "cfo@third.example", tenant="third"))["role"] == "tenant_admin"


async def test_the_platforms_own_user_joins_no_tenant(house: House) -> None:
    body = {"email": PLATFORM_USER, "role": "tenant_admin", "password": PASSWORD}
    answer = await house.ask("POST", "/members", body, headers=await house.as_(Role.TENANT_ADMIN))
    assert (answer.status_code, answer.json()["field"]) == (422, "email")


async def test_adding_a_member_does_not_tell_whether_others_know_the_address(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    await join_rival(house, "known@rival.example", PASSWORD)
    answers = [
        await house.ask("POST", "/members", {"email": email, "role": "viewer", "password": PASSWORD}, headers=admin)
        for email in ("known@rival.example", "new@rival.example")
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json().keys() == answers[1].json().keys()


async def test_logging_into_a_tenant_of_others_is_told_in_the_words_of_a_wrong_password(house: House) -> None:
    for slug in ("rival", "nowhere"):
        body = {"email": "trader@acme.example", "password": PASSWORD, "tenant": slug}
        answer = await house.ask("POST", "/auth/login", body)
        assert (answer.status_code, answer.json()["detail"]) == (401, "e-mail or password is wrong")


def forged(claims: dict[str, object], key: object = "", algorithm: str = "EdDSA") -> str:
    return jwt.encode(claims, key, algorithm=algorithm)  # type: ignore[arg-type]


async def test_tokens_that_are_not_ours_are_refused(house: House) -> None:
    good = (await login(house, "tenant_admin@acme.example"))["token"]
    claims = jwt.decode(good, options={"verify_signature": False})
    head, body, signature = good.split(".")
    raised = base64.urlsafe_b64encode(json.dumps({**claims, "role": "platform_admin"}).encode()).rstrip(b"=").decode()
    public = base64.urlsafe_b64decode(body + "==")  # any bytes will do as an HMAC key
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    refused = {
        "another key": forged(claims, Ed25519PrivateKey.generate()),
        "no signature": forged(claims, None, "none"),
        "alg none with the old signature": f"{unsigned}.{body}.{signature}",
        "hmac": forged(claims, public, "HS256"),
        "tampered": f"{head}.{raised}.{signature}",
        "cut": good[:-8],
        "empty parts": "..",
        "text": "token",
        "another key's format": "ap_0123456789ab_" + "A" * 43,
    }
    for case, token in refused.items():
        answer = await house.ask("GET", "/auth/whoami", headers=bearer(token))
        assert answer.status_code == 401, (case, answer.text)
    for header in ("", "Bearer", "Bearer ", f"Basic {good}", good):
        answer = await house.ask("GET", "/auth/whoami", headers={"Authorization": header})
        assert answer.status_code == 401, header


async def test_a_token_of_another_issuer_or_without_a_claim_is_refused(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    signer = Signer(key)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    good = signer.sign(Claims(uuid4(), uuid4(), None, Role.VIEWER, now, now + timedelta(hours=1)))
    claims = jwt.decode(good, options={"verify_signature": False})
    assert signer.verify(good, now).role is Role.VIEWER
    changes: list[dict[str, object]] = [
        {"iss": "somebody"},
        {"role": "god"},
        {"sub": 5},
        {"sid": "x"},
        {"tenant_id": "x"},
        {"exp": "soon"},
        {"exp": 10**30},
        {"iat": claims["iat"] + 3600},
    ]
    for change in changes:
        with pytest.raises(Unauthenticated):
            signer.verify(forged({**claims, **change}, key), now)
    for missing in claims:
        without = {name: value for name, value in claims.items() if name != missing}
        with pytest.raises(Unauthenticated):
            signer.verify(forged(without, key), now)


async def test_a_token_expires_and_can_be_renewed_before(
    database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path
) -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    async with open_house(database, urls, tmp_path, clock) as house:
        await house.tenant("acme")
        first = (await login(house, "trader@acme.example"))["token"]
        clock.advance(timedelta(minutes=50))
        second = (await house.ask("POST", "/auth/renew", headers=bearer(first))).json()["token"]
        clock.advance(timedelta(minutes=10))
        expired = await house.ask("GET", "/auth/whoami", headers=bearer(first))
        assert expired.status_code == 401
        assert "expired" in expired.json()["detail"]
        assert (await house.ask("GET", "/auth/whoami", headers=bearer(second))).status_code == 200
        assert (await house.ask("POST", "/auth/renew", headers=bearer(first))).status_code == 401


async def test_a_session_cannot_be_renewed_for_ever(
    database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path
) -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    async with open_house(database, urls, tmp_path, clock) as house:
        await house.tenant("acme")
        token = (await login(house, "trader@acme.example"))["token"]
        renewals = 0
        while True:
            clock.advance(timedelta(minutes=55))
            answer = await house.ask("POST", "/auth/renew", headers=bearer(token))
            if answer.status_code != 200:
                break
            token = answer.json()["token"]
            renewals += 1
        assert answer.status_code == 401
        assert renewals == pytest.approx(7 * 24 * 60 / 55, abs=2)


async def test_logging_out_ends_every_token_of_the_session_at_once(house: House) -> None:
    first = (await login(house, "trader@acme.example"))["token"]
    second = (await house.ask("POST", "/auth/renew", headers=bearer(first))).json()["token"]
    other = (await login(house, "trader@acme.example"))["token"]
    assert (await house.ask("GET", "/auth/whoami", headers=bearer(second))).status_code == 200
    assert (await house.ask("POST", "/auth/logout", headers=bearer(first))).status_code == 200
    for token in (first, second):
        assert (await house.ask("GET", "/auth/whoami", headers=bearer(token))).status_code == 401
    assert (await house.ask("GET", "/auth/whoami", headers=bearer(other))).status_code == 200


async def test_a_revocation_made_by_another_process_is_seen_within_five_seconds(house: House) -> None:
    token = (await login(house, "trader@acme.example"))["token"]
    assert (await house.ask("GET", "/auth/whoami", headers=bearer(token))).status_code == 200
    tenant = await house.services.tenancy.get_tenant("acme")
    await house.services.tenancy.remove_member(tenant.id, "trader@acme.example", actor="another replica")

    async def refused() -> bool:
        return (await house.ask("GET", "/auth/whoami", headers=bearer(token))).status_code == 401

    await eventually(refused, within_s=5)


async def test_an_api_key_is_shown_once_stored_hashed_and_revoked(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    made = (await house.ask("POST", "/keys", {"name": "nightly", "role": "viewer"}, headers=admin)).json()
    key = bearer(made["key"])
    who = (await house.ask("GET", "/auth/whoami", headers=key)).json()
    assert (who["actor"], who["role"], who["tenant"]) == (f"key:{made['prefix']}", "viewer", "acme")
    listed = (await house.ask("GET", "/keys", headers=admin)).json()["items"]
    assert [(item["id"], item["key"]) for item in listed] == [(made["id"], None)]
    secret = made["key"].rpartition(made["prefix"] + "_")[2]
    async with house.services.database.transaction(UUID(made["tenant_id"])) as tx:
        row = await tx.one("SELECT api_keys::text AS whole FROM api_keys")
    assert row is not None
    assert secret not in row["whole"]
    wrong = made["key"][:-1] + ("A" if made["key"][-1] != "A" else "B")
    assert (await house.ask("GET", "/auth/whoami", headers=bearer(wrong))).status_code == 401
    assert (await house.ask("DELETE", f"/keys/{made['id']}", headers=admin)).status_code == 200
    assert (await house.ask("GET", "/auth/whoami", headers=key)).status_code == 401


async def test_a_key_of_another_tenant_cannot_be_revoked(house: House) -> None:
    made = await house.ask("POST", "/keys", {"name": "x", "role": "viewer"}, headers=await house.as_(Role.TENANT_ADMIN))
    answer = await house.ask(
        "DELETE", f"/keys/{made.json()['id']}", headers=await house.as_(Role.TENANT_ADMIN, "rival")
    )
    assert answer.status_code == 404


async def test_a_key_with_an_end_stops_there(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    async with open_house(database, urls, tmp_path, clock) as house:
        body = {"name": "short", "role": "platform_admin", "expires_at": "2026-03-02T00:00:00Z"}
        made = (await house.ask("POST", "/keys", body, headers=house.platform)).json()
        assert (await house.ask("GET", "/tenants", headers=bearer(made["key"]))).status_code == 200
        clock.advance(timedelta(days=1))
        assert (await house.ask("GET", "/tenants", headers=bearer(made["key"]))).status_code == 401


async def test_no_member_can_make_a_key_of_the_platform(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    answer = await house.ask("POST", "/keys", {"name": "x", "role": "platform_admin"}, headers=admin)
    assert answer.status_code == 422
    answer = await house.ask("POST", "/members", {"email": "x@y.example", "role": "platform_admin"}, headers=admin)
    assert answer.status_code == 422


async def test_the_last_tenant_admin_stays(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    path = "/members/tenant_admin@acme.example"
    refused = await house.ask("DELETE", path, headers=admin)
    assert refused.status_code == 409
    added = await house.ask(
        "POST", "/members", {"email": "eve@acme.example", "role": "tenant_admin", "password": PASSWORD}, headers=admin
    )
    assert added.status_code == 201
    assert (await house.ask("DELETE", path, headers=admin)).status_code == 200


async def test_a_user_of_another_tenant_keeps_their_own_password(house: House) -> None:
    rival = await house.as_(Role.TENANT_ADMIN, "rival")
    body = {"email": "trader@acme.example", "role": "viewer", "password": "taken over by rival"}
    assert (await house.ask("POST", "/members", body, headers=rival)).status_code == 201
    assert (await house.ask("POST", "/members", body, headers=rival)).json()["code"] == "already_exists"
    for tenant in ({"tenant": "acme"}, {}):
        assert (await login(house, "trader@acme.example", **tenant))["tenant"] == "acme"


async def test_members_come_and_go_as_events(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    await house.ask(
        "POST", "/members", {"email": "eve@acme.example", "role": "viewer", "password": PASSWORD}, headers=admin
    )
    await house.ask("DELETE", "/members/eve@acme.example", headers=admin)
    events = (await house.ask("GET", "/events?limit=1000", headers=admin)).json()["items"]
    assert [event["kind"] for event in events][-2:] == ["member.added", "member.removed"]
    assert events[-1]["payload"]["email"] == "eve@acme.example"
    unseen = (await house.ask("GET", "/events", headers=await house.as_(Role.VIEWER))).json()["items"]
    assert unseen == []


def test_the_signing_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signing-key.pem"
    first = Signer.from_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    now = datetime(2026, 3, 1, tzinfo=UTC)
    token = first.sign(Claims(uuid4(), uuid4(), None, Role.VIEWER, now, now + timedelta(hours=1)))
    assert Signer.from_file(path).verify(token, now).tenant_id is None
    path.chmod(0o644)
    with pytest.raises(Misconfigured, match="read by others"):
        Signer.from_file(path)
    path.write_text("not a key")
    path.chmod(0o600)
    with pytest.raises(Misconfigured, match="PEM"):
        Signer.from_file(path)


async def test_a_flood_of_logins_is_told_to_come_back_and_holds_no_more_than_its_share() -> None:
    import asyncio

    passwords = Passwords(1)
    stored = await passwords.hash(PASSWORD)
    answers = await asyncio.gather(*(passwords.matches(stored, PASSWORD) for _ in range(40)), return_exceptions=True)
    assert answers.count(True) == 32
    assert sum(isinstance(answer, TooManyRequests) for answer in answers) == 8


async def test_nobody_joins_without_a_way_to_log_in(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    body = {"email": "eve@acme.example", "role": "viewer"}
    answer = await house.ask("POST", "/members", body, headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (400, "input_needed")
    assert "--password-stdin" in answer.json()["fix"]
    tenant = {"slug": "third", "name": "Third", "admin_email": "jo@third.example"}
    answer = await house.ask("POST", "/tenants", tenant, headers=house.platform)
    assert (answer.status_code, answer.json()["code"]) == (400, "input_needed")
    assert (await house.ask("GET", "/tenants/third", headers=house.platform)).status_code == 404
    made = await house.ask("POST", "/tenants", {**tenant, "admin_password": PASSWORD}, headers=house.platform)
    assert made.status_code == 201, made.text
    assert (await login(house, "jo@third.example"))["role"] == "tenant_admin"


async def test_a_changed_password_ends_the_users_other_sessions(house: House) -> None:
    kept = bearer((await login(house, "trader@acme.example"))["token"])
    other = bearer((await login(house, "trader@acme.example"))["token"])
    assert (await house.ask("GET", "/auth/whoami", headers=other)).status_code == 200
    body = {"current": PASSWORD, "new": "another horse battery"}
    answer = await house.ask("POST", "/auth/password", body, headers=kept)
    assert answer.status_code == 200, answer.text
    assert (await house.ask("GET", "/auth/whoami", headers=kept)).status_code == 200
    assert (await house.ask("GET", "/auth/whoami", headers=other)).status_code == 401
    old = await house.ask("POST", "/auth/login", {"email": "trader@acme.example", "password": PASSWORD})
    assert old.status_code == 401
    await login(house, "trader@acme.example", "another horse battery")
    tenant = await house.services.tenancy.get_tenant("acme")
    (event,) = [event for event in await audit_of(house, tenant.id) if event.action == "auth.password"]
    assert (event.actor, event.status) == ("trader@acme.example", 200)


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
