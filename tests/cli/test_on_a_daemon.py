"""Commands against a real daemon, each as the person whose work it is."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from uuid import uuid4

import pytest

from alphapulse.cli.candidates import candidates
from tests.cli.conftest import Fleet, plain_environment

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize(
    "arguments",
    [
        ["whoami"],
        ["funds", "list"],
        ["funds", "show", "demo"],
        ["funds", "config", "show", "demo"],
        ["funds", "config", "show", "demo", "--all"],
        ["funds", "config", "diff", "demo"],
        ["portfolio", "show"],
        ["portfolio", "show", "--fund", "demo"],
        ["portfolio", "history"],
        ["portfolio", "plan"],
        ["portfolio", "performance"],
        ["portfolio", "verify"],
        ["positions", "list"],
        ["orders", "list", "--limit", "3"],
        ["orders", "list", "--status", "filled"],
        ["orders", "show", "last"],
        ["orders", "explain", "last"],
        ["fills", "list", "--fund", "demo"],
        ["agents", "list"],
        ["agents", "show", "trend"],
        ["agents", "signals", "--agent", "trend", "--limit", "3"],
        ["risk", "status"],
        ["market", "list"],
        ["market", "candles", "BTC/USDT", "--venue", "synthetic", "--limit", "5"],
        ["market", "instruments", "synthetic"],
        ["events", "tail", "--no-follow", "--limit", "5"],
    ],
    ids=" ".join,
)
def test_a_viewer_can_read_it_in_every_form(fleet: Fleet, arguments: list[str]) -> None:
    for form in ("table", "json", "jsonl", "csv"):
        ended = fleet.run("viewer", *arguments, "--output", form)
        assert ended.code == 0, ended.err
        assert "\x1b" not in ended.out
        if form == "jsonl" or (form == "json" and arguments[0] == "events"):
            assert all(json.loads(line) for line in ended.out.splitlines())
        elif form == "json":
            json.loads(ended.out)
        elif form == "csv" and arguments[0] != "events":
            list(csv.reader(io.StringIO(ended.out)))


@pytest.mark.parametrize(
    "arguments",
    [
        ["orders", "place", "BTC/USDT", "buy", "0.01", "--fund", "demo"],
        ["positions", "close", "BTC/USDT", "--yes", "--fund", "demo"],
        ["funds", "start", "demo"],
        ["agents", "disable", "trend"],
        ["risk", "halt", "--reason", "x", "--fund", "demo"],
        ["members", "list"],
        ["audit", "list"],
        ["tenants", "list"],
        ["jobs", "list"],
    ],
    ids=" ".join,
)
def test_a_viewer_may_not_do_more_than_read(fleet: Fleet, arguments: list[str]) -> None:
    ended = fleet.run("viewer", *arguments, "--json")
    assert (ended.code, ended.out) == (6, "")
    error = json.loads(ended.err)["error"]
    assert error["code"] == "forbidden"
    assert error["request_id"]


def test_an_order_is_placed_explained_and_closed_by_hand(fleet: Fleet) -> None:
    key = uuid4().hex
    place = ("orders", "place", "eth/usdt", "buy", "0.5", "--idempotency-key", key)
    first, second = fleet.json("trader", *place), fleet.json("trader", *place)
    assert first["id"] == second["id"]
    assert first["request"]["symbol"] == "ETH/USDT"
    explained = fleet.run("trader", "orders", "explain", first["id"][:10])
    assert explained.code == 0
    assert "placed by hand" in explained.out
    other = fleet.run("trader", *place[:4], "0.6", *place[5:])
    assert other.code == 7
    closed = fleet.json("trader", "positions", "close", "ETH/USDT", "--yes")
    assert closed["request"]["side"] == "sell"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["buy", "0.1", "--limit", "1"], 1, "PRICE_COLLAR: "),
        (["buy", "100000"], 1, "NOTIONAL_EXCEEDS_MAX_PER_ORDER: "),
        (["sell", "99999"], 1, ": "),
        (["buy", "0.0000000000000000001"], 2, "decimal places"),
    ],
)
def test_an_order_that_breaks_a_limit_says_which(fleet: Fleet, arguments: list[str], code: int, said: str) -> None:
    ended = fleet.run("trader", "orders", "place", "BTC/USDT", *arguments)
    assert ended.code == code
    assert said in ended.err


def test_an_unknown_symbol_is_named(fleet: Fleet) -> None:
    ended = fleet.run("trader", "orders", "place", "NOSUCH/USDT", "buy", "1", "--fund", "demo")
    assert ended.code in {1, 2, 5}
    assert "NOSUCH/USDT" in ended.err


def test_a_halt_stops_orders_until_it_is_resumed(fleet: Fleet) -> None:
    assert fleet.run("trader", "risk", "halt", "--reason", "drill", "--fund", "demo").code == 0
    try:
        denied = fleet.run("trader", "orders", "place", "BTC/USDT", "buy", "0.01", "--fund", "demo")
        assert denied.code == 1
        assert "TRADING_HALTED" in denied.err
        assert "drill" in fleet.run("viewer", "risk", "status").out
        assert fleet.run("trader", "risk", "resume", "--reason", "done", "--fund", "demo", "--yes").code == 6
    finally:
        assert fleet.run("owner", "risk", "resume", "--reason", "done", "--fund", "demo", "--yes").code == 0
    assert fleet.run("viewer", "risk", "status", "-q").out == ""


def test_a_configuration_is_changed_compared_and_rolled_back(fleet: Fleet) -> None:
    before = fleet.json("trader", "funds", "show", "demo")
    changed = fleet.json("trader", "funds", "config", "set", "demo", "limits.price_collar=0.05")
    assert Decimal(changed["config"]["limits"]["price_collar"]) == Decimal("0.05")
    (difference,) = fleet.json("viewer", "funds", "config", "diff", "demo")["items"]
    assert difference["key"] == "limits.price_collar"
    version = str(before["config_version"])
    assert fleet.json("trader", "funds", "config", "rollback", "demo", version)["config"] == before["config"]


def test_an_agent_is_tuned_disabled_and_enabled(fleet: Fleet) -> None:
    info = fleet.json("viewer", "agents", "show", "trend")
    parameter = info["parameters"][0]
    value = f"{parameter['name']}={parameter['default']:g}"
    tuned = fleet.json("trader", "agents", "configure", "trend", value, "--weight", "2")
    assert {choice["name"]: choice["weight"] for choice in tuned["config"]["agents"]}["trend"] == 2
    off = fleet.json("trader", "agents", "disable", "trend")
    assert {choice["name"]: choice["enabled"] for choice in off["config"]["agents"]}["trend"] is False
    assert fleet.run("trader", "agents", "enable", "trend").code == 0
    assert fleet.run("trader", "agents", "configure", "trend", "ghost=1").code == 2


def test_completion_knows_what_the_daemon_knows(fleet: Fleet) -> None:
    environment = plain_environment(fleet.home)
    offered = {
        ("funds", "show", ""): ["demo"],
        ("portfolio", "show", "--fund", "d"): ["demo"],
        ("--context", "platform", "--tenant", "de"): ["demo"],
        ("--context", "platform", "tenants", "show", "de"): ["demo"],
        ("agents", "disable", "tr"): ["trend"],
        ("orders", "place", "BT"): ["BTC/USDT"],
        ("--context", "ow"): ["owner"],
        ("--context", "nonsense", "funds", "show", ""): [],
    }
    assert {words: candidates(words, environment) for words in offered} == offered


def test_a_job_says_what_it_is_for(fleet: Fleet) -> None:
    replays = [line for line in fleet.run("owner", "jobs", "list").out.splitlines() if " replay " in line]
    assert re.search(r" replay +replay [0-9a-f]{8} ", replays[-1])
    wrong = fleet.run("platform", "jobs", "retry", "zzz")
    assert (wrong.code, "'zzz' is not a job's id" in wrong.err, "jobs list" in wrong.err) == (2, True, True)


def test_a_key_works_until_it_is_revoked(fleet: Fleet) -> None:
    made = fleet.json("owner", "keys", "create", "script", "--role", "trader")
    scripted = {"ALPHAPULSE_API_KEY": made["key"]}
    assert fleet.run("owner", "whoami", "-q", env=scripted).out.startswith("key:")
    assert made["key"] not in fleet.run("owner", "keys", "list").out
    assert fleet.run("owner", "keys", "revoke", made["id"], "--yes").code == 0
    assert fleet.run("owner", "whoami", env=scripted).code == 4


def test_another_tenants_things_do_not_exist(fleet: Fleet) -> None:
    slug = f"t{uuid4().hex[:8]}"
    create = ("tenants", "create", "--name", slug, "--slug", slug, "--admin-email", f"{slug}@example.com")
    assert fleet.run("platform", *create).code == 0
    assert fleet.json("platform", "tenants", "invite", slug)["email"] == f"{slug}@example.com"
    assert fleet.json("platform", "tenants", "show", slug)["slug"] == slug
    order = fleet.json("viewer", "orders", "show", "last")["id"]
    for arguments in (["orders", "show", order], ["funds", "show", "demo"], ["portfolio", "show", "--fund", "demo"]):
        assert fleet.run("platform", "--tenant", slug, *arguments).code == 5
    assert fleet.json("platform", "--tenant", "demo", "orders", "show", order)["id"] == order


def test_every_request_is_in_the_audit_log_and_its_chain_is_whole(fleet: Fleet) -> None:
    fleet.run("viewer", "positions", "list")
    entries = fleet.json("owner", "audit", "list", "--actor", "viewer@demo.example", "--limit", "1")["items"]
    assert entries[0]["event"]["path"] == "GET /positions"
    verdict = fleet.json("owner", "audit", "verify")
    assert verdict["broken_at"] is None
    assert verdict["length"] > 0


def test_candles_are_imported_once(fleet: Fleet) -> None:
    file = fleet.home / "coinbase_BTC-USD_1h.csv"
    rows = "\n".join(f"{1_700_002_800_000 + i * 3_600_000},10,11,9,10,1" for i in range(5))
    file.write_text(f"open_time_ms,open,high,low,close,volume\n{rows}\n")
    (report,) = fleet.json("platform", "market", "import", str(file))["items"]
    assert (report["rows"], report["added"]) == (5, 5)
    (again,) = fleet.json("platform", "market", "import", str(file))["items"]
    assert (again["added"], again["duplicates"]) == (0, 5)
    shown = fleet.run("viewer", "market", "candles", "BTC/USD", "--venue", "coinbase", "--timeframe", "1h", "-q")
    assert shown.out == "10\n" * 5


def test_more_candles_than_one_answer_holds_are_asked_for_in_pages(fleet: Fleet) -> None:
    file = fleet.home / "manybars_BTC-USD_1h.csv"
    rows = "\n".join(f"{1_700_002_800_000 + i * 3_600_000},{i + 1},{i + 1},{i + 1},{i + 1},1" for i in range(2500))
    file.write_text(f"open_time_ms,open,high,low,close,volume\n{rows}\n")
    assert fleet.run("platform", "market", "import", str(file)).code == 0
    asked = ("market", "candles", "BTC/USD", "--venue", "manybars", "--timeframe", "1h", "-q", "--limit")
    closes = [int(line) for line in fleet.run("viewer", *asked, "2200").out.split()]
    assert closes == list(range(301, 2501))
    closes = [int(line) for line in fleet.run("viewer", *asked, "1500", "--since", "2023-11-14T23:00:00Z").out.split()]
    assert closes == list(range(1, 1501))
    assert len(fleet.run("viewer", *asked, "10000").out.split()) == 2500


def test_gaps_need_no_venue_when_only_one_has_the_candles(fleet: Fleet) -> None:
    for venue, hours in (("gappy", [0, 1, 2, 5]), ("gappier", [0, 1, 7])):
        rows = "\n".join(f"{1_700_002_800_000 + hour * 3_600_000},10,11,9,10,1" for hour in hours)
        file = fleet.home / f"{venue}_LTC-USD_1h.csv"
        file.write_text(f"open_time_ms,open,high,low,close,volume\n{rows}\n")
        assert fleet.run("platform", "market", "import", str(file)).code == 0
        found = fleet.run("viewer", "market", "gaps", "LTC/USD", "--timeframe", "1h", "--json")
        if venue == "gappy":
            assert [gap["bars"] for gap in json.loads(found.out)["items"]] == [2]
    assert found.code == 2
    assert "gappier, gappy have 1h candles of LTC/USD" in found.err
    missing = fleet.run("viewer", "market", "gaps", "XMR/USD")
    assert (missing.code, "no venue has 4h candles of XMR/USD" in missing.err) == (2, True)


def test_a_directory_and_an_empty_file_are_called_what_they_are(fleet: Fleet) -> None:
    assert "a directory, not a file" in fleet.run("platform", "market", "import", str(fleet.home)).err
    empty = fleet.home / "coinbase_SOL-USD_1h.csv"
    empty.touch()
    ended = fleet.run("platform", "market", "import", str(empty))
    assert (ended.code, "coinbase_SOL-USD_1h.csv is empty" in ended.err) == (2, True)


def test_events_are_followed_from_a_number_on(fleet: Fleet) -> None:
    ended = fleet.run("viewer", "events", "tail", "--since", "2", "--limit", "3", "--output", "jsonl")
    assert ended.code == 0, ended.err
    followed = [json.loads(line) for line in ended.out.splitlines()]
    stored = fleet.run("viewer", "events", "tail", "--no-follow", "--since", "2", "--limit", "3", "--output", "jsonl")
    assert followed == [json.loads(line) for line in stored.out.splitlines()]
    assert len(followed) == 3
    assert followed[0]["sequence"] > 2


def test_jobs_are_listed_paused_and_resumed(fleet: Fleet) -> None:
    listed = fleet.json("platform", "jobs", "list")
    assert listed["schedule"]
    assert "replay" in {job["name"] for job in fleet.json("owner", "jobs", "list")["items"]}
    name = listed["schedule"][0]["name"]
    assert fleet.json("platform", "jobs", "pause", name)["paused"] is True
    assert fleet.json("platform", "jobs", "resume", name)["paused"] is False


def test_the_daemon_is_seen_running_and_its_log_is_read(fleet: Fleet) -> None:
    where = ("--data-directory", str(fleet.data))
    status = fleet.json("platform", "daemon", "status", *where)
    assert status["url"] == fleet.url
    assert status["health"]["status"] == "ready"
    logs = fleet.run("platform", "daemon", "logs", "-n", "3", *where)
    assert all(json.loads(line) for line in logs.out.splitlines())
    assert fleet.json("platform", "daemon", "start", *where)["pid"] == status["pid"]


def test_the_dashboard_asks_for_a_terminal(fleet: Fleet) -> None:
    assert fleet.run("viewer", "tui").code == 8
