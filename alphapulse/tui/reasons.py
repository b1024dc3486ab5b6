"""A decision told in lines: what was done at which bar, and which agent's figures said so."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from textual.content import Content

from alphapulse.domain.decisions import DecisionState
from alphapulse.domain.money import plain
from alphapulse.tui import words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from alphapulse.domain.decisions import Decision, PlannedOrder, SymbolView
    from alphapulse.domain.signals import Vote


def tell(decision: Decision, names: Mapping[UUID, str], width: int) -> list[Content]:
    """names: of funds, to say whose decision it is; empty when only one is shown. width: in characters."""
    heading = f"{words.moment(decision.at)} "
    whose = f"{names[decision.fund_id]} · " if decision.fund_id in names else ""
    if decision.state is DecisionState.MISSED:
        reason = words.safe(decision.reason) or "the daemon was down when the bar closed"
        return [Content.assemble((heading, "bold"), whose, ("MISSED ", "$text-warning bold"), reason)]
    lines = [Content.assemble((heading, "bold"), whose, _outcome(decision))]
    if decision.reason:
        lines += _wrapped(decision.reason, "$secondary", width, indent=2)
    orders = {order.request.symbol: order for order in decision.orders}
    # What was traded is told first; what was left alone follows.
    for view in sorted(decision.symbols, key=lambda view: (view.symbol not in orders, view.symbol)):
        lines += _symbol(view, orders.get(view.symbol), width)
    return lines


def _outcome(decision: Decision) -> str:
    denied = sum(not order.verdict.approved for order in decision.orders)
    sent = len(decision.orders) - denied
    if not decision.orders:
        return "holds: no order"
    told = f"{sent} order{'' if sent == 1 else 's'}"
    return f"{told}, {denied} DENIED" if denied else told


def _symbol(view: SymbolView, order: PlannedOrder | None, width: int) -> list[Content]:
    conviction = view.consensus.conviction
    parts: list[str | tuple[str, str]] = [("  ", ""), (view.symbol, "bold"), " "]
    if view.problem:
        return [Content.assemble(*parts, ("left out ", "$text-warning"), words.safe(view.problem))]
    parts.append("all abstain" if conviction is None else f"{conviction:+.2f}")
    parts.append((f" → {view.weight * 100:.1f}%", "$secondary"))
    lines: list[Content] = []
    if order is None:
        parts.append((" hold", "$secondary"))
    else:
        request = order.request
        verb = "" if order.verdict.approved else "DENIED "
        style = "$text-primary bold" if order.verdict.approved else "$text-error bold"
        parts.append((f" {verb}{request.side.upper()} {plain(request.quantity)}", style))
        lines += [part for denial in order.verdict.denials for part in _wrapped(denial, "$text-error", width)]
    why = [part for reason in _reasons(view.votes) for part in _wrapped(reason, "$secondary", width)]
    return [Content.assemble(*parts), *lines, *why]


def _wrapped(text: str, style: str, width: int, indent: int = 4) -> list[Content]:
    """A first line at ``indent`` and the rest two further in."""
    first = " " * indent
    lines = wrap(words.safe(text), width, initial_indent=first, subsequent_indent=first + "  ")
    return [Content.styled(line, style) for line in lines]


def _reasons(votes: tuple[Vote, ...]) -> list[str]:
    """Each agent in its own words, the one that weighed most first; abstentions last."""

    def weight(vote: Vote) -> float:
        signal = vote.signal
        return -1.0 if signal.conviction is None else abs(signal.conviction) * signal.confidence * vote.weight

    told: list[str] = []
    for vote in sorted(votes, key=weight, reverse=True):
        signal = vote.signal
        value = "abstains" if signal.conviction is None else f"{signal.conviction:+.2f}"
        told.append(f"{signal.agent} {value}: {signal.rationale}")
    return told
