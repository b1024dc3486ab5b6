"""`orders explain` shows everything that led to an order."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from alphapulse.cli.decision import gauge, show_decision, summary_line
from alphapulse.cli.explain import show_explanation
from alphapulse.domain.decisions import Explanation
from alphapulse.domain.orders import OrderStatus
from alphapulse.domain.risk import Check
from tests.cli import examples


def drawn(explanation: Explanation) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    show_explanation(console, explanation)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_link_of_the_chain_is_there() -> None:
    text = " ".join(drawn(examples.explanation()).split())
    for part in (
        "BUY 0.25 BTC at market for USDT on synthetic filled",
        "fund demo",
        "filled 0.25 at 61,000.50",
        "fee 15.25 USDT",
        "✓ NOTIONAL_EXCEEDS_FREE_BALANCE notional=15250 free=90000",
        "equity 100,412.11",
        "The fast mean is above the slow one.",
        "gap 0.031",
        "abstains",
        "1 of 2 agents voted, 1 abstained",
        "31.00 % of equity = 31,127.75",
        "0.25 x 61,000.00 = 15,250.00",
    ):
        assert part in text, part


def test_a_denied_order_shows_the_check_that_failed() -> None:
    failed = (*examples.checks(), Check("POSITION_LIMIT", False, "worth=60000 max=50000"))
    found = replace(examples.explanation(), order=examples.order(OrderStatus.DENIED), checks=failed, fills=())
    text = " ".join(drawn(found).split())
    assert "Risk checks denied" in text
    assert "✗ POSITION_LIMIT" in text


def test_an_order_placed_by_hand_has_no_agents_behind_it() -> None:
    assert "placed by hand" in drawn(replace(examples.explanation(), decision=None))


def test_a_rationale_cannot_steer_the_terminal() -> None:
    found = examples.explanation()
    bad = replace(found.history[0], detail="\x1b]0;owned\x07")
    assert "\x1b" not in drawn(replace(found, history=(bad,)))


def test_the_gauge_leans_the_way_of_the_conviction() -> None:
    assert gauge(0.5).plain == "········│████····  +0.50"
    assert gauge(-1.0).plain == "████████│········  -1.00"
    assert gauge(None).plain == "········│········  abstains"


def test_a_plan_shows_its_orders_with_their_verdicts() -> None:
    console = Console(file=io.StringIO(), width=120)
    show_decision(console, examples.decision())
    assert isinstance(console.file, io.StringIO)
    assert "BUY 0.25 BTC at market  approved" in console.file.getvalue()


def test_a_decision_fits_in_a_line() -> None:
    assert summary_line(examples.decision()) == "BTC +0.60 -> 31 %; 1 order"
