"""The audit log as text for auditors: one JSON object or one CSV record per event, oldest first."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson

from alphapulse.audit import store
from alphapulse.domain.audit import ChainedEvent
from alphapulse.domain.wire import encode, write_time
from alphapulse.ports.database import Database

_PAGE: Final = 1_000
_COLUMNS: Final = (
    "sequence",
    "at",
    "kind",
    "actor",
    "action",
    "subject",
    "path",
    "status",
    "outcome",
    "count",
    "address",
    "duration_ms",
    "reason",
    "changes",
    "support",
    "request_id",
    "hash",
)
#: What a spreadsheet would take for a formula.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


class ExportFormat(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


async def export(
    database: Database, chain: UUID, form: ExportFormat, *, since: datetime | None, until: datetime | None
) -> AsyncGenerator[bytes]:
    """The chain's events page by page, each page read in a transaction of its own. since, until: half-open, of ``at``.

    A CSV field that a spreadsheet would take for a formula gets a leading apostrophe; JSON has the text as it is.
    """
    if form is ExportFormat.CSV:
        yield _records([list(_COLUMNS)])
    sequence = 0
    while True:
        async with database.transaction(chain) as tx:
            found = await store.events_after(tx, sequence, since=since, until=until, limit=_PAGE)
        if not found:
            return
        rows = [_row(item) for item in found]
        if form is ExportFormat.CSV:
            yield _records([[_cell(row[name]) for name in _COLUMNS] for row in rows])
        else:
            yield b"".join(orjson.dumps(row) + b"\n" for row in rows)
        sequence = found[-1].sequence


def _row(item: ChainedEvent) -> dict[str, Any]:
    event = item.event
    values = {name: encode(getattr(event, name)) for name in _COLUMNS if name not in {"sequence", "at", "hash"}}
    return {"sequence": item.sequence, "at": write_time(event.at), **values, "hash": item.hash.hex()}


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value == {} else orjson.dumps(value).decode()
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _records(rows: Sequence[Sequence[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()
