"""Funds, their versioned configuration, replays, equity, halts."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    UniqueConstraint,
)

from alphapulse.tables.columns import METADATA, SCHEMA, document, identity, moment, money, tenant_id, text


def of_fund() -> ForeignKeyConstraint:
    """Composite, so that a row can never point at another tenant's fund."""
    return ForeignKeyConstraint(
        ["tenant_id", "fund_id"], [f"{SCHEMA}.funds.tenant_id", f"{SCHEMA}.funds.id"], ondelete="CASCADE"
    )


#: One row per fund; what it trades and how stands in fund_configs.
FUNDS = Table(
    "funds",
    METADATA,
    tenant_id(primary_key=True),
    identity(primary_key=True),
    text("name"),
    text("mode"),
    text("state"),
    money("capital"),
    Column("config_version", Integer, nullable=False),
    text("timeframe"),  # copy of the configuration in force, for the look-up of due funds
    moment("created_at"),
    UniqueConstraint("tenant_id", "name"),
    UniqueConstraint("id"),
    Index(None, "state", "timeframe"),
)

#: Every version of a fund's configuration; funds.config_version names the one in force.
FUND_CONFIGS = Table(
    "fund_configs",
    METADATA,
    tenant_id(primary_key=True),
    identity("fund_id", primary_key=True),
    Column("version", Integer, primary_key=True),
    document("config"),
    text("actor"),
    moment("recorded_at"),
    of_fund(),
)

#: Runs of a fund over past bars; the cursor moves in the bar's last transaction, so a restart resumes.
REPLAYS = Table(
    "replays",
    METADATA,
    tenant_id(primary_key=True),
    identity(primary_key=True),
    identity("fund_id"),
    moment("start_at"),  # close of the first bar to run
    moment("end_at"),  # close of the last bar to run
    moment("cursor", nullable=True),  # close of the last bar done
    text("state"),  # running, finished, failed, stopped
    text("error"),
    moment("recorded_at"),
    of_fund(),
    Index(None, "tenant_id", "fund_id"),
    Index(None, "state"),
)

#: A fund's worth at the close of each bar, base currency; benchmark: the worth of holding instead.
EQUITY = Table(
    "equity",
    METADATA,
    tenant_id(primary_key=True),
    identity("fund_id", primary_key=True),
    moment("at", primary_key=True),
    money("equity"),
    money("cash"),
    money("benchmark"),
    moment("recorded_at"),
    of_fund(),
)

#: fund_id null: the whole tenant.
HALTS = Table(
    "halts",
    METADATA,
    tenant_id(primary_key=True),
    identity(primary_key=True),
    identity("fund_id", nullable=True),
    text("reason"),
    text("actor"),
    moment("recorded_at"),
    moment("lifted_at", nullable=True),
    text("lifted_by"),
    of_fund(),
)

#: Halts of the whole platform: every tenant may read them.
PLATFORM_HALTS = Table(
    "platform_halts",
    METADATA,
    identity(primary_key=True),
    text("reason"),
    text("actor"),
    moment("recorded_at"),
    moment("lifted_at", nullable=True),
    text("lifted_by"),
)
