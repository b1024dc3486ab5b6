"""The audit log: chains that neither fork nor can be changed unseen."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.audit import chain, store
from alphapulse.audit.recorder import Recorder
from alphapulse.domain.audit import AuditEvent, AuditKind
from alphapulse.domain.tenancy import PLATFORM
from alphapulse.errors import Defect, Unavailable
from tests.daemon.waiting import eventually

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

#: A row of nobody's making, after the end of the chain.
FORGED = """
CREATE TEMPORARY TABLE forged AS SELECT * FROM app.audit_events WHERE sequence = 5;
UPDATE forged SET sequence = 9, previous_hash = sha256('y');
INSERT INTO app.audit_events SELECT * FROM forged
"""


def an_event(tenant_id: UUID, **changes: object) -> AuditEvent:
    event = AuditEvent(
        tenant_id=tenant_id,
        actor="ada@example.com",
        action="orders.place",
        path="POST /trades",
        status=201,
        outcome="ok",
        request_id="r-1",
        at=AT,
        address="127.0.0.1",
        duration_ms=7,
    )
    return replace(event, **changes)  # type: ignore[arg-type]


async def append(database: PostgresDatabase, *events: AuditEvent) -> None:
    async with database.shared() as tx:
        await store.append(tx, events)


def as_admin(urls: DatabaseUrls, statement: str) -> None:
    assert urls.admin is not None
    with psycopg.connect(urls.admin, autocommit=True) as connection:
        connection.execute(statement.encode())


async def test_an_event_is_read_back_as_it_was_recorded(any_database: PostgresDatabase) -> None:
    tenant_id = uuid4()
    event = an_event(tenant_id, actor="zoë: 'x', \"y\"", path="GET /ä,5:%00")
    await append(any_database, event)
    async with any_database.transaction(tenant_id) as tx:
        (stored,) = await store.list_events(tx)
        verdict = await chain.verify(tx)
    assert stored.event == event
    assert stored.previous_hash == chain.GENESIS
    assert stored.hash == chain.chain_hash(chain.GENESIS, 1, event)
    assert (verdict.length, verdict.head, verdict.broken_at) == (1, stored.hash, None)


async def test_text_that_the_database_cannot_store_still_leaves_a_row(database: PostgresDatabase) -> None:
    tenant_id = uuid4()
    await append(database, an_event(tenant_id, path="GET /\x00\ud800" + "x" * 5000))
    async with database.transaction(tenant_id) as tx:
        (stored,) = await store.list_events(tx)
        assert (await chain.verify(tx)).broken_at is None
    assert stored.event.path.startswith("GET /\ufffd?x")
    assert len(stored.event.path) == 2000


async def test_one_call_fills_the_chains_of_several_tenants_in_order(database: PostgresDatabase) -> None:
    a, b = uuid4(), uuid4()
    events = [an_event(owner, request_id=f"r-{i}") for i, owner in enumerate([a, b, PLATFORM, a, b, a])]
    await append(database, *events)
    await append(database, an_event(b, request_id="r-6"))
    for owner, expected in ((a, ["r-5", "r-3", "r-0"]), (b, ["r-6", "r-4", "r-1"]), (PLATFORM, ["r-2"])):
        async with database.transaction(owner) as tx:
            assert [row.event.request_id for row in await store.list_events(tx)] == expected
            assert (await chain.verify(tx)).broken_at is None


async def test_the_list_narrows_by_actor_action_time_and_page(database: PostgresDatabase) -> None:
    tenant_id = uuid4()
    await append(
        database,
        *(
            an_event(tenant_id, actor=f"user-{i % 2}", action=f"action-{i % 3}", at=AT + timedelta(hours=i))
            for i in range(12)
        ),
    )
    async with database.transaction(tenant_id) as tx:
        by_actor = await store.list_events(tx, actor="user-1", action="action-0")
        by_time = await store.list_events(tx, since=AT + timedelta(hours=2), until=AT + timedelta(hours=4))
        page = await store.list_events(tx, before=10, limit=2)
    assert [row.sequence for row in by_actor] == [10, 4]
    assert [row.sequence for row in by_time] == [4, 3]
    assert [row.sequence for row in page] == [9, 8]


async def test_eight_writers_never_fork_a_chain(database: PostgresDatabase) -> None:
    owners = [uuid4(), uuid4(), PLATFORM]

    async def write(i: int) -> None:
        for n in range(20):
            # Each in another order of the chains, so that a careless order of locks would deadlock.
            order = [owners[(i + n + k) % 3] for k in range(3)]
            await append(database, *(an_event(owner, request_id=f"{i}-{n}") for owner in order))

    await asyncio.gather(*(write(i) for i in range(8)))
    for owner in owners:
        async with database.transaction(owner) as tx:
            verdict = await chain.verify(tx)
            rows = await store.list_events(tx, limit=1000)
        assert (verdict.length, verdict.broken_at) == (160, None)
        assert len({row.previous_hash for row in rows}) == 160


@pytest.mark.parametrize(
    ("tampering", "broken_at", "problem"),
    [
        ("UPDATE app.audit_events SET actor = 'eve' WHERE sequence = 3", 3, "was changed"),
        ("UPDATE app.audit_events SET at = at + interval '1 microsecond' WHERE sequence = 2", 2, "was changed"),
        ("UPDATE app.audit_events SET actor = 'a', action = 'da' || action WHERE sequence = 4", 4, "was changed"),
        ("DELETE FROM app.audit_events WHERE sequence = 3", 3, "missing"),
        ("DELETE FROM app.audit_events WHERE sequence = 5", 5, "missing"),
        ("UPDATE app.audit_events SET sequence = sequence + 10", 1, "missing"),
        ("UPDATE app.audit_heads SET hash = sha256('x')", 5, "head"),
        (
            FORGED,
            9,
            "outside the chain",
        ),
        ("UPDATE app.audit_heads SET sequence = 4; DELETE FROM app.audit_events WHERE sequence = 5", 4, "head"),
    ],
)
async def test_tampering_is_found_where_it_happened(
    database: PostgresDatabase, urls: DatabaseUrls, tampering: str, broken_at: int, problem: str
) -> None:
    tenant_id = uuid4()
    await append(database, *(an_event(tenant_id, request_id=f"r-{i}") for i in range(5)))
    as_admin(urls, tampering)
    async with database.transaction(tenant_id) as tx:
        verdict = await chain.verify(tx)
    assert verdict.broken_at == broken_at
    assert problem in verdict.problem


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'eve'",
        "DELETE FROM audit_events",
        "INSERT INTO audit_events SELECT * FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE audit_heads SET sequence = 0",
        "DELETE FROM audit_heads",
        "INSERT INTO audit_heads VALUES (gen_random_uuid(), 0, '')",
    ],
)
async def test_the_application_cannot_touch_the_log_but_by_appending(
    database: PostgresDatabase, statement: str
) -> None:
    tenant_id = uuid4()
    await append(database, an_event(tenant_id))
    with pytest.raises(Defect, match="permission denied"):
        async with database.transaction(tenant_id) as tx:
            await tx.run(statement)  # type: ignore[arg-type]


async def test_a_recorder_returns_when_the_event_is_stored_and_shares_commits(database: PostgresDatabase) -> None:
    recorder = Recorder(database)
    running = asyncio.create_task(recorder.run())
    await asyncio.gather(*(recorder.record(an_event(PLATFORM, request_id=f"r-{i}")) for i in range(200)))
    async with database.transaction(PLATFORM) as tx:
        assert (await chain.verify(tx)).length == 200
        row = await tx.one("SELECT count(DISTINCT xmin::text) AS commits FROM audit_events")
    assert row is not None
    assert row["commits"] < 20
    await recorder.close()
    await asyncio.wait_for(running, 10)
    with pytest.raises(Unavailable):
        await recorder.record(an_event(PLATFORM))


async def test_a_recorder_tells_its_callers_when_the_database_is_away_and_goes_on_after(
    database: PostgresDatabase, urls: DatabaseUrls
) -> None:
    gone = await PostgresDatabase.open(urls.app)
    await gone.close()
    recorder = Recorder(gone)
    running = asyncio.create_task(recorder.run())
    for _ in range(2):
        with pytest.raises(Unavailable):
            await recorder.record(an_event(PLATFORM))
    assert not running.done()
    await recorder.close()
    await asyncio.wait_for(running, 10)


async def test_what_waits_when_the_recorder_closes_is_still_stored(database: PostgresDatabase) -> None:
    recorder = Recorder(database)
    waiting = [asyncio.create_task(recorder.record(an_event(PLATFORM))) for _ in range(5)]
    await asyncio.sleep(0)
    await recorder.close()
    await asyncio.wait_for(recorder.run(), 10)
    await asyncio.gather(*waiting)
    async with database.transaction(PLATFORM) as tx:
        assert (await chain.verify(tx)).length == 5


async def test_refused_strangers_stay_counted_while_the_database_is_away(
    database: PostgresDatabase, urls: DatabaseUrls
) -> None:
    recorder = Recorder(database)
    refused = an_event(PLATFORM, actor="anonymous", status=401, outcome="unauthenticated")
    for _ in range(3):
        recorder.count_refused(refused)
    lock = psycopg.connect(urls.admin or "")  # nobody is served meanwhile
    lock.execute("LOCK TABLE app.audit_heads IN ACCESS EXCLUSIVE MODE")
    backend = asyncio.create_task(recorder.flush())
    await asyncio.sleep(0)
    recorder.count_refused(refused)
    with psycopg.connect(urls.admin or "", autocommit=True) as admin:
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        await eventually(lambda: asyncio.to_thread(lambda: admin.execute(waiting.encode()).fetchone()))
        admin.execute(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) w".encode())
    await backend
    lock.close()
    await recorder.flush()
    async with database.transaction(PLATFORM) as tx:
        (row,) = await store.list_events(tx)
    assert (row.event.kind, row.event.count, row.event.outcome) == (AuditKind.REFUSED, 4, "unauthenticated")


async def test_what_was_counted_is_stored_when_the_recorder_closes(database: PostgresDatabase) -> None:
    recorder = Recorder(database)
    recorder.count_refused(an_event(PLATFORM, status=404))
    await recorder.close()
    await asyncio.wait_for(recorder.run(), 10)
    async with database.transaction(PLATFORM) as tx:
        assert [row.event.count for row in await store.list_events(tx)] == [1]


async def test_a_forged_seal_in_a_path_is_disarmed(database: PostgresDatabase) -> None:
    tenant_id, user_id = uuid4(), uuid4()
    recorder = Recorder(database)
    running = asyncio.create_task(recorder.run())
    await recorder.record(an_event(tenant_id), person=user_id)
    async with database.transaction(tenant_id) as tx:
        (stored,) = await store.rows_after(tx, 0, 10, 10)
    assert stored.event.actor.startswith("{sealed:")
    await recorder.record(an_event(tenant_id, path=f"GET /{stored.event.actor}"), person=user_id)
    async with database.transaction(tenant_id) as tx:
        (newest, _) = await store.list_events(tx)
    assert newest.event.path.startswith("GET /{sealed ")
    assert newest.event.actor == "ada@example.com"
    await recorder.close()
    await running
