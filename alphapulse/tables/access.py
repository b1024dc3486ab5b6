"""Second factors, the tally of failed log-ins, and the keys that sign tokens."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table
from sqlalchemy.dialects.postgresql import ARRAY

from alphapulse.tables.columns import METADATA, SCHEMA, moment, text

#: One authenticator per user. last_step: of the last code that was taken, which is never taken again.
SECOND_FACTORS = Table(
    "second_factors",
    METADATA,
    Column("user_id", ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed_secret", LargeBinary, nullable=False),
    moment("created_at"),
    moment("confirmed_at", nullable=True),
    Column("last_step", BigInteger, nullable=False),
    Column("recovery_hashes", ARRAY(LargeBinary), nullable=False),
)

#: subject: a hash of an address, an account, a pair of them or a device.
LOGIN_FAILURES = Table(
    "login_failures",
    METADATA,
    Column("subject", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    moment("last_at"),
    Index(None, "last_at"),
)

#: id: the thumbprint of the public key. Signs from active_from on, until a later one does; good until retires_at.
SIGNING_KEYS = Table(
    "signing_keys",
    METADATA,
    text("id", primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sealed_private_key", LargeBinary, nullable=False),
    moment("created_at"),
    moment("active_from"),
    moment("retires_at", nullable=True),
)
