"""Every way to end, as a script sees it."""

from __future__ import annotations

import json

import pytest

from alphapulse.domain.orders import OrderStatus
from tests.cli import examples
from tests.cli.conftest import RunCli
from tests.cli.scripted import Reply, ScriptedDaemon


def at(scripted: ScriptedDaemon) -> dict[str, str]:
    return {"ALPHAPULSE_URL": scripted.url, "ALPHAPULSE_API_KEY": "ap_test_key"}


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (409, "limit_breached", 1),
        (500, "misconfigured", 1),
        (502, "unknown_outcome", 1),
        (507, "storage_full", 1),
        (422, "invalid_input", 2),
        (413, "payload_too_large", 2),
        (401, "unauthenticated", 4),
        (404, "not_found", 5),
        (403, "forbidden", 6),
        (409, "conflict", 7),
        (409, "idempotency_mismatch", 7),
        (429, "too_many_requests", 9),
        (503, "unavailable", 9),
        (500, "defect", 70),
    ],
)
def test_an_error_of_the_daemon_has_its_exit_code(
    cli: RunCli, scripted: ScriptedDaemon, status: int, code: str, expected: int
) -> None:
    scripted.problem("GET /orders", status, code, "what happened", fix="what to do", request_id="req-7")
    ended = cli("orders", "list", "--json", env=at(scripted))
    error = json.loads(ended.err)["error"]
    assert (ended.code, ended.out) == (expected, "")
    assert (error["code"], error["request_id"]) == (code, "req-7")
    if code == "unauthenticated":  # only this side knows where the refused key came from
        assert error["message"].endswith("refuses the API key in the variable ALPHAPULSE_API_KEY")
    else:
        assert error["message"] == "what happened"
        assert error["fix"].startswith("what to do")


def test_success_ends_with_zero(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", {"items": [examples.order()], "next": None})
    ended = cli("orders", "list", "-q", env=at(scripted))
    assert (ended.code, ended.out, ended.err) == (0, f"{examples.ORDER_ID}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["orders", "plce"],
        ["orders", "place", "BTC/USDT", "buy", "-0.1"],
        ["orders", "place", "BTC/USDT", "hold", "1"],
        ["orders", "place", "BTC/USDT", "buy", "1e400"],
        ["orders", "place", "BTC/USDT", "buy", "0"],
        ["orders", "place", "BTC/USDT", "buy", "1", "--limit", "nan"],
        ["orders", "list", "--status", "lost"],
        ["--output", "yaml", "orders", "list"],
        ["context", "add", "x", "http://example.com"],
        ["risk", "halt", "--scope", "world", "--reason", "x"],
        ["orders"],
    ],
)
def test_a_command_line_that_is_wrong_ends_with_2_and_asks_no_daemon(
    cli: RunCli, scripted: ScriptedDaemon, arguments: list[str]
) -> None:
    ended = cli(*arguments, env=at(scripted))
    assert ended.code == 2
    assert ended.out == "" or arguments == ["orders"]
    assert scripted.asked == []


def test_a_negative_quantity_is_called_what_it_is(cli: RunCli) -> None:
    assert "a negative number is not accepted here" in cli("orders", "place", "BTC/USDT", "sell", "-2").err


def test_a_misspelled_command_is_met_with_the_right_one(cli: RunCli) -> None:
    assert "Did you mean 'place'?" in cli("orders", "plce").err


