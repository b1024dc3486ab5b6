"""Whether a restored database is what was kept: its rows, its books, its audit chains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from alphapulse.audit import chain
from alphapulse.backup.store import tenant_ids
from alphapulse.domain.audit import PublishedHead
from alphapulse.domain.tenancy import PLATFORM
from alphapulse.ports.backup import Content
from alphapulse.ports.database import Database
from alphapulse.trading import drift, fund_store


@dataclass(frozen=True, slots=True)
class Looked:
    """events: in all chains, as far as they are stored. problems: one line per difference; empty when it is sound."""

    tenants: int
    funds: int
    chains: int
    events: int
    problems: tuple[str, ...]


def differences(kept: Content, found: Content) -> Iterator[str]:
    """One line per table or audit chain that did not come back as it was. Both at the same version of the schema."""
    for table in sorted({*kept.rows, *found.rows}):
        wanted, there = kept.rows.get(table), found.rows.get(table)
        if wanted != there:
            yield f"{table} has {_count(there)}, {_count(wanted)} kept"
    for tenant in sorted({*kept.heads, *found.heads}):
        if kept.heads.get(tenant) != found.heads.get(tenant):
            yield f"the audit chain of {tenant} ends elsewhere than the one that was kept"


async def look(database: Database, kept: Content | None = None, kept_at: datetime | None = None) -> Looked:
    """Derive every fund's books anew and hash every audit chain again. kept: heads that the chains must agree with.

    One transaction per fund and per chain.
    """
    async with database.shared() as tx:
        tenants = await tenant_ids(tx)
    problems: list[str] = []
    funds = events = chains = 0
    for tenant_id in (*tenants, PLATFORM):
        async with database.transaction(tenant_id) as tx:
            owned = await fund_store.all_of(tx)
        for fund in owned:
            async with database.transaction(tenant_id) as tx:
                problems += [f"fund {fund.name} of {tenant_id}: {line}" for line in await drift.find(tx, fund)]
        funds += len(owned)
        async with database.transaction(tenant_id) as tx:
            verdict = await chain.verify(tx, _published(tenant_id, kept, kept_at))
        if verdict.broken_at is not None:
            problems.append(f"the audit chain of {tenant_id}, entry {verdict.broken_at}: {verdict.problem}")
        events += verdict.length - verdict.start
        chains += verdict.length > 0
    return Looked(len(tenants), funds, chains, events, tuple(problems))


def _published(tenant_id: UUID, kept: Content | None, kept_at: datetime | None) -> list[PublishedHead]:
    head = None if kept is None else kept.heads.get(str(tenant_id))
    if head is None or kept_at is None or head[0] == 0:
        return []
    return [PublishedHead(tenant_id, head[0], bytes.fromhex(head[1]), kept_at)]


def _count(rows: int | None) -> str:
    return "no such table" if rows is None else f"{rows:,} rows"
