"""The stores between two tenants: another tenant's ids are to them as ids that never were."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

import alphapulse
from alphapulse.domain.funds import FundState
from alphapulse.domain.plans import LimitName
from alphapulse.domain.risk import HaltScope
from alphapulse.errors import AlphaPulseError
from alphapulse.ports.database import Transaction
from alphapulse.tables import TENANT_TABLES
from alphapulse.trading import decision_store, history_store, order_store
from tests.conftest import MakeTenant
from tests.fakes.floor import FIRST, Floor, hours

StoreFunction = Callable[..., Awaitable[object]]


LOGINS = """
INSERT INTO users (id, email, is_platform_admin, created_at) VALUES (%(u)s, 'b@b.example', false, %(at)s);
INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES (%(t)s, %(u)s, 'trader', %(at)s);
INSERT INTO sessions (id, tenant_id, user_id, created_at, expires_at, generation, seen_at, address, program)
    VALUES (%(s)s, %(t)s, %(u)s, %(at)s, %(at)s, 0, %(at)s, '', '');
INSERT INTO api_keys (id, tenant_id, user_id, name, prefix, secret_hash, role, created_at)
    VALUES (%(k)s, %(t)s, %(u)s, 'bot', 'secretprefix', '', 'trader', %(at)s);
INSERT INTO replays (tenant_id, id, fund_id, start_at, end_at, state, error, recorded_at)
    VALUES (%(t)s, %(r)s, %(f)s, %(at)s, %(at)s, 'running', '', %(at)s)
"""


#: Reads no row, and answers differently each time.
CLOCK = "daemon.schedule_store.server_time"


class _Undone(Exception):
    """Ends an attempt, so that the next one finds everything as it was."""


def store_functions() -> dict[str, StoreFunction]:
    """Every public function of every store that works in a transaction it is handed."""
    root = Path(alphapulse.__file__).parent
    found: dict[str, StoreFunction] = {}
    for path in sorted(root.glob("*/*store.py")):
        module = importlib.import_module(f"alphapulse.{path.parent.name}.{path.stem}")
        for name, function in vars(module).items():
            here = inspect.iscoroutinefunction(function) and function.__module__ == module.__name__
            if here and not name.startswith("_") and next(iter(inspect.signature(function).parameters)) == "tx":
                found[f"{path.parent.name}.{path.stem}.{name}"] = function
    del found[CLOCK]
    return found


async def a_busy_tenant(floor: Floor) -> dict[str, Any]:
    """Trades for a few bars, halts, logs in; what its rows are called, by the names that stores give to parameters."""
    fund = await floor.fund("secret-fund")
    for at in hours(FIRST, 6):
        await floor.cycle.run(fund, at)
    await floor.halts.halt(
        HaltScope.FUND, tenant_id=floor.tenant_id, fund="secret-fund", reason="a secret", actor="bob"
    )
    user_id, session_id, key_id, replay_id = (uuid4() for _ in range(4))
    at = floor.clock.now()
    async with floor.database.transaction(floor.tenant_id, user_id=user_id) as tx:
        named = {
            "t": floor.tenant_id,
            "u": user_id,
            "s": session_id,
            "k": key_id,
            "r": replay_id,
            "f": fund.id,
            "at": at,
        }
        for statement in LOGINS.split(";"):
            await tx.run(statement, named)  # type: ignore[arg-type]
        orders, _ = await history_store.orders(tx, fund_id=fund.id, status=None, limit=10, before=None)
        (decision, *_) = await decision_store.newest(tx, fund.id, 1)
        tracked = await order_store.load(tx, [order.id for order in orders])
    assert tracked
    return {
        "tenant_id": floor.tenant_id,
        "user_id": user_id,
        "session_id": session_id,
        "key_id": key_id,
        "replay_id": replay_id,
        "fund_id": fund.id,
        "order_id": orders[0].id,
        "decision_id": decision.id,
        "ids": [order.id for order in orders],
        "orders": orders,
        "reference": str(fund.id),
        "state": FundState.STOPPED,
        "scope": HaltScope.FUND,
        "actor": "eve",
        "error": "forged",
        "amounts": {},
        "status": None,
        "before": None,
        "since": 0,
        "limit": 100,
        "limit_name": LimitName.AGENTS,
        "at": at,
        "now": at,
        "expires_at": at + timedelta(days=1),
        "lifetime": timedelta(days=7),
    }


def strangers(named: dict[str, Any]) -> dict[str, Any]:
    """The same with ids of nothing at all."""
    other = {name: uuid4() if isinstance(value, UUID) else value for name, value in named.items()}
    return {**other, "ids": [uuid4()], "reference": str(uuid4()), "orders": []}


def arguments(function: StoreFunction, named: dict[str, Any]) -> dict[str, Any] | None:
    """What to call it with; None when it needs more than names of rows."""
    parameters = [one for one in inspect.signature(function).parameters.values() if one.name != "tx"]
    if any(one.name not in named and one.default is one.empty for one in parameters):
        return None
    wanted = [one for one in parameters if one.default is one.empty or one.name.endswith(("_id", "ids"))]
    return {one.name: named[one.name] for one in wanted}


async def b_as_it_stands(tx: Transaction, b: UUID) -> list[Any]:
    """Everything B owns, asked in the same transaction from B's side."""
    await tx.connection.execute(f"SET LOCAL app.tenant_id = '{b}'")
    return [
        await tx.one(f"SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM \"{name}\" x")  # type: ignore[arg-type]
        for name in TENANT_TABLES
    ]


async def outcome(
    floor: Floor, as_tenant: UUID, function: StoreFunction, given: dict[str, Any], b: UUID
) -> tuple[str, list[Any]]:
    """What a tenant gets for a call, ids made unreadable, and B's rows after it. Nothing stays."""
    got, after = "", list[Any]()
    try:
        async with floor.database.transaction(as_tenant) as tx:
            got = repr(await function(tx, **given))
            after = await b_as_it_stands(tx, b)
            raise _Undone
    except _Undone:
        pass
    except AlphaPulseError as error:
        got = f"{type(error).__name__}: {error.message}"
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", got), after


@pytest.fixture
async def zenith(floor: Floor, make_tenant: MakeTenant, tmp_path: Path) -> Floor:
    """The other tenant, on the same database and the same candles."""
    return Floor(floor.database, await make_tenant(floor.database, "zenith"), tmp_path)


async def test_no_store_tells_another_tenants_rows_from_rows_that_never_were(floor: Floor, zenith: Floor) -> None:
    secret = await a_busy_tenant(zenith)
    nothing = strangers(secret)
    async with floor.database.transaction(zenith.tenant_id) as tx:
        before = await b_as_it_stands(tx, zenith.tenant_id)
    reached: list[str] = []
    for name, function in store_functions().items():
        theirs, nobodys = arguments(function, secret), arguments(function, nothing)
        if theirs is None or nobodys is None:
            continue
        own, _ = await outcome(zenith, zenith.tenant_id, function, theirs, zenith.tenant_id)
        missing, _ = await outcome(zenith, zenith.tenant_id, function, nobodys, zenith.tenant_id)
        got, after = await outcome(floor, floor.tenant_id, function, theirs, zenith.tenant_id)
        expected, _ = await outcome(floor, floor.tenant_id, function, nobodys, zenith.tenant_id)
        assert (name, got) == (name, expected)
        assert after in ([], before), f"{name} changed a row of another tenant"
        reached += [name] if own != missing else []
    # The comparison means something only where the owner's ids do reach a row.
    assert len(reached) >= 25, reached
