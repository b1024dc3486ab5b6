"""Signals, shared by every tenant whose configuration asks for the same computation."""

from __future__ import annotations

from sqlalchemy import Column, Double, Table

from alphapulse.tables.columns import METADATA, document, moment, text

#: conviction null: the agent abstained.
SIGNALS = Table(
    "signals",
    METADATA,
    text("agent", primary_key=True),
    text("parameters_key", primary_key=True),
    text("venue", primary_key=True),
    text("symbol", primary_key=True),
    text("timeframe", primary_key=True),
    moment("at", primary_key=True),
    Column("conviction", Double, nullable=True),
    Column("confidence", Double, nullable=False),
    text("rationale"),
    document("numbers"),
    moment("recorded_at"),
)
