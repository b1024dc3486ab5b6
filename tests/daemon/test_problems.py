"""Bad input, and how every failure is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import httpx
import orjson

from alphapulse import errors
from alphapulse.daemon.answers import to_json
from alphapulse.daemon.problems import HTTP_STATUS, problem, problem_answer, status_of
from alphapulse.domain.audit import AuditEvent, ChainedEvent
from alphapulse.domain.tenancy import PLATFORM, Role
from alphapulse.domain.wire import encode
from alphapulse.errors import AlphaPulseError, LimitBreached, TooManyRequests
from tests.daemon.house import CONFIG, House, listening


def rungs(kind: type[AlphaPulseError] = AlphaPulseError) -> list[type[AlphaPulseError]]:
    return [kind, *(rung for child in kind.__subclasses__() for rung in rungs(child))]


def test_every_error_has_a_status() -> None:
    assert all(400 <= HTTP_STATUS[next(k for k in rung.__mro__ if k in HTTP_STATUS)] < 600 for rung in rungs())
    assert status_of(errors.IdempotencyMismatch("x")) == 409
    assert status_of(errors.PayloadTooLarge("x")) == 413
    assert status_of(errors.DaemonUnreachable("x")) == 503


def test_a_problem_carries_what_the_error_carries() -> None:
    body = problem(LimitBreached("denied", denials=("A: b=1",), fix="do"), "r1", 409)
    assert body == {
        "type": "urn:alphapulse:problem:limit_breached",
        "title": "limit breached",
        "status": 409,
        "code": "limit_breached",
        "detail": "denied",
        "retryable": False,
        "request_id": "r1",
        "fix": "do",
        "denials": ["A: b=1"],
    }
    answer = problem_answer(TooManyRequests("slow down", retry_after=timedelta(seconds=1.2)), "r1")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


def test_answers_are_the_wire_form_byte_for_byte() -> None:
    @dataclass(frozen=True, slots=True)
    class Everything:
        money: Decimal
        at: datetime
        took: timedelta
        seen: frozenset[str]
        names: tuple[str, ...]
        nothing: None
        by_role: dict[Role, Decimal]
        share: float

    at = datetime(2026, 3, 1, 12, 0, 0, 250, tzinfo=UTC)
    event = AuditEvent(PLATFORM, "me", "x", "GET /", 200, "ok", "r", at)
    values = [
        Everything(
            Decimal("1.500"),
            at,
            timedelta(seconds=2),
            frozenset({"a"}),
            ("x",),
            None,
            {Role.VIEWER: Decimal("1E+3")},
            0.1,
        ),
        ChainedEvent(1, event, b"\x00", b"\xff"),
        {"items": [at.replace(microsecond=0), uuid4()]},
    ]
    for value in values:
        assert to_json(value) == orjson.dumps(encode(value))


FUND: dict[str, object] = {"name": "momentum", "mode": "paper", "capital": "100000", "config": CONFIG}
TRADE = {"fund": "momentum", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.1"}


def without(body: dict[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in body.items() if name != key}


BAD_VALUES: list[tuple[str, dict[str, object], str]] = [
    ("/funds", {**FUND, "capital": 100000}, "capital"),
    ("/funds", {**FUND, "capital": 1.5}, "capital"),
    ("/funds", {**FUND, "capital": None}, "capital"),
    ("/funds", {**FUND, "capital": True}, "capital"),
    ("/funds", {**FUND, "capital": "1e400"}, "capital"),
    ("/funds", {**FUND, "capital": "NaN"}, "capital"),
    ("/funds", {**FUND, "capital": "Infinity"}, "capital"),
    ("/funds", {**FUND, "capital": "-5"}, "capital"),
    ("/funds", {**FUND, "capital": "12,50"}, "capital"),
    ("/funds", {**FUND, "capital": "0.0000000000000000001"}, "capital"),
    ("/funds", {**FUND, "mode": "live"}, "mode"),
    ("/funds", {**FUND, "mode": 3}, "mode"),
    ("/funds", {**FUND, "surprise": 1}, "surprise"),
    ("/funds", {**FUND, "config": {**CONFIG, "leverage": 3}}, "config.leverage"),
    (
        "/funds",
        {**FUND, "config": {**CONFIG, "limits": {"max_order_notional": 5}}},
        "config.limits.max_order_notional",
    ),
    ("/funds", {**FUND, "config": []}, "config"),
    ("/funds", without(FUND, "capital"), "capital"),
    ("/trades", {**TRADE, "quantity": 0.1}, "quantity"),
    ("/trades", {**TRADE, "quantity": "-0.1"}, "quantity"),
    ("/trades", {**TRADE, "quantity": "0"}, "quantity"),
    ("/trades", {**TRADE, "side": "hold"}, "side"),
    ("/trades", {**TRADE, "symbol": "bitcoin"}, "symbol"),
    ("/trades", {**TRADE, "limit_price": "1e400"}, "limit_price"),
    ("/trades", {**TRADE, "limit_price": "0"}, "limit_price"),
    ("/trades", {**TRADE, "quantity": ["0.1"]}, "quantity"),
    ("/members/invitations", {"email": "no address", "role": "viewer"}, "email"),
    ("/members/invitations", {"email": "a@b.example", "role": "emperor"}, "role"),
    ("/members/invitations", {"email": "a@b.example", "role": "viewer", "password": "mine"}, "password"),
    ("/members/invitations", {"email": 5, "role": "viewer"}, "email"),
    ("/keys", {"name": "", "role": "viewer"}, "name"),
    ("/keys", {"name": "x", "role": "viewer", "expires_at": "tomorrow"}, "expires_at"),
    ("/keys", {"name": "x", "role": "viewer", "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
    ("/risk/halt", {"scope": "fund", "reason": "x"}, "fund"),
    ("/risk/halt", {"scope": "universe", "reason": "x"}, "scope"),
    ("/risk/halt", {"scope": "tenant", "reason": ""}, "reason"),
]


async def test_a_bad_value_is_refused_with_its_field(house: House) -> None:
    headers = {**await house.as_(Role.TENANT_ADMIN), "Idempotency-Key": "k"}
    await house.fund(headers)
    for path, body, field in BAD_VALUES:
        answer = await house.ask("POST", path, body, headers=headers)
        assert answer.status_code == 422, (path, body, answer.text)
        told = answer.json()
        assert (told["code"], told["field"]) == ("invalid_input", field), (path, body, told)
        assert told["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["content-type"] == "application/problem+json"


NOT_JSON_OBJECTS = [
    b"",
    b"{",
    b"{'fund': 'x'}",
    b'{"a": NaN}',
    b'{"a": 1e400, "a": }',
    b'{"fund": "\xff"}',
    b'{"fund": "\\ud800"}',
    b"[" * 100_000,
    b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    b"\xef\xbb\xbf{}",
    b"null",
    b"[]",
    b'"text"',
    b"1" * 5_000,
]


async def test_what_is_not_a_json_object_is_refused(house: House) -> None:
    headers = {**await house.as_(Role.TRADER), "Content-Type": "application/json", "Idempotency-Key": "k"}
    for text in NOT_JSON_OBJECTS:
        answer = await house.ask("POST", "/trades", headers=headers, content=text)
        assert answer.status_code == 422, (text[:40], answer.text)
        assert answer.json()["code"] == "invalid_input"


async def test_a_key_that_occurs_twice_is_refused(house: House) -> None:
    text = b'{"fund": "a", "symbol": "BTC/USDT", "side": "buy", "quantity": "1", "quantity": "1000"}'
    headers = {**await house.as_(Role.TRADER), "Content-Type": "application/json", "Idempotency-Key": "k"}
    answer = await house.ask("POST", "/trades", headers=headers, content=text)
    assert (answer.status_code, answer.json()["field"]) == (422, "quantity")


async def test_a_number_beyond_a_double_is_refused_wherever_it_stands(house: House) -> None:
    headers = {**await house.as_(Role.TRADER), "Content-Type": "application/json"}
    text = b'{"fund": "a", "agent": "trend", "weight": 1e400}'
    answer = await house.ask("POST", "/agents/config", headers=headers, content=text)
    assert answer.status_code == 422, answer.text


async def test_a_nul_is_refused_wherever_it_stands(house: House) -> None:
    headers = {**await house.as_(Role.TRADER), "Content-Type": "application/json", "Idempotency-Key": "k"}
    answers = [
        await house.ask("GET", "/funds/a%00b", headers=headers),
        await house.ask("GET", "/portfolio?fund=a%00b", headers=headers),
        await house.ask("POST", "/trades", headers=headers, content=b'{"fund": "a\\u0000b"}'),
        await house.ask("POST", "/trades", headers=headers, content=b'{"fund": "a\x00b"}'),
    ]
    assert [answer.status_code for answer in answers] == [422] * 4


async def test_another_content_type_is_refused(house: House) -> None:
    headers = {**await house.as_(Role.TRADER), "Content-Type": "text/plain", "Idempotency-Key": "k"}
    answer = await house.ask("POST", "/trades", headers=headers, content=orjson.dumps(TRADE))
    assert answer.status_code == 422
    assert "Content-Type" in answer.json()["fix"]


async def test_a_large_body_is_refused_by_its_length_and_while_it_streams(house: House) -> None:
    headers = {**await house.as_(Role.TRADER), "Content-Type": "application/json", "Idempotency-Key": "k"}
    answer = await house.ask("POST", "/trades", headers=headers, content=b" " * 10_000_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 100_000
            yield b" " * 100_000

    answer = await house.ask("POST", "/trades", headers=headers, content=endless())
    assert answer.status_code == 413


async def test_a_client_that_sends_too_much_over_a_real_connection_reads_why(house: House) -> None:
    headers = {**await house.as_(Role.TRADER), "Content-Type": "application/json", "Idempotency-Key": "k"}
    async with listening(house) as netloc, httpx.AsyncClient(base_url=f"http://{netloc}") as client:
        declared = await client.post("/trades", headers=headers, content=b" " * 10_000_000)
        assert (declared.status_code, declared.json()["code"]) == (413, "payload_too_large")

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b" " * 100_000

        streamed = await client.post("/trades", headers=headers, content=chunks())
        assert (streamed.status_code, streamed.json()["code"]) == (413, "payload_too_large")
        assert (await client.get("/funds", headers=headers)).status_code == 200


async def test_unknown_and_doubled_query_parameters_are_refused(house: House) -> None:
    headers = await house.as_(Role.TRADER)
    answer = await house.ask("GET", "/portfolio?fnud=momentum", headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "fnud")
    assert "fund" in answer.json()["fix"]
    answer = await house.ask("GET", "/portfolio?fund=a&fund=b", headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "fund")


BAD_QUERIES = [
    ("/audit?limit=0", "limit"),
    ("/audit?limit=1001", "limit"),
    ("/audit?limit=many", "limit"),
    ("/audit?since=yesterday", "since"),
    ("/audit?since=2026-01-01T00:00:00", "since"),
    ("/audit?before=99999999999999999999999", "before"),
    ("/events?since=-1", "since"),
    ("/orders?status=lost", "status"),
    ("/orders/not-a-uuid", "order_id"),
    ("/market/candles?venue=binance&symbol=x&timeframe=4h", "symbol"),
    ("/market/candles?venue=binance&symbol=BTC/USDT&timeframe=5h", "timeframe"),
    ("/market/candles", "venue"),
]


async def test_a_bad_query_is_refused_with_its_parameter(house: House) -> None:
    headers = await house.as_(Role.TENANT_ADMIN)
    for query, field in BAD_QUERIES:
        answer = await house.ask("GET", query, headers=headers)
        assert answer.status_code == 422, (query, answer.text)
        assert answer.json()["field"] == field, (query, answer.text)


async def test_what_the_framework_finds_is_told_in_our_words_with_what_to_do(house: House) -> None:
    platform, admin = await house.as_(Role.PLATFORM_ADMIN), await house.as_(Role.TENANT_ADMIN)
    expected = [
        ("POST", "/jobs/zzz/retry", None, "job_id: 'zzz' is not an id", "Give the whole id"),
        ("GET", "/audit?limit=0", None, "limit: '0' is below 1", "Use 1 or more"),
        ("GET", "/audit?limit=1001", None, "limit: '1001' is above 1000", "Use 1000 or less"),
        ("GET", "/audit?limit=many", None, "limit: 'many' is not a whole number", "Write it in digits"),
        ("GET", "/market/candles", None, "venue: missing (query)", "Add it"),
        ("POST", "/members/invitations", {"email": 5, "role": "viewer"}, "email: 5 is not text", "in quotes"),
        ("POST", "/keys", {"name": "x" * 501, "role": "viewer"}, "name: longer than 500 characters", "Shorten"),
        ("POST", "/members/invitations", [], "body: not an object", "JSON object"),
    ]
    for method, path, body, detail, fix in expected:
        headers = platform if path.startswith("/jobs") else admin
        told = (await house.ask(method, path, body, headers=headers)).json()
        assert told["detail"] == detail, told
        assert fix in told["fix"], told


async def test_an_order_without_an_idempotency_key_is_refused(house: House) -> None:
    headers = await house.as_(Role.TRADER)
    for key in ({}, {"Idempotency-Key": ""}, {"Idempotency-Key": "a b"}, {"Idempotency-Key": "x" * 201}):
        answer = await house.ask("POST", "/trades", TRADE, headers={**headers, **key})
        assert answer.status_code == 422, answer.text
        assert answer.json()["field"] == "Idempotency-Key"


async def test_unknown_paths_and_methods_are_problems_too(house: House) -> None:
    answer = await house.ask("GET", "/nowhere", headers=await house.as_(Role.VIEWER))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    answer = await house.ask("DELETE", "/portfolio", headers=await house.as_(Role.VIEWER))
    assert (answer.status_code, answer.json()["code"]) == (405, "refused")
    assert answer.headers["allow"] == "GET"
    assert "GET" in answer.json()["fix"]


async def test_every_answer_has_an_id_and_headers_that_keep_browsers_out(house: House) -> None:
    for path in ("/health/live", "/nowhere", "/portfolio"):
        answer = await house.ask("GET", path)
        assert len(answer.headers["x-request-id"]) == 32
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
