from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.daemon.jobs import store as jobs_store
from alphapulse.domain.lifecycle import CLOSING, KEPT, MOVES, TRADES, Move, TenantState
from alphapulse.domain.market import Timeframe
from alphapulse.domain.plans import LimitName, Tier
from alphapulse.domain.tenancy import Role
from alphapulse.errors import Conflict, InvalidInput, NotFound
from alphapulse.tenancy import tenants_store
from tests.conftest import Server
from tests.daemon.house import CONFIG, House, open_house

ACTOR = "op@example.com"


@pytest.fixture
async def house(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(database, urls, tmp_path) as opened:
        yield opened


async def standing(house: House, tenant_id: UUID) -> tenants_store.TenantStanding:
    async with house.services.database.transaction(tenant_id) as tx:
        found = await tenants_store.lock(tx, tenant_id)
    assert found is not None
    return found


async def open_order(house: House, tenant_id: UUID, fund_id: str) -> None:
    """An order that rests at a venue."""
    async with house.services.database.transaction(tenant_id) as tx:
        await tx.run(
            "INSERT INTO orders (tenant_id, id, fund_id, sequence, client_order_id, leg, venue, symbol, side, type,"
            " quantity, timeframe, fingerprint, status, filled_quantity, reason, checks, at, recorded_at, updated_at)"
            " SELECT %(tenant_id)s, %(id)s, %(fund_id)s, coalesce(max(sequence), 0) + 1, %(id)s::text, '', 'v',"
            " 'BTC/USDT', 'buy', 'limit', 1, '4h', '', 'open', 0, '', '[]', now(), now(), now() FROM orders",
            {"tenant_id": tenant_id, "id": uuid4(), "fund_id": fund_id},
        )


async def close_orders(house: House, tenant_id: UUID) -> None:
    async with house.services.database.transaction(tenant_id) as tx:
        await tx.run("UPDATE orders SET status = 'cancelled'")


async def hold(house: House, tenant_id: UUID, fund_id: str, quantity: int) -> None:
    async with house.services.database.transaction(tenant_id) as tx:
        await tx.run(
            "INSERT INTO positions (tenant_id, fund_id, symbol, quantity, cost, realised, fees, updated_at)"
            " VALUES (%(tenant_id)s, %(fund_id)s, 'BTC/USDT', %(quantity)s, 0, 0, 0, now())"
            " ON CONFLICT (tenant_id, fund_id, symbol) DO UPDATE SET quantity = excluded.quantity",
            {"tenant_id": tenant_id, "fund_id": fund_id, "quantity": quantity},
        )


async def test_a_move_is_audited_with_its_reason_told_to_members_and_mailed(house: House) -> None:
    tenant = await house.tenant("acme")
    await house.services.lifecycle.suspend(tenant.id, reason="unpaid since August", actor=ACTOR)
    async with house.services.database.transaction(tenant.id) as tx:
        event = await tx.one("SELECT kind, payload FROM events ORDER BY sequence DESC LIMIT 1")
        audited = await tx.one("SELECT action, reason, changes FROM audit_events ORDER BY sequence DESC LIMIT 1")
        mail = await tx.one("SELECT recipient FROM mails WHERE template = 'suspended'")
    assert event is not None
    assert event["kind"] == "tenant.changed"
    assert (event["payload"]["state"], event["payload"]["before"]) == ("suspended", "active")
    assert audited is not None
    assert audited["action"] == "tenant.suspend"
    assert audited["reason"] == "unpaid since August"
    assert json.loads(audited["changes"])["state"] == {"before": "active", "after": "suspended"}
    assert mail == {"recipient": "tenant_admin@acme.example"}


async def test_a_suspension_holds_from_the_next_request_on(house: House) -> None:
    tenant = await house.tenant("acme")
    headers = await house.as_(Role.TENANT_ADMIN)
    assert (await house.ask("GET", "/funds", headers=headers)).status_code == 200  # the login is remembered now
    await house.services.lifecycle.suspend(tenant.id, reason="unpaid", actor=ACTOR)
    body = {"name": "late", "mode": "paper", "capital": "1000", "config": CONFIG}
    refused = await house.ask("POST", "/funds", body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    await house.services.lifecycle.resume(tenant.id, reason="paid", actor=ACTOR)
    assert (await house.ask("POST", "/funds", body, headers=headers)).status_code == 201


async def test_a_suspended_tenant_sells_and_halts_but_adds_no_risk(house: House) -> None:
    tenant = await house.tenant("acme")
    trader = await house.as_(Role.TRADER)
    fund = await house.fund(trader)
    bought = await order(house, trader, "buy", "1", "before")
    assert bought["status"] in {"filled", "partially_filled", "open"}, bought
    await house.services.lifecycle.suspend(tenant.id, reason="unpaid", actor=ACTOR)

    refused = await house.ask("POST", "/trades", body("buy", "1"), headers={**trader, "Idempotency-Key": "during"})
    assert refused.status_code == 409, refused.text
    assert "scope=tenant state=suspended" in refused.json()["denials"][0]
    sold = await order(house, trader, "sell", "0.5", "exit")
    assert sold["status"] != "denied"
    assert (await house.ask("POST", f"/funds/{fund['name']}/stop", headers=trader)).status_code == 200
    halted = await house.ask(
        "POST", "/risk/halt", {"scope": "fund", "fund": fund["name"], "reason": "stop"}, headers=trader
    )
    assert halted.status_code == 201, halted.text


def body(side: str, quantity: str) -> dict[str, Any]:
    return {"fund": "momentum", "symbol": "BTC/USDT", "side": side, "quantity": quantity}


async def order(house: House, headers: dict[str, str], side: str, quantity: str, key: str) -> dict[str, Any]:
    answer = await house.ask("POST", "/trades", body(side, quantity), headers={**headers, "Idempotency-Key": key})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_closing_demands_that_orders_are_cancelled_and_positions_acknowledged(house: House) -> None:
    tenant = await house.tenant("acme")
    fund = await house.fund(await house.as_(Role.TRADER))
    lifecycle = house.services.lifecycle
    await open_order(house, tenant.id, fund["id"])
    await hold(house, tenant.id, fund["id"], 2)
    with pytest.raises(Conflict, match="1 open order") as refused:
        await lifecycle.cancel(tenant.id, reason="leaves", actor=ACTOR, acknowledge_positions=True)
    assert "orders cancel --all" in refused.value.fix
    await close_orders(house, tenant.id)
    with pytest.raises(Conflict, match="holds momentum BTC/USDT 2"):
        await lifecycle.cancel(tenant.id, reason="leaves", actor=ACTOR)
    closed = await lifecycle.cancel(tenant.id, reason="leaves", actor=ACTOR, acknowledge_positions=True)
    assert closed.state is TenantState.CANCELLED


async def test_a_tenant_is_deleted_only_under_its_own_name_and_kept_for_thirty_days(house: House) -> None:
    tenant = await house.tenant("acme")
    with pytest.raises(InvalidInput, match="not the tenant's slug"):
        await house.services.lifecycle.delete(tenant.id, confirm="acme ", reason="leaves", actor=ACTOR)
    gone = await house.services.lifecycle.delete(tenant.id, confirm="acme", reason="leaves", actor=ACTOR)
    assert gone.state is TenantState.DELETED
    found = await standing(house, tenant.id)
    assert found.purge_at is not None
    assert timedelta(0) <= house.services.clock.now() + KEPT - found.purge_at < timedelta(minutes=1)
    with pytest.raises(Conflict, match="is deleted"):
        await house.services.lifecycle.change_tier(tenant.id, "starter", reason="x", actor=ACTOR)
    back = await house.services.lifecycle.restore(tenant.id, reason="stays", actor=ACTOR)
    assert back.state is TenantState.ACTIVE
    assert (await standing(house, tenant.id)).purge_at is None


async def test_a_deleted_tenant_that_was_cancelled_and_suspended_before_is_suspended_again(house: House) -> None:
    tenant, lifecycle = await house.tenant("acme"), house.services.lifecycle
    await lifecycle.suspend(tenant.id, reason="unpaid", actor=ACTOR)
    await lifecycle.cancel(tenant.id, reason="leaves", actor=ACTOR)
    await lifecycle.delete(tenant.id, confirm="acme", reason="leaves", actor=ACTOR)
    assert (await lifecycle.restore(tenant.id, reason="stays", actor=ACTOR)).state is TenantState.SUSPENDED


@pytest.mark.parametrize("reason", ["", "  ", "a\x00b", "x" * 501])
async def test_every_move_says_why(house: House, reason: str) -> None:
    tenant = await house.tenant("acme")
    with pytest.raises(InvalidInput, match="reason"):
        await house.services.lifecycle.suspend(tenant.id, reason=reason, actor=ACTOR)


async def test_nobody_but_the_platform_moves_a_tenant(house: House) -> None:
    await house.tenant("acme")
    admin = await house.as_(Role.TENANT_ADMIN)
    answer = await house.ask("POST", "/tenants/acme/suspend", {"reason": "x"}, headers=admin)
    assert answer.status_code == 403
    with pytest.raises(NotFound):
        await house.services.lifecycle.suspend(uuid4(), reason="x", actor=ACTOR)


async def test_a_change_of_tier_holds_at_once_and_sets_the_cache_quota(house: House) -> None:
    tenant, services = await house.tenant("acme"), house.services
    assert (await services.plans.limits_of(tenant.id)).agents is None
    changed = await services.lifecycle.change_tier(tenant.id, "starter", reason="smaller", actor=ACTOR)
    assert changed.tier is Tier.STARTER
    limits = await services.plans.limits_of(tenant.id)
    assert (limits.agents, limits.cache_bytes) == (3, 100_000_000)
    assert (await services.cache.usage(tenant.id)).quota == 100_000_000
    with pytest.raises(Conflict, match="of tier starter already"):
        await services.lifecycle.change_tier(tenant.id, "starter", reason="again", actor=ACTOR)


async def test_an_override_lifts_one_limit_until_it_expires(house: House) -> None:
    tenant, services = await house.tenant("acme"), house.services
    await services.lifecycle.change_tier(tenant.id, "starter", reason="smaller", actor=ACTOR)
    until = services.clock.now() + timedelta(hours=1)
    await services.lifecycle.override(tenant.id, "agents", 10, until=until, reason="pilot", actor=ACTOR)
    assert (await services.plans.limits_of(tenant.id)).agents == 10
    plan = await services.metering.standing(tenant.id)
    assert [(each.limit, each.value, each.reason) for each in plan.overrides] == [(LimitName.AGENTS, 10, "pilot")]
    await services.lifecycle.drop_override(tenant.id, "agents", reason="over", actor=ACTOR)
    assert (await services.plans.limits_of(tenant.id)).agents == 3
    with pytest.raises(NotFound, match="no override of agents"):
        await services.lifecycle.drop_override(tenant.id, "agents", reason="over", actor=ACTOR)
    with pytest.raises(InvalidInput, match="in the past"):
        past = services.clock.now() - timedelta(hours=1)
        await services.lifecycle.override(tenant.id, "agents", 10, until=past, reason="pilot", actor=ACTOR)


async def test_an_order_and_a_closing_that_meet_never_leave_an_open_order_behind(house: House) -> None:
    tenant = await house.tenant("acme")
    trader = await house.as_(Role.TRADER)
    await house.fund(trader)

    async def place(number: int) -> int:
        price = {"limit_price": "1000"} if number % 2 else {}
        answer = await house.ask(
            "POST", "/trades", {**body("buy", "0.01"), **price}, headers={**trader, "Idempotency-Key": f"k{number}"}
        )
        return answer.status_code

    async def close() -> bool:
        try:
            await house.services.lifecycle.cancel(tenant.id, reason="x", actor=ACTOR, acknowledge_positions=True)
        except Conflict:
            return False
        return True

    results = await asyncio.gather(*(place(number) for number in range(8)), close(), *(place(n) for n in range(8, 12)))
    async with house.services.database.transaction(tenant.id) as tx:
        left = await tenants_store.open_orders(tx, tenant.id)
        states = await tx.all("SELECT state FROM tenants")
    if results[8] is True:
        assert (left, states) == (0, [{"state": "cancelled"}])
    else:
        assert states == [{"state": "active"}]


class Life(RuleBasedStateMachine):
    """A tenant is moved at random; a model of three fields says what must become of it."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.urls = self.server.create()
        self.folder = tempfile.TemporaryDirectory(prefix="alphapulse-life-")
        self.house = self.runner.run(self._open())
        self.tenant = self.runner.run(self.house.tenant("acme"))
        trader = self.runner.run(self.house.as_(Role.TRADER))
        self.fund = self.runner.run(self.house.fund(trader, **CONFIG))
        self.runner.run(self._run_fund())
        self.state, self.left = TenantState.ACTIVE, None
        self.orders, self.held = 0, 0

    async def _open(self) -> House:
        database = await PostgresDatabase.open(self.urls.app, platform_url=self.urls.platform)
        self.stack.push_async_callback(database.close)
        return await self.stack.enter_async_context(open_house(database, self.urls, Path(self.folder.name)))

    async def _run_fund(self) -> None:
        async with self.house.services.database.transaction(self.tenant.id) as tx:
            await tx.run("UPDATE funds SET state = 'running'")

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.server.drop(self.urls)
        self.folder.cleanup()

    @rule(move=st.sampled_from([Move.SUSPEND, Move.RESUME, Move.FALL_DUE, Move.SETTLE, Move.RESTORE]))
    def moves(self, move: Move) -> None:
        act = getattr(self.house.services.lifecycle, move.value)
        self._expect(move, act(self.tenant.id, reason="a reason", actor=ACTOR), blocked=False)

    @rule(acknowledged=st.booleans(), move=st.sampled_from(sorted(CLOSING)))
    def closes(self, move: Move, acknowledged: bool) -> None:
        lifecycle = self.house.services.lifecycle
        asked: dict[str, Any] = {"reason": "a reason", "actor": ACTOR, "acknowledge_positions": acknowledged}
        if move is Move.DELETE:
            asked["confirm"] = "acme"
        blocked = self.orders > 0 or (self.held > 0 and not acknowledged)
        self._expect(move, getattr(lifecycle, move.value)(self.tenant.id, **asked), blocked=blocked)

    @precondition(lambda self: self.state in TRADES)
    @rule()
    def an_order_is_opened(self) -> None:
        self.runner.run(open_order(self.house, self.tenant.id, self.fund["id"]))
        self.orders += 1

    @rule()
    def orders_are_cancelled(self) -> None:
        self.runner.run(close_orders(self.house, self.tenant.id))
        self.orders = 0

    @rule(quantity=st.integers(0, 2))
    def something_is_held(self, quantity: int) -> None:
        self.runner.run(hold(self.house, self.tenant.id, self.fund["id"], quantity))
        self.held = quantity

    def _expect(self, move: Move, act: Any, *, blocked: bool) -> None:
        targets = MOVES.get((self.state, move), frozenset())
        legal = bool(targets) and not blocked and (move is not Move.RESTORE or self.left in targets)
        try:
            after = self.runner.run(act).state
        except Conflict:
            assert not legal, f"{move} from {self.state} was refused"
            return
        assert legal, f"{move} from {self.state} was done"
        if move in CLOSING:
            self.left = self.left if self.state is TenantState.CANCELLED else self.state
        expected = self.left if move is Move.RESTORE else next(iter(targets))
        if move is Move.RESTORE:
            self.left = None
        assert after is expected
        self.state = after

    @invariant()
    def the_database_agrees(self) -> None:
        found = self.runner.run(standing(self.house, self.tenant.id))
        assert (found.tenant.state, found.left) == (self.state, self.left)
        assert (found.purge_at is not None) == (self.state is TenantState.DELETED)

    @invariant()
    def funds_decide_exactly_where_the_tenant_trades(self) -> None:
        async def due() -> int:
            async with self.house.services.database.shared() as tx:
                return len(await jobs_store.due_funds(tx, Timeframe.H4))

        assert self.runner.run(due()) == (1 if self.state in TRADES else 0)


def test_no_sequence_of_moves_leads_out_of_the_table(server: Server) -> None:
    Life.server = server
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
