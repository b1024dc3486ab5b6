"""How often who may ask what, through the routes: who is refused, who never is, and what holds without Valkey."""

from __future__ import annotations

import json
import tomllib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.daemon.limits import ORDERS, RESERVED, line_of
from alphapulse.domain.plans import Tier
from alphapulse.domain.tenancy import Role
from alphapulse.packaged import packaged_config
from alphapulse.settings import load
from alphapulse.tenancy.plans import load_plans
from tests.daemon.house import House, listening, open_house
from tests.daemon.test_routes import SYMBOL, traded
from tests.daemon.waiting import eventually
from tests.rates import GENEROUS
from tests.valkey import valkey


@pytest.fixture
def opened(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> Any:
    @asynccontextmanager
    async def open_with(slugs: tuple[str, ...] = ("acme",), **more: Any) -> AsyncGenerator[House]:
        rates = {**GENEROUS, **more.pop("rates", {})}
        async with open_house(database, urls, tmp_path, rates=rates, **more) as house:
            for slug in slugs:
                await house.tenant(slug)
            yield house

    return open_with


async def statuses(house: House, times: int, path: str = "/funds", method: str = "GET", **headers: str) -> list[int]:
    return [(await house.ask(method, path, headers=headers)).status_code for _ in range(times)]


async def test_every_answer_says_what_is_left_and_a_refusal_when_to_come_again(opened: Any) -> None:
    async with opened(rates={"tenant": 5}) as house:
        headers = await house.as_(Role.TRADER)
        first = await house.ask("GET", "/funds", headers=headers)
        assert first.headers["ratelimit-limit"] == "5"
        assert first.headers["ratelimit-remaining"] == "4"
        assert first.headers["ratelimit-reset"] == "12"
        assert first.headers["ratelimit-policy"] == "5;w=60"
        assert await statuses(house, 5, **headers) == [200, 200, 200, 200, 429]
        refused = await house.ask("GET", "/funds", headers=headers)
        assert refused.json()["code"] == "too_many_requests"
        assert refused.json()["retryable"] is True
        assert 1 <= int(refused.headers["retry-after"]) <= 12
        assert refused.headers["ratelimit-remaining"] == "0"


async def test_one_tenant_spends_nothing_of_anothers_and_all_members_share(opened: Any) -> None:
    async with opened(("acme", "rival"), rates={"tenant": 4}) as house:
        trader, viewer = await house.as_(Role.TRADER), await house.as_(Role.VIEWER)
        rival = await house.as_(Role.TRADER, "rival")
        assert await statuses(house, 3, **trader) == [200] * 3
        assert await statuses(house, 2, **viewer) == [200, 429]
        assert await statuses(house, 2, **rival) == [200] * 2


async def test_all_tenants_together_have_a_limit_and_the_platforms_admin_has_its_own(opened: Any) -> None:
    async with opened(("acme", "rival"), rates={"together": 5}) as house:
        acme, rival = await house.as_(Role.TRADER), await house.as_(Role.TRADER, "rival")
        assert await statuses(house, 3, **acme) == [200] * 3
        assert await statuses(house, 3, **rival) == [200, 200, 429]
        assert await statuses(house, 2, **await house.as_(Role.PLATFORM_ADMIN)) == [200] * 2


def test_a_tenant_has_100_requests_a_minute_and_all_together_1000_unless_somebody_says_otherwise() -> None:
    plans = load_plans(tomllib.loads((packaged_config() / "plans.toml").read_text(encoding="utf-8")))
    rates = load().rates
    assert plans[Tier.STARTER].limits.requests_per_minute == 100
    assert (rates.tenant, rates.together) == (None, 1_000)


async def test_without_a_setting_the_tier_decides(opened: Any) -> None:
    async with opened(rates={"tenant": None}) as house:
        answer = await house.ask("GET", "/funds", headers=await house.as_(Role.VIEWER))
        tenant = (await house.ask("GET", "/tenants/acme", headers=house.platform)).json()
        plans = house.services.plans
        assert answer.headers["ratelimit-limit"] == str(plans.of_tier[tenant["tier"]].limits.requests_per_minute)


async def test_what_reduces_risk_passes_a_spent_budget_and_new_risk_does_not(opened: Any) -> None:
    async with opened(rates={"tenant": 200}) as house:
        desk = await traded(house)
        order = {"fund": "momentum", "symbol": SYMBOL, "side": "buy", "quantity": "2"}

        async def ask(method: str, path: str, body: Any, key: str = "") -> int:
            headers = {**desk.headers, **({"Idempotency-Key": key} if key else {})}
            return (await house.ask(method, path, body, headers=headers)).status_code

        assert await ask("POST", "/trades", order, "bought") == 201
        resting = {**order, "limit_price": "95"}
        placed = await house.ask("POST", "/trades", resting, headers={**desk.headers, "Idempotency-Key": "rests"})
        while (await house.ask("GET", "/funds", headers=desk.headers)).status_code == 200:
            pass
        assert await ask("POST", "/trades", order, "more") == 429
        assert await ask("POST", "/funds/momentum/start", None) == 429
        assert await ask("POST", f"/orders/{placed.json()['id']}/cancel", {}) == 200
        assert await ask("POST", "/trades", {**order, "side": "sell", "quantity": "1"}, "sold") == 201
        assert await ask("POST", "/positions/close", {"fund": "momentum", "symbol": SYMBOL}, "closed") == 201
        assert await ask("POST", "/risk/halt", {"scope": "tenant", "reason": "enough"}) == 201


async def test_a_flood_of_one_way_to_reduce_leaves_the_halt_alone(opened: Any) -> None:
    async with opened(rates={"reserved": 2}) as house:
        headers = await house.as_(Role.TRADER)
        assert (await statuses(house, 4, "/funds/none/stop", "POST", **headers))[2:] == [429, 429]
        halt = {"scope": "tenant", "reason": "enough"}
        assert (await house.ask("POST", "/risk/halt", halt, headers=headers)).status_code == 201


async def test_strangers_are_limited_by_address_and_members_behind_it_are_not(opened: Any) -> None:
    async with opened(rates={"address": 3}) as house:
        headers = await house.as_(Role.VIEWER)
        assert await statuses(house, 2) == [401, 401]
        assert await statuses(house, 1, "/nowhere") == [404]
        assert await statuses(house, 2) == [429, 429]
        assert await statuses(house, 2, "/nowhere", Authorization="Bearer guess") == [429, 429]
        assert await statuses(house, 2, Authorization="Bearer guess") == [429, 429]
        assert await statuses(house, 2, **headers) == [200, 200]
        assert await statuses(house, 2, "/health/live") == [200, 200]


async def test_streams_count_as_reads_and_those_of_strangers_by_address(opened: Any) -> None:
    async with opened(rates={"tenant": 2, "address": 1}) as house, listening(house) as netloc:
        headers = await house.as_(Role.VIEWER)
        assert await statuses(house, 1, **headers) == [200]

        async def first_said(**extra: str) -> dict[str, Any]:
            async with connect(f"ws://{netloc}/ws", additional_headers=extra) as socket:
                with suppress(ConnectionClosed):  # the refusal may come before anything is asked
                    await socket.send(json.dumps({"type": "auth", "token": "guess"}))
                return json.loads(await socket.recv())

        assert (await first_said(**headers))["type"] == "authenticated"
        assert (await first_said(**headers))["code"] == "too_many_requests"
        assert (await first_said())["code"] == "unauthenticated"
        assert (await first_said())["code"] == "too_many_requests"


async def test_log_ins_are_limited_by_address(opened: Any) -> None:
    async with opened(rates={"login": 2}) as house:
        body = {"email": "trader@acme.example", "password": "not the password"}
        codes = [(await house.ask("POST", "/auth/login", body)).status_code for _ in range(3)]
        assert codes == [401, 401, 429]


async def test_two_daemons_on_one_valkey_share_one_budget(
    opened: Any, database: Any, urls: Any, tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"rates": {**GENEROUS, "tenant": 6}, "limits": "redis"}
    with valkey() as server:
        async with (
            opened(redis_url=server.url, **shared) as one,
            open_house(database, urls, tmp_path / "other", redis_url=server.url, **shared) as other,
        ):
            key = {"name": "script", "role": "trader"}
            made = await one.ask("POST", "/keys", key, headers=await one.as_(Role.TENANT_ADMIN))
            assert made.status_code == 201, made.text
            script = {"Authorization": f"Bearer {made.json()['key']}"}
            found = [
                status for _ in range(3) for house in (one, other) for status in await statuses(house, 1, **script)
            ]
            assert found == [200] * 5 + [429]


async def test_without_valkey_reads_stay_open_orders_fall_to_a_local_budget_and_log_ins_are_refused(
    opened: Any,
) -> None:
    with valkey() as server:
        rates = {"local": 2}
        async with opened(redis_url=server.url, limits="redis", cache="redis", rates=rates) as house:
            desk = await traded(house)
            server.stop()
            order = {"fund": "momentum", "symbol": SYMBOL, "side": "buy", "quantity": "1"}

            async def place(key: str, **changes: str) -> int:
                headers = {**desk.headers, "Idempotency-Key": key}
                return (await house.ask("POST", "/trades", {**order, **changes}, headers=headers)).status_code

            assert await statuses(house, 5, **desk.headers) == [200] * 5
            assert [await place(str(n)) for n in range(3)] == [201, 201, 429]
            assert await place("sale", side="sell") == 201
            halt = {"scope": "tenant", "reason": "enough"}
            assert (await house.ask("POST", "/risk/halt", halt, headers=desk.headers)).status_code == 201
            body = {"email": "trader@acme.example", "password": "not the password"}
            login = await house.ask("POST", "/auth/login", body)
            assert (login.status_code, login.json()["code"]) == (503, "unavailable")
            ready = (await house.ask("GET", "/health/ready")).json()
            assert ready["status"] == "ready"
            assert ready["ports"]["redis"]["ok"] is False
            server.start()

            async def admitted_again() -> bool:
                return (await house.ask("POST", "/auth/login", body)).status_code == 401

            await eventually(admitted_again)


async def test_routes_with_a_budget_of_their_own_exist(house: House) -> None:
    known = {
        (method, route.path) for route in house.app.routes if isinstance(route, Route) for method in route.methods or ()
    }
    assert known >= RESERVED | ORDERS


def test_an_address_stands_for_the_line_of_its_subscriber() -> None:
    assert line_of("203.0.113.9") == "203.0.113.9"
    assert line_of("::ffff:203.0.113.9") == "203.0.113.9"
    assert line_of("2001:db8:1:2:3:4:5:6") == line_of("2001:db8:1:2::9") == "2001:db8:1:2::"
    assert line_of("testclient") == "testclient"
