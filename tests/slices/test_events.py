"""Events: a sequence without holes per tenant, whoever appends at the same time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.domain.events import EventKind
from alphapulse.errors import Defect
from alphapulse.events import store
from tests.conftest import MakeTenant

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_an_event_is_read_back_as_it_was_appended(database: PostgresDatabase, make_tenant: MakeTenant) -> None:
    tenant_id = await make_tenant(database)
    async with database.transaction(tenant_id) as tx:
        sequence = await store.append(
            tx, EventKind.FILL_BOOKED, "order-1", AT, AT + timedelta(seconds=1), {"price": Decimal("1.10")}
        )
        (event,) = await store.read(tx, 0, 10)
    assert sequence == event.sequence == 1
    assert (event.tenant_id, event.kind, event.subject) == (tenant_id, EventKind.FILL_BOOKED, "order-1")
    assert (event.at, event.recorded_at) == (AT, AT + timedelta(seconds=1))
    assert event.payload == {"price": "1.1"}


async def test_many_events_keep_their_order_and_readers_resume_after_any_of_them(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenant_id = await make_tenant(database)
    async with database.transaction(tenant_id) as tx:
        assert await store.latest(tx) == 0
        assert await store.append_many(tx, []) == 0
        events: list[store.NewEvent] = [(EventKind.EQUITY_MARKED, str(i), AT, AT, {"i": i}) for i in range(5)]
        assert await store.append_many(tx, events) == 5
        assert await store.append_many(tx, events) == 10
        assert await store.latest(tx) == 10
        assert [(e.sequence, e.subject) for e in await store.read(tx, 3, 3)] == [(4, "3"), (5, "4"), (6, "0")]


async def test_a_rolled_back_event_leaves_no_hole(database: PostgresDatabase, make_tenant: MakeTenant) -> None:
    tenant_id = await make_tenant(database)

    async def give_up() -> None:
        async with database.transaction(tenant_id) as tx:
            await store.append(tx, EventKind.FUND_STARTED, "fund", AT, AT, {})
            raise LookupError

    with pytest.raises(LookupError):
        await give_up()
    async with database.transaction(tenant_id) as tx:
        assert await store.append(tx, EventKind.FUND_STOPPED, "fund", AT, AT, {}) == 1


async def test_sequences_have_no_hole_and_no_double_under_concurrent_writers(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenants = [await make_tenant(database, slug) for slug in ("acme", "zenith")]

    async def write(i: int) -> None:
        for n in range(20):
            async with database.transaction(tenants[i % 2]) as tx:
                await store.append(tx, EventKind.ORDER_CHANGED, f"{i}-{n}", AT, AT, {})

    await asyncio.gather(*(write(i) for i in range(8)))
    for tenant_id in tenants:
        async with database.transaction(tenant_id) as tx:
            assert [event.sequence for event in await store.read(tx, 0, 1000)] == list(range(1, 81))


async def test_a_reader_that_follows_the_writers_sees_every_event_once_and_in_order(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenant_id = await make_tenant(database)
    writers = 4

    async def write(i: int) -> None:
        for n in range(25):
            async with database.transaction(tenant_id) as tx:
                await store.append(tx, EventKind.ORDER_CHANGED, f"{i}-{n}", AT, AT, {})

    async def follow() -> list[int]:
        seen: list[int] = []
        while len(seen) < writers * 25:
            async with database.transaction(tenant_id) as tx:
                seen += [event.sequence for event in await store.read(tx, seen[-1] if seen else 0, 7)]
        return seen

    async with asyncio.timeout(60):
        seen, *_ = await asyncio.gather(follow(), *(write(i) for i in range(writers)))
    assert seen == list(range(1, writers * 25 + 1))


async def test_an_append_wakes_listeners_with_the_tenants_id(
    database: PostgresDatabase, make_tenant: MakeTenant
) -> None:
    tenant_id = await make_tenant(database)
    heard = database.listen(store.CHANNEL)
    assert await anext(heard) == ""
    async with database.transaction(tenant_id) as tx:
        await store.append(tx, EventKind.FUND_STARTED, "fund", AT, AT, {})
    assert await asyncio.wait_for(anext(heard), 10) == str(tenant_id)
    await heard.aclose()


async def test_an_event_of_nobody_is_a_defect(database: PostgresDatabase) -> None:
    with pytest.raises(Defect):
        async with database.shared() as tx:
            await store.append(tx, EventKind.FUND_STARTED, "fund", AT, AT, {})
