"""The client against a real HTTP server: what it sends, and what it makes of answers."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from alphapulse import errors
from alphapulse.client.api import Client
from alphapulse.client.connection import Connection, Target, is_loopback
from alphapulse.client.failures import failure
from alphapulse.domain.market import ImportReport, Series, Timeframe
from alphapulse.domain.orders import OrderStatus, Side
from alphapulse.errors import AlphaPulseError
from tests.cli import examples
from tests.cli.scripted import Reply, ScriptedDaemon

EVERY_ERROR = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AlphaPulseError) and kind is not AlphaPulseError
]


def client_of(scripted: ScriptedDaemon, tenant: str = "") -> Client:
    return Client(Target(scripted.url, "secret", tenant))


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_a_problem_becomes_the_error_that_the_daemon_raised(kind: type[AlphaPulseError]) -> None:
    problem = {
        "code": kind.code,
        "detail": "what",
        "fix": "how",
        "request_id": "r",
        "field": "f",
        "denials": ["D: a=1"],
    }
    found = failure(418, problem, {"retry-after": "7"})
    assert (type(found), found.message, found.fix, found.request_id) == (kind, "what", "how", "r")
    assert getattr(found, "field", "f") == "f"
    assert getattr(found, "denials", ("D: a=1",)) == ("D: a=1",)
    assert getattr(found, "retry_after", timedelta(seconds=7)) == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, errors.Unauthenticated), (404, errors.NotFound), (502, errors.Unavailable), (418, errors.Refused)],
)
def test_an_answer_without_our_code_is_read_by_its_status(status: int, kind: type[AlphaPulseError]) -> None:
    assert type(failure(status, None, {})) is kind


def test_an_order_is_sent_as_the_api_wants_it(scripted: ScriptedDaemon) -> None:
    scripted.on("POST /trades", examples.order())
    with client_of(scripted, "acme") as client:
        placed = client.orders.place(
            "demo", "BTC/USDT", Side.BUY, Decimal("0.10"), limit_price=Decimal("6E+4"), idempotency_key="k"
        )
    asked = scripted.asked[0]
    assert placed == examples.order()
    assert json.loads(asked.body) == {
        "fund": "demo",
        "symbol": "BTC/USDT",
        "side": "buy",
        "quantity": "0.1",
        "limit_price": "60000",
    }
    assert (asked.headers["authorization"], asked.headers["x-tenant"]) == ("Bearer secret", "acme")
    assert asked.headers["idempotency-key"] == "k"


def test_what_is_not_asked_for_is_not_sent(scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", {"items": [examples.order()], "next": "c"})
    with client_of(scripted) as client:
        page = client.orders.list(status=OrderStatus.PARTIALLY_FILLED)
    assert scripted.asked[0].query == {"status": "partially_filled", "limit": "50"}
    assert (page.items, page.next) == ((examples.order(),), "c")
    assert "x-tenant" not in scripted.asked[0].headers


def test_times_and_series_are_sent_in_the_wires_form(scripted: ScriptedDaemon) -> None:
    scripted.on("GET /market/candles", {"items": [], "next": None})
    with client_of(scripted) as client:
        client.market.candles(Series("binance", "BTC/USDT", Timeframe.H4), since=datetime(2026, 1, 1, tzinfo=UTC))
    assert scripted.asked[0].query == {
        "venue": "binance",
        "symbol": "BTC/USDT",
        "timeframe": "4h",
        "since": "2026-01-01T00:00:00Z",
        "limit": "100",
    }


def test_a_name_in_a_path_cannot_leave_it(scripted: ScriptedDaemon) -> None:
    with client_of(scripted) as client, pytest.raises(errors.NotFound):
        client.funds.get("../tenants?x=1")
    assert scripted.asked[0].path == "/funds/..%2Ftenants%3Fx%3D1"


def test_a_file_is_uploaded_byte_for_byte(scripted: ScriptedDaemon, tmp_path: Path) -> None:
    report = ImportReport(Series("binance", "BTC/USDT", Timeframe.H4), 2, 2, 0, ())
    scripted.on("POST /market/candles", report)
    file = tmp_path / "binance_BTC-USDT_4h.csv"
    file.write_bytes(b"a,b\n\xff\x00" * 50_000)
    with client_of(scripted) as client:
        assert client.market.import_candles(file) == report
    assert scripted.asked[0].body == file.read_bytes()
    assert scripted.asked[0].query == {"filename": file.name}


def test_a_get_whose_connection_breaks_is_asked_once_more(scripted: ScriptedDaemon) -> None:
    scripted.on("GET /funds", Reply(hang_up=True), {"items": [], "next": None})
    with client_of(scripted) as client:
        assert len(client.funds.list()) == 0
    assert len(scripted.asked) == 2


def test_a_get_that_breaks_twice_is_given_up(scripted: ScriptedDaemon) -> None:
    scripted.on("GET /funds", Reply(hang_up=True))
    with client_of(scripted) as client, pytest.raises(errors.Unavailable):
        client.funds.list()
    assert len(scripted.asked) == 2


def test_a_post_whose_connection_breaks_is_never_repeated(scripted: ScriptedDaemon) -> None:
    scripted.on("POST /trades", Reply(hang_up=True))
    with client_of(scripted) as client, pytest.raises(errors.Unavailable, match="broke before the answer") as raised:
        client.orders.place("demo", "BTC/USDT", Side.BUY, Decimal(1), idempotency_key="k")
    assert len(scripted.asked) == 1
    assert "look before you repeat" in raised.value.fix


def test_nothing_listening_is_told_from_a_late_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(errors.Unavailable, match=r"within 0\.2 s"):
            Connection(Target(url)).get("/funds", timeout=0.2)
    with pytest.raises(errors.DaemonUnreachable):
        Connection(Target(url)).get("/funds")


@pytest.mark.parametrize("url", ["localhost:8470", "ftp://localhost", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises((errors.Misconfigured, errors.DaemonUnreachable)):
        Connection(Target(url)).get("/funds")


def test_another_server_is_not_taken_for_a_daemon(scripted: ScriptedDaemon) -> None:
    scripted.on("GET /funds", Reply(raw=b"<html>hello</html>"))
    with client_of(scripted) as client, pytest.raises(errors.Misconfigured, match="not as an AlphaPulse daemon"):
        client.funds.list()


@pytest.mark.parametrize("body", [{"items": [{"id": 1}]}, [], {"things": []}])
def test_an_answer_that_cannot_be_read_is_a_bug_and_not_the_callers_fault(
    scripted: ScriptedDaemon, body: object
) -> None:
    scripted.on("GET /funds", body)
    with client_of(scripted) as client, pytest.raises(errors.Defect, match="daemon's answer"):
        client.funds.list()


def test_a_daemon_that_is_not_ready_still_says_how_it_is(scripted: ScriptedDaemon) -> None:
    scripted.on("GET /health/ready", Reply(503, {"status": "not ready", "ports": {}}))
    with client_of(scripted) as client:
        assert client.access.ready()["status"] == "not ready"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8470", True),
        ("http://localhost", True),
        ("http://[::1]:8470", True),
        ("https://example.com", False),
        ("http://127.example.com", False),
        ("http://localhost.example.com", False),
        ("http://10.0.0.1", False),
    ],
)
def test_loopback_is_told_from_other_machines(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
