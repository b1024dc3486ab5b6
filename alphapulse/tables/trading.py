"""Decisions, orders and what became of them, and the books."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Integer, Table, UniqueConstraint
from sqlalchemy import text as sql

from alphapulse.tables.columns import METADATA, SCHEMA, document, identity, moment, money, tenant_id, text
from alphapulse.tables.funds import of_fund


def of_order() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["tenant_id", "order_id"], [f"{SCHEMA}.orders.tenant_id", f"{SCHEMA}.orders.id"], ondelete="CASCADE"
    )


#: detail: votes, consensus, allocation, sizing and every risk check, as printed by ``orders explain``.
DECISIONS = Table(
    "decisions",
    METADATA,
    tenant_id(primary_key=True),
    identity(primary_key=True),
    identity("fund_id"),
    moment("at"),
    text("state"),  # made, missed
    Column("config_version", Integer, nullable=False),
    document("detail"),
    moment("recorded_at"),
    of_fund(),
    UniqueConstraint("tenant_id", "fund_id", "at"),
)

#: Every order, denied ones too, with its checks; committed before any venue is called.
ORDERS = Table(
    "orders",
    METADATA,
    tenant_id(primary_key=True),
    identity(primary_key=True),
    identity("fund_id"),
    Column("sequence", BigInteger, nullable=False),  # 1, 2, 3 ... per fund: the order in which they were created
    text("client_order_id"),
    identity("decision_id", nullable=True),
    text("leg"),
    text("venue"),
    text("symbol"),
    text("side"),
    text("type"),
    money("quantity"),
    money("limit_price", nullable=True),
    text("timeframe"),  # bars that a simulated venue fills the order against
    text("fingerprint"),
    text("status"),
    money("filled_quantity"),
    money("average_price", nullable=True),
    text("venue_order_id", nullable=True),
    text("reason"),
    document("checks"),
    moment("at"),
    moment("cancel_requested_at", nullable=True),
    moment("recorded_at"),
    moment("updated_at"),
    of_fund(),
    UniqueConstraint("tenant_id", "client_order_id"),
    UniqueConstraint("tenant_id", "fund_id", "sequence"),
    Index(None, "tenant_id", "recorded_at"),
    Index(None, "tenant_id", "fund_id", "status"),
    Index(None, "tenant_id", "fund_id", "at"),
    Index(None, "tenant_id", "decision_id"),
    Index(
        "orders_live_idx",
        "tenant_id",
        "fund_id",
        postgresql_where=sql("status IN ('intended', 'unknown', 'open', 'partially_filled')"),
    ),
)

#: Every move of an order through its life, in order.
ORDER_EVENTS = Table(
    "order_events",
    METADATA,
    tenant_id(primary_key=True),
    identity("order_id", primary_key=True),
    Column("sequence", Integer, primary_key=True),
    text("event"),
    text("status_before"),
    text("status_after"),
    text("detail"),
    moment("at"),
    moment("recorded_at"),
    of_order(),
)

#: Executions, once each: the venue's own id is part of the key.
FILLS = Table(
    "fills",
    METADATA,
    tenant_id(primary_key=True),
    identity("order_id", primary_key=True),
    text("venue_fill_id", primary_key=True),
    identity("fund_id"),
    Column("sequence", BigInteger, nullable=False),  # 1, 2, 3 ... per fund: the order in which they were booked
    text("symbol"),
    text("side"),
    money("price"),
    money("quantity"),
    money("fee"),
    text("fee_asset"),
    moment("at"),
    moment("recorded_at"),
    of_order(),
    of_fund(),
    UniqueConstraint("tenant_id", "fund_id", "sequence"),
    Index(None, "tenant_id", "fund_id", "at"),
    Index(None, "tenant_id", "recorded_at"),
)

#: One row per posting; the postings of an entry sum to zero per asset.
LEDGER = Table(
    "ledger",
    METADATA,
    tenant_id(primary_key=True),
    identity("entry_id", primary_key=True),
    Column("line", Integer, primary_key=True),
    identity("fund_id"),
    text("kind"),
    text("account"),
    text("asset"),
    money("amount"),
    moment("at"),
    moment("recorded_at"),
    of_fund(),
    Index(None, "tenant_id", "fund_id", "at"),
)

#: Sum of the ledger per fund and asset.
BALANCES = Table(
    "balances",
    METADATA,
    tenant_id(primary_key=True),
    identity("fund_id", primary_key=True),
    text("asset", primary_key=True),
    money("amount"),
    of_fund(),
)

#: What a fund holds per symbol, derived from its fills.
POSITIONS = Table(
    "positions",
    METADATA,
    tenant_id(primary_key=True),
    identity("fund_id", primary_key=True),
    text("symbol", primary_key=True),
    money("quantity"),
    money("cost"),
    money("realised"),
    money("fees"),
    moment("updated_at"),
    of_fund(),
)
