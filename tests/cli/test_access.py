"""Logins on the command line: refreshed in passing, with a second factor, from a machine that is known."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyotp.totp import TOTP

from alphapulse.cli.context import Context, Contexts, contexts_file, edit, load
from alphapulse.client.api import Client
from alphapulse.client.connection import Target
from alphapulse.clock import SystemClock
from alphapulse.domain.tenancy import Role
from alphapulse.domain.wire import write_time
from alphapulse.errors import Unauthenticated
from tests.cli.conftest import ENTRY, Ended, Fleet, RunCli, plain_environment
from tests.cli.scripted import Reply, ScriptedDaemon

pytestmark = pytest.mark.timeout(240)

PASSWORD = "correct horse battery"
WHOAMI = {
    "actor": "ann@a.example",
    "role": "trader",
    "tenant": "alpha",
    "tenant_id": "a1c6a52f-0e8f-4b7d-9a53-2c116f1c3d0b",
    "user_id": "7d9a533d-0b6a-4f2c-8f0e-1c6a525b7d11",
    "expires_at": "2036-03-01T13:00:00Z",
}


def given(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "token": f"t.o.{number}",
        "expires_at": "2036-03-01T13:00:00Z",
        "tenant": "alpha",
        "role": "trader",
        "refresh_token": f"apr_{number}",
        "refresh_until": "2036-03-08T12:00:00Z",
        "device": "apd_1",
        **changes,
    }


def contexts(home: Path) -> Path:
    return contexts_file(plain_environment(home))


def logged_in(home: Path, url: str, expires_at: datetime) -> None:
    known = Context(
        url,
        token="t.o.0",
        expires_at=write_time(expires_at),
        refresh_token="apr_0",
        user="ann@a.example",
        user_tenant="alpha",
        device="apd_0",
    )
    edit(contexts(home), lambda _: Contexts("ann", {"ann": known}))


def test_a_login_keeps_what_refreshes_it_and_what_this_machine_is_known_by(
    cli: RunCli, home: Path, scripted: ScriptedDaemon
) -> None:
    scripted.on("POST /auth/login", given(1), given(2, device="apd_2"))
    for _ in range(2):
        ended = cli("login", scripted.url, "--email", "Ann@a.example", "--password-stdin", stdin="secret\n")
        assert ended.code == 0, ended.err
        assert "apr_" not in ended.out + ended.err
        assert "apd_" not in ended.out + ended.err
    first, second = (json.loads(asked.body) for asked in scripted.asked)
    assert ("device" in first, second["device"]) == (False, "apd_1")
    (kept,) = load(contexts(home)).named.values()
    assert (kept.token, kept.refresh_token, kept.device) == ("t.o.2", "apr_2", "apd_2")
    assert contexts(home).stat().st_mode & 0o077 == 0


def test_a_logout_forgets_the_login_and_stays_a_known_machine(
    cli: RunCli, home: Path, scripted: ScriptedDaemon
) -> None:
    logged_in(home, scripted.url, SystemClock().now() + timedelta(hours=1))
    scripted.on("POST /auth/logout", {})
    assert cli("logout").code == 0
    (kept,) = load(contexts(home)).named.values()
    assert (kept.token, kept.refresh_token, kept.device) == ("", "", "apd_0")


@pytest.mark.parametrize("left", [timedelta(minutes=10), timedelta(hours=-5)], ids=["ending", "ended"])
def test_a_login_that_ends_is_refreshed_in_passing(
    cli: RunCli, home: Path, scripted: ScriptedDaemon, left: timedelta
) -> None:
    logged_in(home, scripted.url, SystemClock().now() + left)
    scripted.on("POST /auth/refresh", given(1, device=""))
    scripted.on("GET /auth/whoami", WHOAMI)
    assert cli("whoami").code == 0
    refresh, whoami = scripted.asked
    assert json.loads(refresh.body) == {"refresh_token": "apr_0"}
    assert "authorization" not in refresh.headers
    assert whoami.headers["authorization"] == "Bearer t.o.1"
    (kept,) = load(contexts(home)).named.values()
    assert (kept.token, kept.refresh_token, kept.device) == ("t.o.1", "apr_1", "apd_0")


def test_a_login_that_holds_is_not_refreshed(cli: RunCli, home: Path, scripted: ScriptedDaemon) -> None:
    logged_in(home, scripted.url, SystemClock().now() + timedelta(minutes=50))
    scripted.on("GET /auth/whoami", WHOAMI)
    assert cli("whoami").code == 0
    assert [asked.path for asked in scripted.asked] == ["/auth/whoami"]


def test_commands_at_the_same_time_refresh_once(home: Path, scripted: ScriptedDaemon) -> None:
    """A refresh token that is shown twice ends the login."""
    logged_in(home, scripted.url, SystemClock().now() + timedelta(minutes=1))
    used = Reply(401, {"code": "unauthenticated", "detail": "used before", "status": 401})
    scripted.on("POST /auth/refresh", given(1), used)
    scripted.on("GET /auth/whoami", WHOAMI)

    def ask(_: int) -> int:
        command = [sys.executable, "-c", ENTRY, "whoami"]
        return subprocess.run(
            command, env=plain_environment(home), capture_output=True, timeout=60, check=False
        ).returncode

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(4))) == [0, 0, 0, 0]
    assert [asked.path for asked in scripted.asked].count("/auth/refresh") == 1


def test_a_login_that_cannot_be_refreshed_asks_for_another(cli: RunCli, home: Path, scripted: ScriptedDaemon) -> None:
    logged_in(home, scripted.url, SystemClock().now() - timedelta(minutes=1))
    scripted.problem("POST /auth/refresh", 401, "unauthenticated", "the session has ended")
    ended = cli("whoami")
    assert (ended.code, "alphapulse login" in ended.err) == (4, True)


def test_a_code_is_given_in_advance_or_named_as_missing(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.problem("POST /auth/login", 400, "code_needed", "a code of your authenticator is needed")
    login = ("login", scripted.url, "--email", "ann@a.example", "--password-stdin")
    ended = cli(*login, stdin="secret\n")
    assert (ended.code, "--code" in ended.err) == (8, True)
    scripted.on("POST /auth/login", given())
    assert cli(*login, "--code", "123456", stdin="secret\n").code == 0
    assert json.loads(scripted.asked[-1].body)["code"] == "123456"


# -- against a real daemon -------------------------------------------------------------------------------------------


def newcomer(fleet: Fleet, name: str, role: Role = Role.VIEWER) -> str:
    """A new member's address."""
    known = load(contexts(fleet.home)).named
    email = f"{name}@demo.example"
    with Client(known["owner"].target()) as owner, Client(known["platform"].target()) as platform:
        link = owner.people.invite(email, role).link or ""
        platform.people.accept(link.partition("#")[2], PASSWORD, platform.people.policy().version)
    return email


