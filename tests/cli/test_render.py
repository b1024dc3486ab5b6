"""What is printed, in every form."""

from __future__ import annotations

import csv
import io
import json

import pytest

from alphapulse.cli.render import Column, Format, Output, clean, show_failure
from alphapulse.errors import InvalidInput, LimitBreached, Unavailable
from tests.cli import examples
from tests.cli.conftest import RunCli
from tests.cli.scripted import ScriptedDaemon

Thing = dict[str, object]
THINGS: list[Thing] = [
    {"name": "a", "worth": "1.5", "at": {"venue": "x", "odd": None}, "tags": [1, 2]},
    {"name": "=cmd()", "worth": "-2", "at": {"venue": "y, z"}},
]
COLUMNS = [
    Column[Thing]("NAME", lambda item: str(item["name"])),
    Column[Thing]("WORTH", lambda item: str(item["worth"]), right=True),
]


def printed(capsys: pytest.CaptureFixture[str], form: Format, *, quiet: bool = False) -> str:
    Output(form, quiet=quiet).rows(THINGS, COLUMNS, key=lambda item: str(item["name"]), following="n")
    return capsys.readouterr().out


def test_a_table_without_a_terminal_is_aligned_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, Format.TABLE) == "NAME    WORTH\na         1.5\n=cmd()   -2\n"


def test_json_is_the_apis_own_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(printed(capsys, Format.JSON)) == {"items": THINGS, "next": "n"}


def test_jsonl_is_one_item_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert [json.loads(line) for line in printed(capsys, Format.JSONL).splitlines()] == THINGS


def test_csv_has_every_field_and_no_formula(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(capsys, Format.CSV))))
    assert rows == [
        {"name": "a", "worth": "1.5", "at.venue": "x", "at.odd": "", "tags": "[1, 2]"},
        {"name": "'=cmd()", "worth": "-2", "at.venue": "y, z", "at.odd": "", "tags": ""},
    ]


def test_quiet_prints_names_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, Format.JSON, quiet=True) == "a\n=cmd()\n"


def test_an_empty_list_is_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Output().rows([], COLUMNS, key=str, empty="Nothing here.")
    assert capsys.readouterr() == ("", "Nothing here.\n")


def test_a_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    things: list[Thing] = [{"name": "\x1b[2Jx", "worth": "1"}]
    Output().rows(things, COLUMNS, key=str)
    assert "\x1b" not in capsys.readouterr().out
    assert clean("é ✓ 日本") == "é ✓ 日本"


def test_a_failure_is_one_line_and_its_fix(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_failure(InvalidInput("quantity: too small", fix="Use more."), as_json=False) == 2
    assert capsys.readouterr() == ("", "error: quantity: too small\nfix: Use more.\n")


def test_a_failure_that_may_pass_names_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_failure(Unavailable("no database", request_id="r-1"), as_json=False) == 9
    assert "request: r-1" in capsys.readouterr().err


def test_a_failure_in_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    show_failure(LimitBreached("denied", denials=("A: b=1",)), as_json=True)
    assert json.loads(capsys.readouterr().err) == {
        "error": {
            "code": "limit_breached",
            "message": "denied",
            "fix": "",
            "retryable": False,
            "request_id": "",
            "denials": ["A: b=1"],
        }
    }


def test_what_is_not_in_the_tree_is_our_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_failure(ZeroDivisionError("x"), as_json=False) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
@pytest.mark.parametrize(
    ("arguments", "route", "body"),
    [
        (["orders", "list"], "GET /orders", {"items": [examples.order()], "next": None}),
        (["orders", "show", str(examples.ORDER_ID)], f"GET /orders/{examples.ORDER_ID}", examples.order()),
        (
            ["orders", "explain", str(examples.ORDER_ID)],
            f"GET /orders/{examples.ORDER_ID}/explain",
            examples.explanation(),
        ),
        (["portfolio", "plan", "--fund", "demo"], "GET /portfolio/plan", examples.decision()),
        (["funds", "list"], "GET /funds", {"items": [examples.fund()], "next": None}),
    ],
)
def test_every_form_of_every_answer_is_data_without_colour(
    cli: RunCli, scripted: ScriptedDaemon, form: str, arguments: list[str], route: str, body: object
) -> None:
    scripted.on(route, body)
    ended = cli(*arguments, "--output", form, env={"ALPHAPULSE_URL": scripted.url, "ALPHAPULSE_API_KEY": "k"})
    assert (ended.code, ended.err) == (0, "")
    assert "\x1b" not in ended.out
    if form == "json":
        json.loads(ended.out)
    elif form == "jsonl":
        assert len([json.loads(line) for line in ended.out.splitlines()]) == 1
    elif form == "csv":
        assert len(list(csv.reader(io.StringIO(ended.out)))) == 2
    else:
        assert "BTC/USDT" in ended.out or "BTC" in ended.out
