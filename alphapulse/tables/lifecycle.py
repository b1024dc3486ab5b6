"""How tenants were provisioned, what the platform granted them beyond their tier, and what they used of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table

from alphapulse.tables.columns import METADATA, identity, moment, money, tenant_id, text

#: One provisioning per tenant; a repeat after a failure starts it anew. admin_id: a user who signed up themselves.
PROVISIONINGS = Table(
    "provisionings",
    METADATA,
    tenant_id(primary_key=True),
    text("admin_email"),
    identity("admin_id", nullable=True),
    text("direction"),  # forward, back
    text("error"),
    text("actor"),
    moment("started_at"),
    moment("finished_at", nullable=True),
)

#: What a provisioning does, step by step.
PROVISIONING_STEPS = Table(
    "provisioning_steps",
    METADATA,
    tenant_id(primary_key=True),
    text("name", primary_key=True),
    Column("position", Integer, nullable=False),
    text("state"),
    Column("attempts", Integer, nullable=False),
    text("detail"),
    text("error"),
    moment("started_at", nullable=True),
    moment("finished_at", nullable=True),
)

#: Limits that the platform set for one tenant until a time; a value of null is unlimited.
TENANT_OVERRIDES = Table(
    "tenant_overrides",
    METADATA,
    tenant_id(primary_key=True),
    text("limit", primary_key=True),
    Column("value", BigInteger, nullable=True),
    moment("expires_at"),
    text("reason"),
    text("actor"),
    moment("created_at"),
)

#: Per UTC day: the most that was used at once, or the sum of calls; what of it lay beyond the limit, and its price.
PLAN_USAGE = Table(
    "plan_usage",
    METADATA,
    tenant_id(primary_key=True),
    text("limit", primary_key=True),
    moment("day", primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    Column("overage", BigInteger, nullable=False),
    money("amount"),
)
