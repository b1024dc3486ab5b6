"""Funds and their versioned configuration."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import orjson

from alphapulse.domain.funds import ConfigVersion, Fund, FundConfig, FundMode, FundState
from alphapulse.domain.wire import decode, encode
from alphapulse.errors import NotFound
from alphapulse.ports.database import Row, Transaction

_FUND: LiteralString = (
    "SELECT f.id, f.tenant_id, f.name, f.mode, f.state, f.capital, f.config_version, c.config, f.created_at"
    " FROM funds f JOIN fund_configs c"
    " ON c.tenant_id = f.tenant_id AND c.fund_id = f.id AND c.version = f.config_version"
    " WHERE f.tenant_id = %(tenant_id)s"
)


def as_uuid(text: str) -> UUID | None:
    """``text`` as an id, None when it is something else."""
    try:
        return UUID(text)
    except ValueError:
        return None


async def insert(tx: Transaction, fund: Fund, actor: str) -> None:
    """Raises AlreadyExists when the tenant has a fund of this name."""
    await tx.run(
        "INSERT INTO funds (tenant_id, id, name, mode, state, capital, config_version, timeframe, created_at)"
        " VALUES (%(tenant_id)s, %(id)s, %(name)s, %(mode)s, %(state)s, %(capital)s, %(version)s, %(timeframe)s,"
        " %(at)s)",
        {
            "tenant_id": fund.tenant_id,
            "id": fund.id,
            "name": fund.name,
            "mode": fund.mode.value,
            "state": fund.state.value,
            "capital": fund.capital,
            "version": fund.config_version,
            "timeframe": fund.config.timeframe.value,
            "at": fund.created_at,
        },
    )
    await _insert_config(tx, fund, fund.config_version, fund.config, actor, fund.created_at)


async def find(tx: Transaction, reference: str) -> Fund:
    """The bound tenant's fund of this name or id. Raises NotFound."""
    row = await tx.one(
        _FUND + " AND (f.name = %(name)s OR f.id = %(id)s) ORDER BY f.name = %(name)s DESC LIMIT 1",
        {"tenant_id": tx.tenant_id, "name": reference, "id": as_uuid(reference)},
    )
    if row is None:
        raise unknown(reference)
    return _fund(row)


def unknown(reference: str) -> NotFound:
    return NotFound(f"there is no fund {reference[:80]!r}", fix="List them with: alphapulse funds list")


async def all_of(tx: Transaction, ids: Sequence[UUID] | None = None) -> list[Fund]:
    """The bound tenant's funds by name; only those of ``ids`` when given."""
    rows = await tx.all(
        _FUND + " AND (%(ids)s::uuid[] IS NULL OR f.id = ANY(%(ids)s::uuid[])) ORDER BY f.name",
        {"tenant_id": tx.tenant_id, "ids": None if ids is None else list(ids)},
    )
    return [_fund(row) for row in rows]


async def lock(tx: Transaction, fund_id: UUID) -> None:
    """Holds the fund's row until the transaction ends: one writer of a fund's books at a time. Raises NotFound.

    What is read afterwards, by a later statement, is what the last writer committed. The advisory lock makes moves of
    the tenant's state (tenancy/tenants_store.lock) wait, so that none misses an order.
    """
    row = await tx.one(
        "SELECT id, pg_advisory_xact_lock_shared(hashtextextended(tenant_id::text, 1)) FROM funds"
        " WHERE tenant_id = %(tenant_id)s AND id = %(id)s FOR UPDATE",
        {"tenant_id": tx.tenant_id, "id": fund_id},
    )
    if row is None:
        raise unknown(str(fund_id))


async def set_state(tx: Transaction, fund_id: UUID, state: FundState) -> None:
    await tx.run(
        "UPDATE funds SET state = %(state)s WHERE tenant_id = %(tenant_id)s AND id = %(id)s",
        {"tenant_id": tx.tenant_id, "id": fund_id, "state": state.value},
    )


async def add_config(tx: Transaction, fund: Fund, config: FundConfig, actor: str, now: datetime) -> int:
    """``config`` as the next version, in force from now on; the fund's row must be locked. Gives the version."""
    version = fund.config_version + 1
    await _insert_config(tx, fund, version, config, actor, now)
    await tx.run(
        "UPDATE funds SET config_version = %(version)s, timeframe = %(timeframe)s"
        " WHERE tenant_id = %(tenant_id)s AND id = %(id)s",
        {"tenant_id": tx.tenant_id, "id": fund.id, "version": version, "timeframe": config.timeframe.value},
    )
    return version


async def _insert_config(
    tx: Transaction, fund: Fund, version: int, config: FundConfig, actor: str, now: datetime
) -> None:
    await tx.run(
        "INSERT INTO fund_configs (tenant_id, fund_id, version, config, actor, recorded_at)"
        " VALUES (%(tenant_id)s, %(fund_id)s, %(version)s, %(config)s::jsonb, %(actor)s, %(at)s)",
        {
            "tenant_id": fund.tenant_id,
            "fund_id": fund.id,
            "version": version,
            "config": orjson.dumps(encode(config)).decode(),
            "actor": actor,
            "at": now,
        },
    )


async def versions(tx: Transaction, fund_id: UUID, version: int | None = None) -> list[ConfigVersion]:
    """Newest first; only ``version`` when given."""
    rows = await tx.all(
        "SELECT version, config, actor, recorded_at FROM fund_configs"
        " WHERE tenant_id = %(tenant_id)s AND fund_id = %(fund_id)s"
        " AND (%(version)s::int IS NULL OR version = %(version)s) ORDER BY version DESC",
        {"tenant_id": tx.tenant_id, "fund_id": fund_id, "version": version},
    )
    return [
        ConfigVersion(row["version"], decode(FundConfig, row["config"]), row["actor"], row["recorded_at"])
        for row in rows
    ]


def _fund(row: Row) -> Fund:
    return Fund(
        id=row["id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        mode=FundMode(row["mode"]),
        state=FundState(row["state"]),
        capital=row["capital"],
        config_version=row["config_version"],
        config=decode(FundConfig, row["config"]),
        created_at=row["created_at"],
    )