def log_in(fleet: Fleet, email: str, context: str, *more: str) -> Ended:
    return fleet.run(
        "platform", "login", fleet.url, "--email", email, "--name", context, "--password-stdin", *more,
        stdin=f"{PASSWORD}\n",
    )  # fmt: skip


def test_a_second_factor_is_added_used_and_removed(fleet: Fleet) -> None:
    email = newcomer(fleet, "factor")
    before = load(contexts(fleet.home)).current
    assert log_in(fleet, email, "factor").code == 0
    edit(contexts(fleet.home), lambda known: Contexts(before, known.named))
    command = [sys.executable, "-c", ENTRY, "--context", "factor", "totp", "enable"]
    with subprocess.Popen(
        [*command, "--password-stdin", "--code-stdin", "--json"],
        env=plain_environment(fleet.home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{PASSWORD}\n")
        process.stdin.flush()
        authenticator = TOTP(json.loads(process.stdout.readline())["secret"])
        process.stdin.write(f"{authenticator.at(SystemClock().now())}\n")
        process.stdin.flush()
        codes = json.loads(process.stdout.readline())["codes"]
        assert process.wait(60) == 0
    assert fleet.json("factor", "totp", "status")["recovery_codes"] == 10
    refused = log_in(fleet, email, "factor")
    assert (refused.code, "--code" in refused.err) == (8, True)
    assert log_in(fleet, email, "factor", "--code", codes[0]).code == 0
    edit(contexts(fleet.home), lambda known: Contexts(before, known.named))
    renewed = fleet.run(
        "factor", "totp", "codes", "--password-stdin", "--code", codes[1], "--json", stdin=f"{PASSWORD}\n"
    )
    assert renewed.code == 0, renewed.err
    code = json.loads(renewed.out)["codes"][0]
    off = fleet.run("factor", "totp", "disable", "--password-stdin", "--code", code, stdin=f"{PASSWORD}\n")
    assert off.code == 0, off.err
    assert fleet.json("factor", "totp", "status")["confirmed_at"] is None


def test_sessions_are_listed_and_ended(fleet: Fleet) -> None:
    email = newcomer(fleet, "sessions")
    before = load(contexts(fleet.home)).current
    for name in ("here", "there"):
        assert log_in(fleet, email, name).code == 0
    edit(contexts(fleet.home), lambda known: Contexts(before, known.named))
    shown = fleet.json("here", "sessions", "list")
    assert [item["current"] for item in shown["items"]] == [False, True]
    assert all(item["program"].startswith("alphapulse") for item in shown["items"])
    assert fleet.json("owner", "sessions", "list", "--everyones")["items"]
    ended = fleet.json("here", "sessions", "revoke", "--others", "--yes")
    assert ended["ended"] == 1
    assert fleet.run("there", "whoami").code == 4
    assert fleet.run("here", "sessions", "revoke").code == 2


def test_keys_with_scopes_are_made_rotated_and_revoked(fleet: Fleet) -> None:
    made = fleet.json(
        "owner",
        "keys",
        "create",
        "report",
        "--role",
        "trader",
        "--scope",
        "orders.read",
        "--expires",
        "2036-01-01T00:00:00Z",
    )
    assert (made["scopes"], made["expires_at"]) == (["orders.read"], "2036-01-01T00:00:00Z")
    with Client(Target(fleet.url, made["key"])) as script:
        assert script.orders.list("demo", limit=1)
    next_one = fleet.json("owner", "keys", "rotate", made["id"], "--overlap", "0")
    assert next_one["replaces"] == made["id"]
    with Client(Target(fleet.url, made["key"])) as script, pytest.raises(Unauthenticated):
        script.orders.list("demo", limit=1)
    shown = fleet.run("owner", "keys", "list")
    assert "orders.read" in shown.out
    assert fleet.run("owner", "keys", "revoke", next_one["id"], "--yes").code == 0


def test_signing_keys_are_rotated_while_logins_go_on(fleet: Fleet) -> None:
    assert len(fleet.json("platform", "keys", "signing", "list")["items"]) == 1
    made = fleet.json("platform", "keys", "signing", "rotate")
    assert datetime.fromisoformat(made["active_from"]) > datetime(2026, 1, 1, tzinfo=UTC)
    assert len(fleet.json("platform", "keys", "signing", "list")["items"]) == 2
    assert fleet.run("viewer", "whoami").code == 0
    assert fleet.run("owner", "keys", "signing", "rotate").code == 6
