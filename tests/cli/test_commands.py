"""The table of commands against the commands themselves, and where options may stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alphapulse.cli.candidates import candidates
from alphapulse.cli.commands import COMMANDS
from alphapulse.cli.lazy import everywhere, real
from alphapulse.cli.values import ARGUMENTS, OPTIONS
from alphapulse.domain.orders import OrderStatus
from tests.cli.conftest import RunCli
from tests.cli.examples import order
from tests.cli.scripted import ScriptedDaemon


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_names_the_commands_that_exist(name: str) -> None:
    command = real(name)
    assert tuple(getattr(command, "commands", {})) == COMMANDS[name].names


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str) -> None:
    command = real(name)
    for inner in (command, *getattr(command, "commands", {}).values()):
        assert re.fullmatch(r"(?s)[A-Z].*\.", (inner.help or "").strip()), f"{name}: {inner.name}"


def test_help_lists_every_command_of_the_table(cli: RunCli) -> None:
    shown = cli("--help")
    assert shown.code == 0
    assert [name for name in COMMANDS if not re.search(rf"^│ {name} ", shown.out, re.MULTILINE)] == []


@pytest.mark.parametrize(
    "arguments",
    [["--json", "context", "list"], ["context", "--json", "list"], ["context", "list", "--json"]],
    ids=["before the group", "before the command", "after the command"],
)
def test_an_option_of_every_command_may_stand_anywhere(cli: RunCli, arguments: list[str]) -> None:
    shown = cli(*arguments)
    assert (shown.code, shown.out.split()) == (0, ["{", '"items":', "[],", '"next":', "null", "}"])


def test_the_last_word_on_an_option_wins(cli: RunCli) -> None:
    assert cli("--output", "table", "context", "list", "--output", "jsonl").out == ""


def test_single_commands_take_the_options_as_well(cli: RunCli) -> None:
    assert '"code": "unauthenticated"' in cli("--json", "whoami").err


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["or"], ["orders"]),
        (["orders", "ca"], ["cancel"]),
        (["orders", "place", "--lim"], ["--limit"]),
        (["--json", "funds", "config", "d"], ["diff"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["events", "tail", "--si"], ["--since"]),
        (["--conte"], ["--context"]),
        (["nonsense", ""], []),
        (["--output", ""], ["table", "json", "jsonl", "csv"]),
        (["--output", "json", "or"], ["orders"]),
        (["--tenant", "acme", "orders", "ca"], ["cancel"]),
        (["orders", "list", "--status", "part"], ["partially_filled"]),
        (["orders", "list", "--status", "li"], ["live"]),
        (["orders", "list", "--limit", ""], []),
        (["members", "invite", "a@b.example", "--role", "t"], ["tenant_admin", "trader"]),
        (["funds", "create", "--timeframe", "4"], ["4h"]),
        (["orders", "place", "BTC/USDT", "b"], ["buy"]),
    ],
)
def test_completion_offers_what_fits(words: list[str], offered: list[str]) -> None:
    assert candidates(words) == offered


@pytest.mark.parametrize("arguments", [["--context", ""], ["--tenant", ""], ["funds", "show", ""], ["--tenant", "f"]])
def test_completion_offers_nothing_where_no_daemon_is_known(arguments: list[str], home: Path) -> None:
    assert candidates(arguments, {"HOME": str(home)}) == []


def test_the_values_of_completion_belong_to_commands_and_options_that_exist() -> None:
    commands = {(name, *inner) for name, entry in COMMANDS.items() for inner in [(), *((one,) for one in entry.names)]}
    assert [path for path in ARGUMENTS if path[:2] not in commands] == []
    taken = {
        option
        for name in COMMANDS
        for inner in (real(name), *getattr(real(name), "commands", {}).values())
        for parameter in [*inner.params, *everywhere()]
        for option in parameter.opts
    }
    assert set(OPTIONS) <= taken


def test_help_names_arguments_and_numbers_in_plain_words(cli: RunCli) -> None:
    shown = cli("tenants", "create", "--help").out + cli("jobs", "list", "--help").out
    assert "tenants create [OPTIONS]" in shown
    assert "{" not in shown
    assert "range>" not in shown
    assert "diff [OPTIONS] FUND [FROM] [TO]" in cli("funds", "config", "diff", "--help").out
    assert "tenant_admin, trader or viewer" in cli("members", "invite", "--help", env={"COLUMNS": "80"}).out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_calls_the_program(cli: RunCli, shell: str) -> None:
    shown = cli("completion", shell)
    assert shown.code == 0
    assert "_ALPHAPULSE_COMPLETE" in shown.out


def test_bash_completes_with_the_script(cli: RunCli, home: object) -> None:
    import shutil
    import subprocess
    import sys
    from pathlib import Path

    bash, program = shutil.which("bash"), Path(sys.executable).with_name("alphapulse")
    if bash is None or not program.exists():
        pytest.skip("needs bash and the installed console script")
    script = cli("completion", "bash").out
    question = f"COMP_WORDS=({program} orders ex) COMP_CWORD=2; _alphapulse_completion; echo ${{COMPREPLY[@]}}"
    done = subprocess.run([bash, "-c", f"{script}\n{question}"], capture_output=True, text=True, check=True)
    assert done.stdout == "explain\n"


def test_an_orders_status_is_words_for_people_and_a_value_for_machines(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", {"items": [order(OrderStatus.PARTIALLY_FILLED)], "next": None})
    environment = {"ALPHAPULSE_URL": scripted.url, "ALPHAPULSE_API_KEY": "key"}
    assert " partially filled " in cli("orders", "list", env=environment).out
    assert '"status": "partially_filled"' in cli("orders", "list", "--json", env=environment).out
