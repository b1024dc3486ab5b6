"""Talking to a venue about one order, so that whatever goes wrong nothing is sent twice.

An order is sent only when the venue certainly does not have it, always under the same client order id, and only
while the bar that it was decided on is the newest. An answer that got lost is looked up a bounded number of times;
what is still unknown then waits for the next settlement and for a person. An order is withdrawn only when nobody
can be in the middle of sending it.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from alphapulse.domain.orders import NOT_SENT, Order, VenueReport, VenueState
from alphapulse.errors import Unavailable, UnknownOutcome
from alphapulse.ports.exchange import Exchange
from alphapulse.trading.settlement import Outcome, Tracked

#: How long after its intent another process may still be sending an order: longer than any adapter waits.
IN_FLIGHT = timedelta(minutes=2)
#: Look-ups of one order per settlement, and the wait before each but the first; it doubles from one to the next.
LOOK_UPS = 3
PAUSE = timedelta(milliseconds=200)


class _Lost(Exception):
    """Every look-up ended without an answer."""


async def send(exchange: Exchange, order: Order, as_of: datetime, pause: timedelta = PAUSE) -> Outcome:
    """Hand over an order whose intent was committed a moment ago."""
    try:
        return Outcome(order.id, await exchange.submit(order, as_of))
    except Unavailable:
        return Outcome(order.id)
    except UnknownOutcome:
        return await _resolve(exchange, order, as_of, pause, lost=True, may_send=True)


async def follow(
    exchange: Exchange, tracked: Tracked, as_of: datetime, now: datetime, *, halted: bool, pause: timedelta = PAUSE
) -> Outcome:
    """Find out where a live order stands; one that never reached the venue is sent now, or withdrawn.

    now: wall time. halted: a halt is in force, so nothing new is sent.
    """
    order = tracked.order
    if order.status in NOT_SENT:
        outcome = await _resolve(exchange, order, as_of, pause, lost=False, may_send=not halted)
        in_flight = now - tracked.recorded_at < IN_FLIGHT
        return Outcome(order.id) if outcome.withdrawn and in_flight else outcome
    try:
        if order.cancel_requested_at is not None:
            report = await exchange.cancel(order, as_of)
        else:
            report = await exchange.report(order, as_of)
    except (Unavailable, UnknownOutcome):
        return Outcome(order.id)
    if report is None:
        return Outcome(order.id, attention="the venue does not know an order that it had accepted")
    return Outcome(order.id, report)


async def _resolve(
    exchange: Exchange, order: Order, as_of: datetime, pause: timedelta, *, lost: bool, may_send: bool
) -> Outcome:
    try:
        report = await _look_up(exchange, order, as_of, pause)
    except _Lost:
        reason = "the venue did not say whether it has the order; it is looked up again"
        return Outcome(order.id, lost=True, attention=reason)
    if report is not None and report.state is VenueState.OPEN and order.cancel_requested_at is not None:
        return await _withdraw(exchange, order, as_of, report)
    if report is not None:
        return Outcome(order.id, report, lost=lost)
    if order.cancel_requested_at is not None:
        return Outcome(order.id, lost=lost, withdrawn="cancelled before it reached the venue")
    if not may_send:
        return Outcome(order.id, lost=lost, withdrawn="trading was halted before it reached the venue")
    if as_of >= order.at + order.timeframe.length:
        return Outcome(order.id, lost=lost, withdrawn="it never reached the venue and its bar is over")
    try:
        return Outcome(order.id, await exchange.submit(order, as_of), lost=lost)
    except Unavailable:
        return Outcome(order.id, lost=lost)
    except UnknownOutcome:
        reason = "the venue twice did not say whether it acted; it is looked up again"
        return Outcome(order.id, lost=True, attention=reason)


async def _withdraw(exchange: Exchange, order: Order, as_of: datetime, report: VenueReport) -> Outcome:
    try:
        return Outcome(order.id, await exchange.cancel(order, as_of))
    except (Unavailable, UnknownOutcome):
        return Outcome(order.id, report)


async def _look_up(exchange: Exchange, order: Order, as_of: datetime, pause: timedelta) -> VenueReport | None:
    """What the venue knows; None when it said each time that it does not know the order.

    Only a repeated "not known" counts: a venue may need a moment until an order that it took can be seen.
    Raises _Lost when no look-up was answered, or when the answers ended in silence.
    """
    answered = False
    for attempt in range(LOOK_UPS):
        if attempt:
            await asyncio.sleep((pause * 2 ** (attempt - 1)).total_seconds())
        try:
            report = await exchange.report(order, as_of)
        except (Unavailable, UnknownOutcome):
            answered = False
            continue
        if report is not None or not exchange.visibility:
            return report
        answered = True
    if not answered:
        raise _Lost
    return None
