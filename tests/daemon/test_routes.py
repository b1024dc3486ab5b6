"""The main line through every route: a fund from its candles to its explained order, each answer read as its type."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from alphapulse.domain.audit import ChainedEvent
from alphapulse.domain.decisions import Decision, Explanation
from alphapulse.domain.events import Event
from alphapulse.domain.funds import ConfigVersion, Fund, Replay
from alphapulse.domain.jobs import JobRecord, ScheduleEntry
from alphapulse.domain.market import Bar, Gap, ImportReport, Instrument, SeriesInfo
from alphapulse.domain.orders import FillRecord, Order
from alphapulse.domain.portfolio import EquityPoint, Holding, Performance, PortfolioSummary
from alphapulse.domain.risk import Halt
from alphapulse.domain.signals import AgentInfo, Signal
from alphapulse.domain.tenancy import ApiKey, Member, Role, Tenant
from alphapulse.domain.wire import decode
from tests.daemon.house import VENUE, House

SYMBOL = "BTC/USDT"
SERIES = f"venue=bench&symbol={SYMBOL}&timeframe=4h"


def candles(bars: int = 60) -> bytes:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [f"{start + n * timedelta(hours=4):%Y-%m-%dT%H:%M:%SZ},100,101,99,100.5,1000" for n in range(bars) if n != 7]
    return "\n".join(["time,open,high,low,close,volume", *rows]).encode()


class Desk:
    """A trader's hands: asks, and reads the answers as what they should be."""

    def __init__(self, house: House, headers: dict[str, str]) -> None:
        self.house = house
        self.headers = headers

    async def one(self, kind: type, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        answer = await self.house.ask(method, path, body, headers={**self.headers, **headers})
        assert answer.status_code == status, (path, answer.text)
        return decode(kind, answer.json())

    async def list(self, kind: type, path: str) -> list[Any]:
        answer = await self.house.ask("GET", path, headers=self.headers)
        assert answer.status_code == 200, (path, answer.text)
        return [decode(kind, item) for item in answer.json()["items"]]


async def traded(house: House) -> Desk:
    """A desk whose fund ``momentum`` trades imported candles by hand."""
    imported = await house.http.post(
        "/market/candles?filename=bench_BTC-USDT_4h.csv", content=candles(), headers=house.platform
    )
    assert imported.status_code == 200, imported.text
    report = decode(ImportReport, imported.json())
    assert (report.rows, report.added, len(report.gaps)) == (59, 59, 1)
    desk = Desk(house, await house.as_(Role.TRADER))
    await house.fund(desk.headers, venue="bench", universe=[SYMBOL])
    return desk


async def test_candles_are_imported_and_shown(house: House) -> None:
    desk = await traded(house)
    (series,) = await desk.list(SeriesInfo, "/market/series")
    assert series.bars == 59
    bars = await desk.list(Bar, f"/market/candles?{SERIES}&limit=5")
    assert len(bars) == 5
    assert [gap.bars for gap in await desk.list(Gap, f"/market/gaps?{SERIES}")] == [1]
    assert [found.symbol for found in await desk.list(Instrument, "/market/instruments?venue=bench")] == [SYMBOL]


async def test_a_bad_cell_is_refused_with_file_and_line_and_nothing_is_imported(house: House) -> None:
    text = candles().replace(b"100.5", b"oops", 1)
    answer = await house.http.post(
        "/market/candles?filename=bench_BTC-USDT_4h.csv", content=text, headers=house.platform
    )
    assert answer.status_code == 422
    assert "bench_BTC-USDT_4h.csv" in answer.json()["detail"]
    assert await Desk(house, await house.as_(Role.VIEWER)).list(SeriesInfo, "/market/series") == []


async def test_an_order_goes_from_its_request_to_the_books_and_is_explained(house: House) -> None:
    desk = await traded(house)
    body = {"fund": "momentum", "symbol": SYMBOL, "side": "buy", "quantity": "2"}
    placed = await desk.one(Order, "POST", "/trades", body, 201, **{"Idempotency-Key": "k1"})
    again = await desk.one(Order, "POST", "/trades", body, 200, **{"Idempotency-Key": "k1"})
    assert (again.id, again.status) == (placed.id, placed.status)
    other = await house.ask(
        "POST", "/trades", {**body, "quantity": "3"}, headers={**desk.headers, "Idempotency-Key": "k1"}
    )
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
    assert [order.id for order in await desk.list(Order, "/orders?fund=momentum&status=filled")] == [placed.id]
    assert (await desk.one(Order, "GET", f"/orders/{placed.id}")).filled_quantity == 2
    explained = await desk.one(Explanation, "GET", f"/orders/{placed.id}/explain")
    assert explained.checks
    assert len(await desk.list(FillRecord, f"/fills?order={placed.id}")) == 1
    (holding,) = await desk.list(Holding, "/positions?fund=momentum")
    assert holding.quantity == 2
    for path in ("/portfolio", "/portfolio?fund=momentum"):
        assert (await desk.one(PortfolioSummary, "GET", path)).positions[0].symbol == SYMBOL
    closed = await desk.one(
        Order, "POST", "/positions/close", {"fund": "momentum", "symbol": SYMBOL}, 201, **{"Idempotency-Key": "k2"}
    )
    assert closed.request.side == "sell"
    assert await desk.list(Holding, "/positions") == []
    drift = await house.ask("GET", "/portfolio/verify?fund=momentum", headers=desk.headers)
    assert drift.json() == {"drift": []}
    kinds = [event.kind for event in await desk.list(Event, "/events?limit=1000")]
    assert "fund.created" in kinds
    assert "fill.booked" in kinds


async def test_a_denied_order_names_every_limit_and_stays_readable(house: House) -> None:
    desk = await traded(house)
    body = {"fund": "momentum", "symbol": SYMBOL, "side": "buy", "quantity": "100000"}
    answer = await house.ask("POST", "/trades", body, headers={**desk.headers, "Idempotency-Key": "big"})
    assert (answer.status_code, answer.json()["code"]) == (409, "limit_breached")
    codes = {line.partition(":")[0] for line in answer.json()["denials"]}
    assert {"NOTIONAL_EXCEEDS_MAX_PER_ORDER", "NOTIONAL_EXCEEDS_FREE_BALANCE"} <= codes
    (denied,) = await desk.list(Order, "/orders?status=denied")
    assert set(denied.denials) == set(answer.json()["denials"])


async def test_a_resting_order_is_cancelled_once(house: House) -> None:
    desk = await traded(house)
    body = {"fund": "momentum", "symbol": SYMBOL, "side": "buy", "quantity": "1", "limit_price": "95"}
    placed = await desk.one(Order, "POST", "/trades", body, 201, **{"Idempotency-Key": "rest"})
    assert placed.status == "open"
    assert (await desk.one(Order, "POST", f"/orders/{placed.id}/cancel", {})).status == "cancelled"
    again = await house.ask("POST", f"/orders/{placed.id}/cancel", headers=desk.headers)
    assert again.status_code == 409


async def test_a_funds_configuration_is_versioned(house: House) -> None:
    desk = await traded(house)
    fund = await desk.one(Fund, "GET", "/funds/momentum")
    assert [found.id for found in await desk.list(Fund, "/funds")] == [fund.id]
    name = (await desk.list(AgentInfo, "/agents"))[0].name
    assert (await desk.one(AgentInfo, "GET", f"/agents/{name}")).name == name
    changed = await desk.one(Fund, "POST", "/agents/config", {"fund": "momentum", "agent": name, "weight": 3})
    assert changed.config_version == 2
    stored = await house.ask("GET", "/funds/momentum/configs/1", headers=desk.headers)
    back = await desk.one(Fund, "PUT", "/funds/momentum/config", stored.json()["config"])
    assert back.config_version == 3
    assert (await desk.one(Fund, "POST", "/funds/momentum/rollback", {"version": 2})).config_version == 4
    assert [found.version for found in await desk.list(ConfigVersion, "/funds/momentum/configs")] == [4, 3, 2, 1]
    assert (await desk.one(Fund, "POST", f"/funds/{fund.id}/start")).state == "running"
    assert (await desk.one(Fund, "POST", f"/funds/{fund.id}/stop")).state == "stopped"


async def test_a_plan_is_shown_and_changes_nothing(house: House) -> None:
    desk = await traded(house)
    plan = await desk.one(Decision, "GET", "/portfolio/plan?fund=momentum")
    assert [view.symbol for view in plan.symbols] == [SYMBOL]
    assert await desk.list(Decision, "/decisions?fund=momentum") == []
    assert await desk.list(Order, "/orders") == []


async def test_a_replay_is_queued_as_a_job_and_shown(house: House) -> None:
    desk = await traded(house)
    replay = await desk.one(Replay, "POST", "/funds/momentum/replays", {"bars": 5}, 201)
    assert (await desk.one(Replay, "GET", f"/funds/momentum/replays/{replay.id}")).bars_total == 5
    admin = Desk(house, await house.as_(Role.TENANT_ADMIN))
    (job,) = await admin.list(JobRecord, "/jobs?name=replay")
    assert job.arguments["replay_id"] == str(replay.id)
    tenant = await house.services.tenancy.get_tenant("acme")
    await house.services.replays.run(tenant.id, replay.id)
    assert (await desk.one(Replay, "GET", f"/funds/momentum/replays/{replay.id}")).state == "finished"
    assert len(await desk.list(EquityPoint, "/portfolio/history?fund=momentum")) == 5
    assert len(await desk.list(Decision, "/decisions?fund=momentum")) == 5
    assert (await desk.one(Performance, "GET", "/portfolio/performance?fund=momentum")).ledger_balanced
    assert await desk.list(Signal, "/agents/signals?limit=5") == []


async def test_live_orders_are_those_that_may_still_trade(house: House) -> None:
    desk = await traded(house)
    body = {"fund": "momentum", "symbol": SYMBOL, "side": "buy", "quantity": "1"}
    filled = await desk.one(Order, "POST", "/trades", body, 201, **{"Idempotency-Key": "a"})
    limited = {**body, "limit_price": "95"}
    resting, withdrawn = [
        await desk.one(Order, "POST", "/trades", {**limited, "quantity": amount}, 201, **{"Idempotency-Key": amount})
        for amount in ("1", "2")
    ]
    await desk.one(Order, "POST", f"/orders/{withdrawn.id}/cancel")
    large = await desk.one(Order, "POST", "/trades", {**body, "quantity": "300"}, 201, **{"Idempotency-Key": "b"})
    assert (filled.status, resting.status, large.status) == ("filled", "open", "partially_filled")
    for query in ("", "&fund=momentum"):
        found = await desk.list(Order, f"/orders?status=live{query}")
        assert [order.id for order in found] == [large.id, resting.id]
    refused = await house.ask("GET", "/orders?status=alive", headers=desk.headers)
    assert (refused.status_code, "live" in refused.json()["fix"]) == (422, True)


async def test_a_position_is_closed_at_a_limit_price_through_the_same_checks(house: House) -> None:
    desk = await traded(house)
    order = {"fund": "momentum", "symbol": SYMBOL, "side": "buy", "quantity": "2"}
    await desk.one(Order, "POST", "/trades", order, 201, **{"Idempotency-Key": "a"})
    close = {"fund": "momentum", "symbol": SYMBOL}
    far = await house.ask(
        "POST",
        "/positions/close",
        {**close, "limit_price": "200"},
        headers={**desk.headers, "Idempotency-Key": "b"},
    )
    assert (far.status_code, far.json()["denials"][0].partition(":")[0]) == (409, "PRICE_COLLAR")
    at_limit = {**close, "limit_price": "105"}
    resting = await desk.one(Order, "POST", "/positions/close", at_limit, 201, **{"Idempotency-Key": "c"})
    request = resting.request
    assert (request.type, request.limit_price, request.quantity, resting.status) == ("limit", 105, 2, "open")
    again = await desk.one(Order, "POST", "/positions/close", at_limit, 200, **{"Idempotency-Key": "c"})
    assert again.id == resting.id
    for body in (close, {**close, "limit_price": "104"}):
        other = await house.ask("POST", "/positions/close", body, headers={**desk.headers, "Idempotency-Key": "c"})
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
    for price in (105, "0", "-1"):
        wrong = await house.ask(
            "POST",
            "/positions/close",
            {**close, "limit_price": price},
            headers={**desk.headers, "Idempotency-Key": "d"},
        )
        assert wrong.status_code == 422


@pytest.mark.parametrize(("venue", "clock"), [("bench", "catalogue"), (VENUE, "wall")])
async def test_an_order_by_hand_is_judged_by_the_clock_of_its_venue(house: House, venue: str, clock: str) -> None:
    desk = await traded(house)
    await house.fund(desk.headers, "second", venue=venue, universe=[SYMBOL])
    body = {"fund": "second", "symbol": SYMBOL, "side": "buy", "quantity": "0.1"}
    placed = await desk.one(Order, "POST", "/trades", body, 201, **{"Idempotency-Key": "a"})
    checks = (await desk.one(Explanation, "GET", f"/orders/{placed.id}/explain")).checks
    (stale,) = (check for check in checks if check.code == "STALE_MARKET_DATA")
    assert stale.detail.endswith(f" clock={clock}")


async def test_a_halt_stops_orders_until_it_is_lifted(house: House) -> None:
    desk = await traded(house)
    body = {"scope": "fund", "fund": "momentum", "reason": "drill"}
    await desk.one(Halt, "POST", "/risk/halt", body, 201)
    assert [halt.reason for halt in await desk.list(Halt, "/risk/halts")] == ["drill"]
    order = {"fund": "momentum", "symbol": SYMBOL, "side": "buy", "quantity": "1"}
    answer = await house.ask("POST", "/trades", order, headers={**desk.headers, "Idempotency-Key": "a"})
    assert answer.status_code == 409
    assert any(line.startswith("TRADING_HALTED") for line in answer.json()["denials"])
    refused = await house.ask("POST", "/risk/resume", body, headers=desk.headers)
    assert refused.status_code == 403
    admin = Desk(house, await house.as_(Role.TENANT_ADMIN))
    await admin.one(Halt, "POST", "/risk/resume", body)
    await desk.one(Order, "POST", "/trades", order, 201, **{"Idempotency-Key": "b"})


async def test_tenants_members_and_keys(house: House) -> None:
    platform = Desk(house, house.platform)
    body = {"slug": "third", "name": "Third", "admin_email": "ada@third.example"}
    made = await platform.one(Tenant, "POST", "/tenants", body, 201)
    assert [tenant.slug for tenant in await platform.list(Tenant, "/tenants")] == ["acme", "rival", "third"]
    assert (await platform.one(Tenant, "GET", "/tenants/third")).id == made.id
    assert (await house.ask("POST", "/tenants", body, headers=house.platform)).json()["code"] == "already_exists"
    admin = Desk(house, await house.as_(Role.TENANT_ADMIN))
    assert len(await admin.list(Member, "/members")) == 3
    key = await admin.one(ApiKey, "POST", "/keys", {"name": "report", "role": "trader"}, 201)
    assert [found.id for found in await admin.list(ApiKey, "/keys")] == [key.id]
    chain = await admin.list(ChainedEvent, "/audit?limit=2&action=keys.create")
    assert [row.event.action for row in chain] == ["keys.create"]


async def test_the_audit_log_is_read_page_by_page(house: House) -> None:
    admin = await house.as_(Role.TENANT_ADMIN)
    for _ in range(5):
        await house.ask("GET", "/funds", headers=admin)
    seen: list[int] = []
    query = "/audit?limit=2&action=funds.listed"
    page: dict[str, Any] = {"next": "first"}
    while page["next"]:
        page = (await house.ask("GET", query, headers=admin)).json()
        seen += [item["sequence"] for item in page["items"]]
        query = f"/audit?limit=2&action=funds.listed&before={page['next']}"
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5


async def test_the_schedule_is_paused_resumed_and_run_by_the_platform(house: House) -> None:
    platform = Desk(house, house.platform)
    first = (await platform.list(ScheduleEntry, "/jobs/schedule"))[0]
    assert (await platform.one(ScheduleEntry, "POST", f"/jobs/{first.name}/pause")).paused
    assert not (await platform.one(ScheduleEntry, "POST", f"/jobs/{first.name}/resume")).paused
    job = await platform.one(JobRecord, "POST", f"/jobs/{first.name}/run", None, 201)
    assert job.id in {found.id for found in await platform.list(JobRecord, "/jobs")}
    assert (await house.ask("POST", f"/jobs/{job.id}/retry", headers=house.platform)).status_code == 409
    assert (await house.ask("POST", f"/jobs/{uuid4()}/retry", headers=house.platform)).status_code == 404
    assert (await house.ask("POST", "/jobs/nonsense/run", headers=house.platform)).status_code == 404


async def test_the_version_is_told(house: House) -> None:
    assert "version" in (await house.ask("GET", "/version")).json()