def test_drift_ends_with_3_and_still_prints_what_differs(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /portfolio/verify", {"drift": ["cash: stored=1 derived=2"]})
    ended = cli("portfolio", "verify", "--fund", "demo", env=at(scripted))
    assert ended.code == 3
    assert "cash: stored=1 derived=2" in ended.out


def test_without_any_daemon_known_a_login_is_needed(cli: RunCli) -> None:
    ended = cli("portfolio", "show")
    assert ended.code == 4
    assert "alphapulse daemon start" in ended.err


def test_a_daemon_that_is_not_running_means_try_again(cli: RunCli, scripted: ScriptedDaemon) -> None:
    ended = cli("orders", "list", env={"ALPHAPULSE_URL": "http://127.0.0.1:9", "ALPHAPULSE_API_KEY": "k"})
    assert ended.code == 9
    assert ended.err.startswith("error: no daemon answers at http://127.0.0.1:9\nfix: ")


def test_a_question_that_nobody_can_answer_ends_with_8(cli: RunCli, scripted: ScriptedDaemon) -> None:
    ended = cli("positions", "close", "BTC/USDT", "--fund", "demo", env=at(scripted))
    assert ended.code == 8
    assert "Add --yes" in ended.err
    assert scripted.asked == []


def test_yes_answers_the_question(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("POST /positions/close", examples.order())
    ended = cli("positions", "close", "btc/usdt", "--fund", "demo", "--yes", env=at(scripted))
    assert ended.code == 0
    assert json.loads(scripted.asked[-1].body) == {"fund": "demo", "symbol": "BTC/USDT"}


def test_a_login_without_a_terminal_names_the_option_to_use(cli: RunCli, scripted: ScriptedDaemon) -> None:
    ended = cli("login", scripted.url)
    assert (ended.code, "--email" in ended.err) == (8, True)


def test_a_denied_order_lists_every_denial(cli: RunCli, scripted: ScriptedDaemon) -> None:
    denials = ["PRICE_COLLAR: limit_price=1 last=61000", "QUANTITY_BELOW_MINIMUM: quantity=0.1 minimum=1"]
    scripted.problem("POST /trades", 409, "limit_breached", "the order was denied", denials=denials)
    ended = cli("orders", "place", "BTC/USDT", "buy", "0.1", "--limit", "1", "--fund", "demo", env=at(scripted))
    assert ended.code == 1
    assert all(f"  {denial}\n" in ended.err for denial in denials)


def test_an_order_whose_outcome_is_unknown_names_the_key_to_repeat_it_with(
    cli: RunCli, scripted: ScriptedDaemon
) -> None:
    scripted.on("POST /trades", Reply(hang_up=True))
    ended = cli(
        "orders", "place", "BTC/USDT", "buy", "1", "--fund", "demo", "--idempotency-key", "k-1", env=at(scripted)
    )
    assert ended.code == 9
    assert "--idempotency-key k-1" in ended.err
    assert [asked.headers["idempotency-key"] for asked in scripted.asked] == ["k-1"]


def test_a_bug_of_ours_ends_with_70_and_says_how_to_report_it(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", {"items": [{"id": 7}], "next": None})
    ended = cli("orders", "list", env=at(scripted))
    assert ended.code == 70
    assert "please report it" in ended.err


def test_a_reader_that_has_seen_enough_is_no_failure(home: object) -> None:
    import subprocess
    import sys
    from pathlib import Path

    from tests.cli.conftest import plain_environment

    entry = f"{sys.executable} -c 'from alphapulse.cli.main import run; import sys; sys.exit(run())' completion bash"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; ({entry}; echo $? >&2) | true"],
        env=plain_environment(Path(str(home))),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "0\n"


def test_an_interruption_ends_with_130(home: object, scripted: ScriptedDaemon) -> None:
    import signal
    import subprocess
    import sys
    import threading
    from pathlib import Path

    from tests.cli.conftest import plain_environment

    log = Path(str(home)) / "daemon.log"
    log.write_text('{"event": "up"}\n')
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from alphapulse.cli.main import run; import sys; sys.exit(run())",
            "daemon",
            "logs",
            "--follow",
            "--data-directory",
            str(home),
        ],
        env=plain_environment(Path(str(home))),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    try:
        assert process.stdout.readline() == '{"event": "up"}\n'
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    finally:
        watchdog.cancel()
    assert (process.returncode, err) == (130, "interrupted\n")


def test_orders_are_found_by_the_first_characters_of_their_id(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", {"items": [examples.order(OrderStatus.OPEN)], "next": None})
    scripted.on(f"POST /orders/{examples.ORDER_ID}/cancel", examples.order(OrderStatus.CANCELLED))
    for text in ("1a2b", "last", str(examples.ORDER_ID)):
        ended = cli("orders", "cancel", text, env=at(scripted))
        assert (ended.code, "cancelled" in ended.out) == (0, True)
    assert cli("orders", "cancel", "ffff", env=at(scripted)).code == 5
    assert cli("orders", "cancel", "no id", env=at(scripted)).code == 2
