"""Decisions, orders and what became of them, and the books."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, Table, UniqueConstraint

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

ORDERS = Table(
    "orders",
    METADATA,
    tenant_id(primary_key=True),
    identity(primary_key=True),
    identity("fund_id"),
    text("client_order_id"),
    identity("decision_id", nullable=True),
    text("leg"),
    text("venue"),
    text("symbol"),
    text("side"),
    text("type"),
    money("quantity"),
    money("limit_price", nullable=True),
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
    Index(None, "tenant_id", "fund_id", "status"),
    Index(None, "tenant_id", "fund_id", "at"),
    Index(None, "tenant_id", "decision_id"),
)

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

FILLS = Table(
    "fills",
    METADATA,
    tenant_id(primary_key=True),
    identity("order_id", primary_key=True),
    text("venue_fill_id", primary_key=True),
    identity("fund_id"),
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
    Index(None, "tenant_id", "fund_id", "at"),
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

BALANCES = Table(
    "balances",
    METADATA,
    tenant_id(primary_key=True),
    identity("fund_id", primary_key=True),
    text("asset", primary_key=True),
    money("amount"),
    of_fund(),
)

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
