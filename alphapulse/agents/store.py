"""Signals as rows: one per (agent, parameters, series, bar), shared by every tenant and never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from alphapulse.domain.market import Series, Timeframe
from alphapulse.domain.signals import Signal
from alphapulse.ports.database import Row, Transaction


@dataclass(frozen=True, slots=True)
class Computation:
    """What identifies a signal. parameters_key: canonical text of the parameters. at: close of the bar."""

    agent: str
    parameters_key: str
    series: Series
    at: datetime


async def find(tx: Transaction, wanted: Sequence[Computation]) -> dict[Computation, Signal]:
    """Those of ``wanted`` that are stored."""
    rows = await tx.all(
        "SELECT s.* FROM signals s JOIN unnest(%(agents)s::text[], %(keys)s::text[], %(venues)s::text[],"
        " %(symbols)s::text[], %(timeframes)s::text[], %(ats)s::timestamptz[])"
        " AS w(agent, parameters_key, venue, symbol, timeframe, at)"
        " USING (agent, parameters_key, venue, symbol, timeframe, at)",
        {
            "agents": [item.agent for item in wanted],
            "keys": [item.parameters_key for item in wanted],
            "venues": [item.series.venue for item in wanted],
            "symbols": [item.series.symbol for item in wanted],
            "timeframes": [item.series.timeframe.value for item in wanted],
            "ats": [item.at for item in wanted],
        },
    )
    signals = map(_signal, rows)
    return {Computation(signal.agent, signal.parameters_key, signal.series, signal.at): signal for signal in signals}


async def add(tx: Transaction, signals: Sequence[Signal], recorded_at: datetime) -> None:
    """Store ``signals``; one that another process stored first stands, and is equal."""
    await tx.run_many(
        "INSERT INTO signals (agent, parameters_key, venue, symbol, timeframe, at, conviction, confidence,"
        " rationale, numbers, recorded_at) VALUES (%(agent)s, %(parameters_key)s, %(venue)s, %(symbol)s,"
        " %(timeframe)s, %(at)s, %(conviction)s, %(confidence)s, %(rationale)s, %(numbers)s::jsonb, %(recorded_at)s)"
        " ON CONFLICT DO NOTHING",
        [
            {
                "agent": signal.agent,
                "parameters_key": signal.parameters_key,
                "venue": signal.series.venue,
                "symbol": signal.series.symbol,
                "timeframe": signal.series.timeframe.value,
                "at": signal.at,
                "conviction": signal.conviction,
                "confidence": signal.confidence,
                "rationale": signal.rationale,
                "numbers": orjson.dumps(signal.numbers).decode(),
                "recorded_at": recorded_at,
            }
            for signal in signals
        ],
    )


async def newest(
    tx: Transaction,
    *,
    agent: str | None = None,
    venue: str | None = None,
    symbol: str | None = None,
    timeframe: Timeframe | None = None,
    limit: int = 100,
) -> list[Signal]:
    """Of everybody, newest bar first; None leaves a field open."""
    rows = await tx.all(
        "SELECT * FROM signals"
        " WHERE (%(agent)s::text IS NULL OR agent = %(agent)s)"
        " AND (%(venue)s::text IS NULL OR venue = %(venue)s)"
        " AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)"
        " AND (%(timeframe)s::text IS NULL OR timeframe = %(timeframe)s)"
        " ORDER BY at DESC, agent, symbol, parameters_key LIMIT %(limit)s",
        {"agent": agent, "venue": venue, "symbol": symbol, "timeframe": timeframe, "limit": limit},
    )
    return list(map(_signal, rows))


@dataclass(frozen=True, slots=True)
class Use:
    """An agent as a configuration uses it on one series. parameters: as stored there."""

    agent: str
    parameters: Mapping[str, float]
    series: Series


async def uses(tx: Transaction) -> list[Use]:
    """What the configurations of the bound tenant's funds ask for, of every version, each once."""
    rows = await tx.all(
        "SELECT DISTINCT choice->>'name' AS agent, choice->'parameters' AS parameters, config->>'venue' AS venue,"
        " symbol, config->>'timeframe' AS timeframe FROM fund_configs,"
        " jsonb_array_elements(config->'agents') AS choice, jsonb_array_elements_text(config->'universe') AS symbol"
    )
    return [
        Use(row["agent"], row["parameters"], Series(row["venue"], row["symbol"], Timeframe(row["timeframe"])))
        for row in rows
    ]


async def newest_of(tx: Transaction, wanted: Sequence[tuple[str, str, Series]], limit: int) -> list[Signal]:
    """Of these (agent, parameters_key, series) only, newest bar first."""
    rows = await tx.all(
        "SELECT s.* FROM unnest(%(agents)s::text[], %(keys)s::text[], %(venues)s::text[], %(symbols)s::text[],"
        " %(timeframes)s::text[]) AS w(agent, parameters_key, venue, symbol, timeframe)"
        # Each from its end of the primary key: the table holds every tenant's signals of all time.
        " CROSS JOIN LATERAL (SELECT * FROM signals WHERE agent = w.agent AND parameters_key = w.parameters_key"
        " AND venue = w.venue AND symbol = w.symbol AND timeframe = w.timeframe ORDER BY at DESC LIMIT %(limit)s) s"
        " ORDER BY s.at DESC, s.agent, s.symbol, s.parameters_key LIMIT %(limit)s",
        {
            "agents": [agent for agent, _, _ in wanted],
            "keys": [key for _, key, _ in wanted],
            "venues": [series.venue for _, _, series in wanted],
            "symbols": [series.symbol for _, _, series in wanted],
            "timeframes": [series.timeframe.value for _, _, series in wanted],
            "limit": limit,
        },
    )
    return list(map(_signal, rows))


def _signal(row: Row) -> Signal:
    return Signal(
        row["agent"],
        row["parameters_key"],
        Series(row["venue"], row["symbol"], Timeframe(row["timeframe"])),
        row["at"],
        row["conviction"],
        row["confidence"],
        row["rationale"],
        row["numbers"],
    )
