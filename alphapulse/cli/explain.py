"""`alphapulse orders explain`: an order walked back to what caused it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from alphapulse.cli.decision import add_symbol, checks_table, headline, request_text
from alphapulse.cli.render import clean
from alphapulse.cli.styles import STATUS_STYLE
from alphapulse.cli.text import money, quantity, short, time, unicode_works
from alphapulse.domain.money import ZERO

if TYPE_CHECKING:
    from rich.console import Console

    from alphapulse.domain.decisions import Explanation


def show_explanation(console: Console, found: Explanation) -> None:
    """From the outcome to its causes: fills, life, risk checks, then the decision and what the agents saw."""
    tree = Tree(_title(found), guide_style="dim")
    _add_outcome(tree, found)
    _add_checks(tree, found)
    _add_cause(tree, found)
    console.print(tree)


def _title(found: Explanation) -> Text:
    order = found.order
    status = order.status.value.replace("_", " ")
    return Text.assemble(
        ("Order ", "bold"),
        (short(order.id), "dim"),
        "  ",
        request_text(order.request),
        f" for {order.request.symbol.partition('/')[2]} on {order.request.venue}",
        "  ",
        (status, f"bold {STATUS_STYLE.get(order.status, '')}".strip()),
        (f"\nfund {found.fund}  {time(order.at)}  id {order.id}", "dim"),
    )


def _add_outcome(tree: Tree, found: Explanation) -> None:
    order = found.order
    branch = tree.add(Text("What became of it", style="bold"))
    if order.reason:
        branch.add(Text(clean(order.reason), style="yellow"))
    arrow = "→" if unicode_works() else "->"
    steps = Table(box=None, pad_edge=False, show_header=False)
    for step in found.history:
        steps.add_row(
            Text(time(step.at), style="dim"),
            Text.assemble(
                step.event.replace("_", " "), (f" {arrow} ", "dim"), (step.status_after.replace("_", " "), "bold")
            ),
            Text(clean(step.detail), style="dim"),
        )
    if found.history:
        branch.add(steps)
    for fill in found.fills:
        branch.add(
            Text.assemble(
                ("filled ", "green"),
                f"{quantity(fill.quantity)} at {money(fill.price)}",
                (f"  fee {money(fill.fee)} {fill.fee_asset}  {time(fill.at)}", "dim"),
            )
        )
    if found.fills and order.average_price is not None:
        worth = order.filled_quantity * order.average_price
        quote = order.request.symbol.partition("/")[2]
        branch.add(
            Text(f"{quantity(order.filled_quantity)} of {quantity(order.request.quantity)} for {money(worth)} {quote}")
        )


def _add_checks(tree: Tree, found: Explanation) -> None:
    failed = sum(not check.passed for check in found.checks)
    verdict = ("denied", "bold red") if failed else ("passed", "green")
    branch = tree.add(Text.assemble(("Risk checks  ", "bold"), verdict, (f"  {len(found.checks)} made", "dim")))
    if found.checks:
        branch.add(checks_table(found.checks))


def _add_cause(tree: Tree, found: Explanation) -> None:
    order, decision = found.order, found.decision
    if decision is None:
        tree.add(Text.assemble(("Cause  ", "bold"), "placed by hand: no agent had a say"))
        return
    branch = tree.add(headline(decision))
    for view in decision.symbols:
        if view.symbol == order.request.symbol:
            add_symbol(branch, decision, view)
            price = view.price or order.request.limit_price
            if price is not None and order.request.quantity > ZERO:
                notional = order.request.quantity * price
                branch.add(
                    Text.assemble(
                        ("Size       ", "bold"),
                        f"{quantity(order.request.quantity)} x {money(price)} = {money(notional)}",
                        ("  what the target lacks, in whole steps and within the limits", "dim"),
                    )
                )
    others = [view.symbol for view in decision.symbols if view.symbol != order.request.symbol]
    if others:
        branch.add(Text(f"decided with it: {', '.join(others)}", style="dim"))
