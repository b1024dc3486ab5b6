"""Orders, fills and positions of several funds: which fund a row or an id belongs to, and cancelling all at once."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from alphapulse.domain.orders import Order, OrderStatus
from alphapulse.domain.portfolio import Holding
from tests.cli import examples
from tests.cli.conftest import Fleet, RunCli
from tests.cli.scripted import ScriptedDaemon

OTHER = UUID("00000000-0000-4000-8000-00000000beef")
FIRST, SECOND, THIRD = (UUID(f"1a2b3c4d-0000-4000-8000-00000000000{number}") for number in (1, 2, 3))
FUNDS = [examples.fund("demo"), replace(examples.fund("momentum"), id=OTHER)]


def at(scripted: ScriptedDaemon) -> dict[str, str]:
    return {"ALPHAPULSE_URL": scripted.url, "ALPHAPULSE_API_KEY": "ap_test_key"}


def page(*items: Any, following: str | None = None) -> dict[str, Any]:
    return {"items": list(items), "next": following}


def live(order_id: UUID, fund_id: UUID = examples.FUND_ID) -> Order:
    return replace(examples.order(OrderStatus.OPEN, order_id), fund_id=fund_id, filled_quantity=Decimal("0.05"))


def holding(fund_id: UUID) -> Holding:
    one = Decimal(1)
    return Holding(fund_id, "BTC/USDT", one, one, one, examples.AT, one, one, one, one)


def rows_of(route: str, fund_id: UUID) -> Any:
    match route:
        case "GET /orders":
            return live(FIRST, fund_id)
        case "GET /fills":
            return replace(examples.explanation().fills[0], fund_id=fund_id)
        case _:
            return holding(fund_id)


@pytest.mark.parametrize(
    ("name", "route"), [("orders", "GET /orders"), ("fills", "GET /fills"), ("positions", "GET /positions")]
)
def test_a_list_names_the_fund_of_each_row_as_soon_as_there_are_several(
    cli: RunCli, scripted: ScriptedDaemon, name: str, route: str
) -> None:
    scripted.on("GET /funds", page(*FUNDS))
    scripted.on(route, page(rows_of(route, examples.FUND_ID), rows_of(route, OTHER)), page(rows_of(route, OTHER)))
    heading, *rows = cli(name, "list", env=at(scripted)).out.splitlines()
    column = heading.index("FUND")
    assert [row[column:].split()[0] for row in rows] == ["demo", "momentum"]
    assert "FUND" not in cli(name, "list", env=at(scripted)).out


@pytest.mark.parametrize(("verb", "method"), [("show", "GET"), ("cancel", "POST"), ("explain", "GET")])
def test_the_last_order_is_that_of_the_fund_which_was_named(
    cli: RunCli, scripted: ScriptedDaemon, verb: str, method: str
) -> None:
    path = f"/orders/{FIRST}" if verb == "show" else f"/orders/{FIRST}/{verb}"
    scripted.on("GET /orders", page(live(FIRST)))
    scripted.on(f"{method} {path}", examples.explanation() if verb == "explain" else live(FIRST))
    ended = cli("orders", verb, "last", "--fund", "momentum", env=at(scripted))
    assert ended.code == 0, ended.err
    looked, acted = scripted.asked
    assert (looked.path, looked.query) == ("/orders", {"fund": "momentum", "limit": "1"})
    assert (acted.method, acted.path) == (method, path)


def test_every_live_order_of_every_page_is_cancelled_one_by_one(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", page(live(FIRST), live(SECOND, OTHER), following="c1"), page(live(THIRD)))
    scripted.on("GET /funds", page(*FUNDS))
    for order in (live(FIRST), live(SECOND, OTHER), live(THIRD)):
        scripted.on(f"POST /orders/{order.id}/cancel", replace(order, status=OrderStatus.CANCELLED))
    ended = cli("orders", "cancel", "--all", "--yes", env=at(scripted))
    assert ended.code == 0, ended.err
    asked = [(one.method, one.path) for one in scripted.asked]
    assert asked[:2] == [("GET", "/orders")] * 2, "all pages are read before the list shrinks"
    assert asked[2:5] == [("POST", f"/orders/{one}/cancel") for one in (FIRST, SECOND, THIRD)]
    first, second = scripted.asked[:2]
    assert (first.query["status"], second.query["status"], second.query["before"]) == ("live", "live", "c1")
    rows = [line.split() for line in ended.out.splitlines()[1:]]
    assert [(row[0], row[1], row[4], row[5]) for row in rows] == [
        (str(FIRST), "demo", "0.2", "cancelled"),
        (str(SECOND), "momentum", "0.2", "cancelled"),
        (str(THIRD), "demo", "0.2", "cancelled"),
    ]


def test_only_the_orders_of_the_named_fund_are_cancelled(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", page(live(FIRST)))
    scripted.on(f"POST /orders/{FIRST}/cancel", replace(live(FIRST), status=OrderStatus.CANCELLED))
    ended = cli("orders", "cancel", "--all", "--fund", "momentum", "--yes", "--quiet", env=at(scripted))
    assert (ended.code, ended.out) == (0, f"{FIRST}\n")
    assert scripted.asked[0].query["fund"] == "momentum"


def test_an_order_that_cannot_be_cancelled_fails_the_command_and_keeps_no_other(
    cli: RunCli, scripted: ScriptedDaemon
) -> None:
    scripted.on("GET /orders", page(live(FIRST), live(SECOND)))
    scripted.problem(f"POST /orders/{FIRST}/cancel", 503, "unavailable", "the venue is down")
    scripted.on(f"POST /orders/{SECOND}/cancel", replace(live(SECOND), status=OrderStatus.CANCELLED))
    ended = cli("orders", "cancel", "--all", "--yes", "--json", env=at(scripted))
    assert ended.code == 9
    done = json.loads(ended.out)["items"]
    assert [(item["order"]["status"], item["error"]) for item in done] == [
        ("open", "the venue is down"),
        ("cancelled", None),
    ]
    message = json.loads(ended.err)["error"]["message"]
    assert message == "1 of 2 orders could not be cancelled: the venue is down"


def test_an_order_that_was_filled_since_it_was_listed_is_no_failure(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", page(live(FIRST)))
    scripted.problem(f"POST /orders/{FIRST}/cancel", 409, "conflict", "it is filled already")
    scripted.on(f"GET /orders/{FIRST}", examples.order(OrderStatus.FILLED, FIRST), live(FIRST))
    ended = cli("orders", "cancel", "--all", "--yes", env=at(scripted))
    assert (ended.code, ended.out.splitlines()[1].split()[-2:]) == (0, ["filled", "-"])
    refused = cli("orders", "cancel", "--all", "--yes", env=at(scripted))
    assert (refused.code, "it is filled already" in refused.out) == (7, True)


def test_who_may_not_cancel_is_told_after_the_first_order(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", page(live(FIRST), live(SECOND)))
    scripted.problem(f"POST /orders/{FIRST}/cancel", 403, "forbidden", "viewers only read")
    ended = cli("orders", "cancel", "--all", "--yes", env=at(scripted))
    assert (ended.code, "2 of 2 orders could not be cancelled: viewers only read" in ended.err) == (6, True)
    assert [one.path for one in scripted.asked if one.method == "POST"] == [f"/orders/{FIRST}/cancel"]


def test_all_orders_are_not_cancelled_unasked(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", page(live(FIRST), live(SECOND)), page())
    ended = cli("orders", "cancel", "--all", "--fund", "demo", env=at(scripted))
    assert (ended.code, "Withdraw all 2 live orders of fund demo?" in ended.err) == (8, True)
    assert [one.method for one in scripted.asked] == ["GET"]
    none = cli("orders", "cancel", "--all", env=at(scripted))
    assert (none.code, none.out, none.err) == (0, "", "No order is live.\n")


@pytest.mark.parametrize("arguments", [[], ["last", "--all"]])
def test_one_order_or_all_of_them_must_be_meant(cli: RunCli, scripted: ScriptedDaemon, arguments: list[str]) -> None:
    ended = cli("orders", "cancel", *arguments, env=at(scripted))
    assert (ended.code, "which order?" in ended.err, scripted.asked) == (2, True, [])


def test_a_position_is_closed_at_the_limit_price_that_is_named(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("POST /positions/close", examples.order(OrderStatus.OPEN))
    close = ("positions", "close", "btc/usdt", "--fund", "demo")
    asked = cli(*close, "--limit", "65000.50", env=at(scripted))
    assert (asked.code, "Sell all BTC/USDT of fund demo at 65,000.50 or better?" in asked.err) == (8, True)
    for price in ("0", "-1", "dear"):
        refused = cli(*close, "--yes", "--limit", price, env=at(scripted))
        assert (refused.code, "limit_price" in refused.err) == (2, True)
    assert scripted.asked == []
    for limit in (["--limit", "65000.50"], []):
        assert cli(*close, "--yes", *limit, env=at(scripted)).code == 0
    bodies = [json.loads(one.body) for one in scripted.asked]
    sold = {"fund": "demo", "symbol": "BTC/USDT"}
    assert bodies == [{**sold, "limit_price": "65000.5"}, sold]


@pytest.mark.timeout(240)
def test_resting_orders_of_a_real_daemon_are_all_withdrawn(fleet: Fleet) -> None:
    last = fleet.run("trader", "market", "candles", "ETH/USDT", "--venue", "synthetic", "--limit", "1", "-q").out
    price = str(int(Decimal(last.strip()) * Decimal("0.95")))
    place = ("orders", "place", "ETH/USDT", "buy")
    placed = {fleet.json("trader", *place, amount, "--limit", price)["id"] for amount in ("0.01", "0.02")}
    listed = fleet.run("viewer", "orders", "list", "--status", "live", "-q").out.split()
    assert placed <= set(listed)
    assert fleet.run("viewer", "orders", "cancel", "--all", "--yes").code == 6
    done = fleet.json("trader", "orders", "cancel", "--all", "--fund", "demo", "--yes")["items"]
    assert placed <= {item["order"]["id"] for item in done}
    assert {(item["order"]["status"], item["error"]) for item in done} == {("cancelled", None)}
    assert fleet.run("viewer", "orders", "list", "--status", "live", "-q").out == ""


def test_the_whole_portfolio_names_the_fund_of_each_position(fleet: Fleet) -> None:
    shown = fleet.run("trader", "portfolio", "show").out
    assert "SYMBOL" in shown
    assert "FUND" not in shown  # one fund needs no column
    assert fleet.run("trader", "funds", "create", "second", "--venue", "synthetic", "--universe", "BTC/USDT").code == 0
    replayed = fleet.json("trader", "funds", "replay", "second", "--bars", "60")
    assert (replayed["state"], replayed["bars_done"]) == ("finished", 60)
    over = fleet.run("trader", "funds", "replay", "second", "--stop", replayed["id"])
    assert "finished already" in over.err
