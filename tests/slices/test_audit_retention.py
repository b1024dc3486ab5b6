"""Heads outside the database, months dropped behind a checkpoint, and the export for auditors."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.audit import chain, store
from alphapulse.audit.export import ExportFormat, export
from alphapulse.audit.heads import HeadFiles
from alphapulse.audit.retention import LogKeeper
from alphapulse.clock import SystemClock
from alphapulse.domain.audit import AuditEvent, AuditKind, ChainVerdict, parse_head, parse_heads
from alphapulse.domain.tenancy import PLATFORM
from alphapulse.errors import Defect, InvalidInput, Refused

NOW = SystemClock().now()
KEEP = timedelta(days=365)


def an_event(owner: UUID, at: datetime, **changes: str) -> AuditEvent:
    return AuditEvent(owner, changes.pop("actor", "key:abc"), "a.b", "GET /", 200, "ok", "r", at, **changes)  # type: ignore[arg-type]


async def append(database: PostgresDatabase, *events: AuditEvent) -> None:
    async with database.shared() as tx:
        await store.append(tx, events)


async def verdict(database: PostgresDatabase, owner: UUID, files: HeadFiles | None = None) -> ChainVerdict:
    published = [] if files is None else files.by_chain()[owner]
    async with database.transaction(owner) as tx:
        return await chain.verify(tx, published)


def rewrite(urls: DatabaseUrls, owner: UUID) -> None:
    """Change the second row and make the whole chain true again, as somebody could who may write everything."""
    assert urls.admin is not None
    with psycopg.connect(urls.admin, autocommit=True) as admin:
        rows = admin.execute("SELECT * FROM app.audit_events WHERE tenant_id = %s ORDER BY sequence", [owner])
        names = [column.name for column in rows.description or ()]
        previous = chain.GENESIS
        for values in rows.fetchall():
            row = dict(zip(names, values, strict=True))
            if row["sequence"] == 2:
                row["actor"] = "key:eve"
            row["changes"] = row["changes"] or ""
            digest = chain.chain_hash(previous, row["sequence"], store.chained(row).event)
            admin.execute(
                "UPDATE app.audit_events SET actor = %s, previous_hash = %s, hash = %s"
                " WHERE tenant_id = %s AND sequence = %s",
                [row["actor"], previous, digest, owner, row["sequence"]],
            )
            previous = digest
        admin.execute("UPDATE app.audit_heads SET hash = %s WHERE tenant_id = %s", [previous, owner])


@pytest.fixture
def files(tmp_path: Path) -> HeadFiles:
    return HeadFiles(tmp_path / "heads")


@pytest.fixture
def retention(database: PostgresDatabase, files: HeadFiles) -> LogKeeper:
    return LogKeeper(database=database, files=files, clock=SystemClock(), keep=KEEP)


async def test_a_chain_rewritten_as_a_whole_shows_only_against_published_heads(
    database: PostgresDatabase, urls: DatabaseUrls, retention: LogKeeper, files: HeadFiles
) -> None:
    owner = uuid4()
    await append(database, *(an_event(owner, NOW) for _ in range(3)))
    assert await retention.publish() == 1
    await append(database, *(an_event(owner, NOW) for _ in range(3)))
    assert (await verdict(database, owner, files)).compared == 1
    rewrite(urls, owner)
    assert (await verdict(database, owner)).broken_at is None
    found = await verdict(database, owner, files)
    assert (found.broken_at, "rewritten" in found.problem) == (3, True)


async def test_rows_cut_off_the_end_show_against_published_heads(
    database: PostgresDatabase, urls: DatabaseUrls, retention: LogKeeper, files: HeadFiles
) -> None:
    owner = uuid4()
    await append(database, *(an_event(owner, NOW) for _ in range(5)))
    await retention.publish()
    assert urls.admin is not None
    with psycopg.connect(urls.admin, autocommit=True) as admin:
        admin.execute(
            "UPDATE app.audit_heads h SET sequence = 4, hash = e.previous_hash FROM app.audit_events e"
            " WHERE e.tenant_id = h.tenant_id AND e.sequence = 5"
        )
        admin.execute("DELETE FROM app.audit_events WHERE sequence = 5")
    assert (await verdict(database, owner)).broken_at is None
    found = await verdict(database, owner, files)
    assert (found.broken_at, found.problem) == (5, "rows 5 to 5 were published and are missing")


async def test_a_head_is_published_once_until_its_chain_moves(
    database: PostgresDatabase, retention: LogKeeper, files: HeadFiles
) -> None:
    owner = uuid4()
    await append(database, an_event(owner, NOW), an_event(PLATFORM, NOW))
    assert [await retention.publish() for _ in range(2)] == [2, 0]
    await append(database, an_event(owner, NOW))
    assert await retention.publish() == 1
    assert [head.sequence for head in files.by_chain()[owner]] == [1, 2]


async def test_a_line_that_a_crash_left_unfinished_does_not_spoil_the_next(
    database: PostgresDatabase, retention: LogKeeper, files: HeadFiles
) -> None:
    owner = uuid4()
    await append(database, an_event(owner, NOW))
    await retention.publish()
    (path,) = files.directory.iterdir()
    with path.open("a") as file:
        file.write('{"at": "20')
    await append(database, an_event(owner, NOW))
    await retention.publish()
    assert [head.sequence for head in files.by_chain()[owner]] == [1, 2]


def test_a_line_that_was_not_finished_is_left_out_and_a_damaged_one_refused() -> None:
    line = json.dumps({"at": "2026-03-01T00:00:00Z", "chain": str(PLATFORM), "sequence": 1, "hash": "00" * 32})
    assert len(parse_heads(f"{line}\n{line[:40]}", "f")) == 1
    for damaged in ("x\n", "[]\n", "{}\n", "1\n", line.replace("00", "zz", 1) + "\n"):
        with pytest.raises(InvalidInput, match="f: line 2 is not a published head"):
            parse_heads(f"{line}\n{damaged}", "f")


@pytest.mark.parametrize("text", ["", "1", "1:", f"x:{'0' * 64}", f"-1:{'0' * 64}", f"{'9' * 30}:{'0' * 64}", "1:00"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_head(text, "against")


async def test_months_older_than_kept_are_dropped_and_verifying_starts_behind_them(
    database: PostgresDatabase, retention: LogKeeper, files: HeadFiles
) -> None:
    owner, old, recent = uuid4(), NOW - KEEP - timedelta(days=70), NOW - timedelta(days=40)
    await append(database, *(an_event(owner, old) for _ in range(4)))
    await append(database, *(an_event(PLATFORM, old + timedelta(days=31)) for _ in range(2)))
    await append(database, *(an_event(owner, recent) for _ in range(3)))
    dropped = await retention.drop()
    assert dropped == [old.date().replace(day=1), (old + timedelta(days=31)).date().replace(day=1)]
    found = await verdict(database, owner, files)
    assert (found.start, found.length, found.broken_at, found.compared) == (4, 8, None, 1)
    async with database.transaction(owner) as tx:
        rows = await store.events_after(tx, 0, since=None, until=None, limit=100)
    assert [row.sequence for row in rows] == [5, 6, 7, 8]
    assert (rows[-1].event.kind, rows[-1].event.subject) == (AuditKind.CHECKPOINT, "4")
    assert (await verdict(database, PLATFORM)).start == 2
    assert await retention.drop() == []
    await append(database, an_event(owner, NOW))
    assert (await verdict(database, owner)).broken_at is None


async def test_a_broken_chain_keeps_every_month(
    database: PostgresDatabase, urls: DatabaseUrls, retention: LogKeeper
) -> None:
    owner, old = uuid4(), NOW - KEEP - timedelta(days=70)
    await append(database, *(an_event(owner, old) for _ in range(3)), an_event(PLATFORM, old))
    assert urls.admin is not None
    with psycopg.connect(urls.admin, autocommit=True) as admin:
        admin.execute("UPDATE app.audit_events SET actor = 'key:eve' WHERE sequence = 2")
    with pytest.raises(Refused, match="is broken at 2"):
        await retention.drop()
    assert (await verdict(database, owner)).length == 3
    assert (await verdict(database, PLATFORM)).start == 0


async def test_the_database_drops_no_month_that_has_no_checkpoint_or_is_young(database: PostgresDatabase) -> None:
    await append(database, an_event(uuid4(), NOW - KEEP - timedelta(days=70)))
    for before, told in ((NOW.date(), "last three months"), ((NOW - KEEP).date().replace(day=1), "no checkpoint")):
        with pytest.raises(Defect, match=told):
            async with database.shared() as tx:
                await store.drop_months(tx, before)


async def test_rows_missing_before_the_first_are_no_checkpoint(database: PostgresDatabase, urls: DatabaseUrls) -> None:
    owner = uuid4()
    await append(database, *(an_event(owner, NOW) for _ in range(4)))
    assert urls.admin is not None
    with psycopg.connect(urls.admin, autocommit=True) as admin:
        admin.execute("DELETE FROM app.audit_events WHERE sequence < 3")
    found = await verdict(database, owner)
    assert (found.broken_at, found.problem) == (1, "rows 1 to 2 are missing")


async def test_a_row_never_belongs_to_a_month_before_its_predecessors(database: PostgresDatabase) -> None:
    owner = uuid4()
    times = [datetime(2026, 2, 3, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)]
    await append(database, *(an_event(owner, at) for at in times))
    async with database.transaction(owner) as tx:
        rows = await tx.all("SELECT month FROM audit_events WHERE tenant_id = %(id)s ORDER BY sequence", {"id": owner})
        assert (await chain.verify(tx)).broken_at is None
    assert [row["month"] for row in rows][:2] == [date(2026, 2, 1)] * 2
    assert rows[2]["month"] <= (NOW + timedelta(days=2)).date()


async def test_an_export_has_every_event_oldest_first_in_both_forms(database: PostgresDatabase) -> None:
    owner = uuid4()
    # More than a page, and a text that a spreadsheet would run.
    await append(database, *(an_event(owner, NOW, reason="=1+1") for _ in range(1100)))
    await append(database, an_event(uuid4(), NOW))
    pieces = [piece async for piece in export(database, owner, ExportFormat.JSONL, since=None, until=None)]
    rows = [json.loads(line) for line in b"".join(pieces).splitlines()]
    assert [row["sequence"] for row in rows] == list(range(1, 1101))
    assert (rows[0]["reason"], len(rows[0]["hash"])) == ("=1+1", 64)
    text = b"".join([piece async for piece in export(database, owner, ExportFormat.CSV, since=None, until=None)])
    records = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    assert [record["sequence"] for record in records] == [row["sequence"] for row in map(str_sequence, rows)]
    assert records[0]["reason"] == "'=1+1"


def str_sequence(row: dict[str, object]) -> dict[str, str]:
    return {"sequence": str(row["sequence"])}


async def test_an_export_of_a_span_has_only_its_events(database: PostgresDatabase) -> None:
    owner = uuid4()
    await append(database, *(an_event(owner, NOW - timedelta(days=day)) for day in (40, 20, 1)))
    since, until = NOW - timedelta(days=30), NOW - timedelta(days=10)
    pieces = [piece async for piece in export(database, owner, ExportFormat.JSONL, since=since, until=until)]
    assert [json.loads(line)["sequence"] for line in b"".join(pieces).splitlines()] == [2]
