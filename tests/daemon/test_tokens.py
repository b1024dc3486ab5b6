"""Access tokens: what is refused, and how the keys that sign them are replaced."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.clock import ManualClock
from alphapulse.domain.permissions import Role
from alphapulse.errors import Misconfigured, Unauthenticated
from alphapulse.sealing import Seal
from alphapulse.tenancy.signing_keys import SigningKeys
from alphapulse.tenancy.tokens import Claims, Signer, SignerKey, jwk, key_of, thumbprint
from tests.daemon.house import House, audit_of, open_house
from tests.daemon.test_logins import bearer, login, refreshed, status_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_key(name: str = "k1") -> SignerKey:
    return SignerKey(name, Ed25519PrivateKey.generate(), NOW - HOUR)


def claims_for(now: datetime = NOW, **changes: object) -> Claims:
    values: dict[str, object] = {
        "user_id": uuid4(),
        "session_id": uuid4(),
        "tenant_id": None,
        "role": Role.VIEWER,
        "issued_at": now,
        "expires_at": now + HOUR,
    }
    return Claims(**{**values, **changes})  # type: ignore[arg-type]


def encode(claims: dict[str, object], key: object, algorithm: str = "EdDSA", **headers: object) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)  # type: ignore[arg-type]


def opened(token: str) -> dict[str, object]:
    return jwt.decode(token, options={"verify_signature": False})


def base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


async def test_tokens_that_are_not_ours_are_refused(house: House) -> None:
    good = (await login(house, "tenant_admin@acme.example"))["token"]
    claims, kid = opened(good), key_of(good)
    head, body, signature = good.split(".")
    published = (await house.ask("GET", "/.well-known/jwks.json")).json()["keys"][0]
    public = base64.urlsafe_b64decode(published["x"] + "==")
    stranger = Ed25519PrivateKey.generate()
    raised = base64url(json.dumps({**claims, "role": "platform_admin"}).encode())
    rival = await house.services.tenancy.get_tenant("rival")
    swapped = base64url(json.dumps({**claims, "tenant_id": str(rival.id)}).encode())
    none = base64url(json.dumps({"alg": "none", "typ": "JWT", "kid": kid}).encode())
    own = jwk("mine", stranger.public_key().public_bytes_raw())
    refused = {
        "signed by a stranger": encode(claims, stranger, kid=kid),
        "a stranger's key, named by its own name": encode(claims, stranger, kid="mine"),
        "a stranger's key, sent along": encode(claims, stranger, kid=kid, jwk=own),
        "a stranger's key, to be fetched": encode(claims, stranger, kid=kid, jku="http://127.0.0.1:9/jwks.json"),
        "no key named": encode(claims, stranger),
        "a key named by a path": encode(claims, stranger, kid="../../../../dev/null"),
        "a key named by SQL": encode(claims, stranger, kid="' OR 1=1 --"),
        "alg none": encode(claims, None, "none", kid=kid),
        "alg none with the old signature": f"{none}.{body}.{signature}",
        "alg none without a signature": f"{none}.{body}.",
        "the public key as a shared secret": encode(claims, public, "HS256", kid=kid),
        "a raised role": f"{head}.{raised}.{signature}",
        "a swapped tenant": f"{head}.{swapped}.{signature}",
        "cut": good[:-8],
        "empty parts": "..",
        "text": "token",
        "a key's form": "ap_0123456789ab_" + "A" * 43,
    }
    for case, token in refused.items():
        answer = await house.ask("GET", "/auth/whoami", headers=bearer(token))
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), (case, answer.text)
    for header in ("", "Bearer", "Bearer ", f"Basic {good}", good):
        answer = await house.ask("GET", "/auth/whoami", headers={"Authorization": header})
        assert answer.status_code == 401, header
    assert await status_of(house, good) == 200


async def test_a_token_that_we_signed_for_another_tenant_or_session_opens_nothing(house: House) -> None:
    """Even with our own key: the session has to be there, in that tenant, of that user."""
    good = opened((await login(house, "trader@acme.example"))["token"])
    rival = await house.services.tenancy.get_tenant("rival")
    signer = await house.services.signing_keys.ready()
    now = house.services.clock.now()
    tenant, user, session = (UUID(str(good[name])) for name in ("tenant_id", "sub", "sid"))
    cases: dict[str, dict[str, object]] = {
        "another tenant": {"tenant_id": rival.id, "user_id": user, "session_id": session},
        "no tenant": {"tenant_id": None, "user_id": user, "session_id": session},
        "another session": {"tenant_id": tenant, "user_id": user, "session_id": uuid4()},
        "an API key in its place": {"tenant_id": None, "user_id": uuid4(), "session_id": session},
    }
    for case, changes in cases.items():
        token = signer.sign(claims_for(now, **changes))
        assert await status_of(house, token) == 401, case
    # The role is looked up, whatever the token says.
    raised = signer.sign(claims_for(now, tenant_id=tenant, user_id=user, session_id=session, role=Role.PLATFORM_ADMIN))
    who = (await house.ask("GET", "/auth/whoami", headers=bearer(raised))).json()
    assert who["role"] == "trader"


def test_a_token_of_another_issuer_or_without_a_claim_is_refused() -> None:
    key = a_key()
    signer = Signer([key])
    good = signer.sign(claims_for())
    claims = opened(good)
    assert signer.verify(good, NOW).role is Role.VIEWER
    changes: list[dict[str, object]] = [
        {"iss": "somebody"},
        {"role": "god"},
        {"sub": 5},
        {"sid": "x"},
        {"tenant_id": "x"},
        {"tenant_id": 5},
        {"exp": "soon"},
        {"exp": 10**30},
        {"exp": int((NOW - HOUR).timestamp())},
        {"iat": int((NOW + HOUR).timestamp())},
        {"iat": None},
        {"jti": None},
    ]
    for change in changes:
        with pytest.raises(Unauthenticated):
            signer.verify(encode({**claims, **change}, key.private, kid="k1"), NOW)
    for missing in claims:
        without = {name: value for name, value in claims.items() if name != missing}
        with pytest.raises(Unauthenticated):
            signer.verify(encode(without, key.private, kid="k1"), NOW)


def test_a_token_is_good_from_its_issue_to_its_end_and_not_before_or_after() -> None:
    signer = Signer([a_key()])
    token = signer.sign(claims_for())
    assert signer.verify(token, NOW - timedelta(seconds=59)).issued_at == NOW
    assert signer.verify(token, NOW + HOUR - timedelta(seconds=1)).issued_at == NOW
    for moment in (NOW - timedelta(seconds=61), NOW + HOUR, NOW + 2 * HOUR):
        with pytest.raises(Unauthenticated):
            signer.verify(token, moment)


def test_a_key_signs_when_it_is_ripe_and_is_accepted_until_it_retires() -> None:
    old = SignerKey("old", Ed25519PrivateKey.generate(), NOW - HOUR, NOW + 2 * HOUR)
    new = SignerKey("new", Ed25519PrivateKey.generate(), NOW + timedelta(minutes=1))
    signer = Signer([old, new])
    early = signer.sign(claims_for())
    late = signer.sign(claims_for(NOW + timedelta(minutes=1), expires_at=NOW + 9 * HOUR))
    assert (key_of(early), key_of(late)) == ("old", "new")
    assert signer.verify(early, NOW + timedelta(minutes=59))
    long = signer.sign(claims_for(expires_at=NOW + 9 * HOUR))
    with pytest.raises(Unauthenticated):
        signer.verify(long, NOW + 2 * HOUR)
    assert signer.verify(late, NOW + 2 * HOUR)


def test_a_thumbprint_is_the_one_of_the_standard() -> None:
    """RFC 8037, appendix A.3."""
    public = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert thumbprint(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


async def test_the_published_keys_prove_our_tokens(house: House) -> None:
    token = (await login(house, "trader@acme.example"))["token"]
    answer = await house.ask("GET", "/.well-known/jwks.json")
    assert answer.status_code == 200
    found = {key.key_id: key for key in jwt.PyJWKSet.from_dict(answer.json()).keys}
    claims = jwt.decode(token, found[key_of(token)].key, algorithms=["EdDSA"])
    assert claims["role"] == "trader"
    assert all("d" not in key for key in answer.json()["keys"])


async def test_signing_keys_rotate_and_nobody_has_to_log_in_again(
    database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path
) -> None:
    clock = ManualClock(NOW)
    async with open_house(database, urls, tmp_path, clock) as house:
        await house.tenant("acme")
        before = await login(house, "trader@acme.example")
        made = await house.ask("POST", "/signing-keys", {}, headers=house.platform)
        assert made.status_code == 201, made.text
        assert made.json()["active_from"] == "2026-03-01T00:01:00Z"
        published = {key["kid"] for key in (await house.ask("GET", "/.well-known/jwks.json")).json()["keys"]}
        assert published == {key_of(before["token"]), made.json()["id"]}
        assert key_of((await login(house, "viewer@acme.example"))["token"]) == key_of(before["token"])
        clock.advance(timedelta(minutes=1))
        after = await login(house, "viewer@acme.example")
        assert key_of(after["token"]) == made.json()["id"]
        assert (await status_of(house, before["token"]), await status_of(house, after["token"])) == (200, 200)
        clock.advance(timedelta(minutes=58))
        assert await status_of(house, before["token"]) == 200
        fresh = await refreshed(house, before["refresh_token"])
        assert key_of(fresh["token"]) == made.json()["id"]
        clock.advance(timedelta(hours=1))
        published = {key["kid"] for key in (await house.ask("GET", "/.well-known/jwks.json")).json()["keys"]}
        assert published == {made.json()["id"]}
        (old,) = [key for key in await house.services.signing_keys.list_keys() if key.id != made.json()["id"]]
        assert old.retires_at == NOW + timedelta(minutes=62)


async def test_a_stolen_signing_key_is_replaced_at_once_and_sessions_go_on(house: House) -> None:
    before = await login(house, "trader@acme.example")
    assert await status_of(house, before["token"]) == 200
    made = await house.ask("POST", "/signing-keys", {"at_once": True}, headers=house.platform)
    assert made.status_code == 201, made.text
    assert await status_of(house, before["token"]) == 401
    fresh = await refreshed(house, before["refresh_token"])
    assert key_of(fresh["token"]) == made.json()["id"]
    assert await status_of(house, fresh["token"]) == 200


async def test_a_rotation_stands_in_the_platforms_audit_log(house: House) -> None:
    from alphapulse.domain.tenancy import PLATFORM

    made = (await house.ask("POST", "/signing-keys", {}, headers=house.platform)).json()
    (event,) = [event for event in await audit_of(house, PLATFORM) if event.action == "signing_key.rotated"]
    assert event.subject == made["id"]


async def test_replicas_share_their_keys_and_a_rotation_reaches_them(
    database: PostgresDatabase, tmp_path: Path
) -> None:
    clock = ManualClock(NOW)
    seal = Seal.from_file(tmp_path / "master.key")
    one, two = (SigningKeys(database=database, clock=clock, seal=seal, token_lifetime=HOUR) for _ in range(2))
    token = (await one.ready()).sign(claims_for())
    assert (await two.ready(key_of(token))).verify(token, NOW)
    await one.rotate(actor="test", at_once=True)
    fresh = one.signer.sign(claims_for())
    assert key_of(fresh) != key_of(token)

    async def known() -> bool:
        return (await two.ready(key_of(fresh))).knows(key_of(fresh))

    from tests.daemon.waiting import eventually

    await eventually(known, within_s=5)
    assert two.signer.verify(fresh, NOW)
    with pytest.raises(Unauthenticated):
        two.signer.verify(token, NOW)


async def test_signing_keys_are_stored_sealed_and_another_master_key_does_not_open_them(
    database: PostgresDatabase, tmp_path: Path
) -> None:
    clock = ManualClock(NOW)
    keys = SigningKeys(
        database=database, clock=clock, seal=Seal.from_file(tmp_path / "master.key"), token_lifetime=HOUR
    )
    token = (await keys.ready()).sign(claims_for())
    async with database.shared() as tx:
        row = await tx.one("SELECT sealed_private_key, public_key FROM signing_keys")
    assert row is not None
    with pytest.raises(ValueError):
        encode(opened(token), Ed25519PrivateKey.from_private_bytes(bytes(row["sealed_private_key"])))
    other = SigningKeys(
        database=database, clock=clock, seal=Seal.from_file(tmp_path / "other.key"), token_lifetime=HOUR
    )
    with pytest.raises(Misconfigured, match="signing_key"):
        await other.ready()
