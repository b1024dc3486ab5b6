"""A decision, drawn: what each agent said and why, what they agreed on, what was made of it, every check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from alphapulse.cli.agents import conviction
from alphapulse.cli.render import clean
from alphapulse.cli.text import NONE, money, quantity, share, short, time, unicode_works
from alphapulse.domain.decisions import Decision, PlannedOrder, SymbolView
from alphapulse.domain.orders import OrderRequest
from alphapulse.domain.risk import Check
from alphapulse.domain.signals import Consensus, Vote

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_GUIDE = "dim"
#: Half of the gauge, in characters.
_ARM = 8


def show_decision(console: Console, decision: Decision) -> None:
    """The whole decision: every symbol, then every order with its checks."""
    tree = Tree(headline(decision), guide_style=_GUIDE)
    for view in decision.symbols:
        add_symbol(tree, decision, view)
    orders = tree.add(Text(f"Orders: {len(decision.orders) or 'none'}", style="bold"))
    for planned in decision.orders:
        branch = orders.add(_planned(planned))
        branch.add(checks_table(planned.verdict.checks))
    console.print(tree)


def headline(decision: Decision) -> Text:
    text = Text.assemble(("Decision ", "bold"), (short(decision.id), "dim"), f"  bar closed {time(decision.at)}")
    text.append(f"  equity {money(decision.equity)}  configuration v{decision.config_version}", "dim")
    if decision.reason:
        text.append(f"\n{clean(decision.reason)}", "yellow")
    return text


def add_symbol(tree: Tree, decision: Decision, view: SymbolView) -> None:
    """One symbol: agents, consensus, allocation."""
    price = f" at {money(view.price)}" if view.price is not None else ""
    branch = tree.add(Text.assemble((view.symbol, "bold"), price))
    if view.problem:
        branch.add(Text(clean(view.problem), style="yellow"))
    if view.votes:
        branch.add(Group(Text("Agents", style="bold"), votes_table(view.votes)))
    branch.add(consensus_line(view.consensus))
    branch.add(allocation_line(decision, view))


def votes_table(votes: tuple[Vote, ...]) -> Table:
    table = Table(box=SIMPLE, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("AGENT", style="bold", no_wrap=True)
    table.add_column("WEIGHT", justify="right", no_wrap=True)
    table.add_column("SAYS", no_wrap=True)
    table.add_column("SURE", justify="right", no_wrap=True)
    table.add_column("BECAUSE", overflow="fold")
    for vote in votes:
        signal = vote.signal
        because: list[RenderableType] = [Text(clean(signal.rationale))]
        if signal.numbers:
            because.append(
                Text("  ".join(f"{name} {value:,.6g}" for name, value in signal.numbers.items()), style="dim")
            )
        sure = NONE if signal.abstains else f"{signal.confidence * 100:.0f} %"
        table.add_row(signal.agent, f"{vote.weight:g}", gauge(signal.conviction), sure, Group(*because))
    return table


def consensus_line(found: Consensus) -> Text:
    count = found.votes_cast + found.votes_abstained
    who = f"  {found.votes_cast} of {count} agents voted"
    if found.votes_abstained:
        who += f", {found.votes_abstained} abstained"
    return Text.assemble(("Consensus  ", "bold"), gauge(found.conviction), (who, "dim"))


def allocation_line(decision: Decision, view: SymbolView) -> Text:
    spread = "" if view.volatility is None else f"  volatility {share(view.volatility)} a bar"
    return Text.assemble(
        ("Allocation ", "bold"),
        f"{share(view.weight)} of equity",
        (f" = {float(decision.equity) * view.weight:,.2f}", "bold"),
        (f"  by {decision.allocator.replace('_', ' ')}{spread}", "dim"),
    )


def gauge(value: float | None) -> Text:
    """-1 to +1 around a middle, and the number; an abstention has neither."""
    full, empty, middle = ("█", "·", "│") if unicode_works() else ("#", ".", "|")
    if value is None:
        return Text(f"{empty * _ARM}{middle}{empty * _ARM}  abstains", style="dim")
    filled = round(abs(value) * _ARM)
    left = (full * filled if value < 0 else "").rjust(_ARM, empty)
    right = (full * filled if value > 0 else "").ljust(_ARM, empty)
    colour = "green" if value > 0 else "red" if value < 0 else ""
    return Text.assemble(
        (left, colour if value < 0 else "dim"), middle, (right, colour if value > 0 else "dim")
    ).append(f"  {conviction(value)}", colour)


def request_text(request: OrderRequest) -> Text:
    base, _, quote = request.symbol.partition("/")
    how = "at market" if request.limit_price is None else f"at {money(request.limit_price)} {quote} or better"
    colour = "green" if request.side.sign > 0 else "red"
    return Text.assemble(
        (request.side.value.upper(), f"bold {colour}"), (f" {quantity(request.quantity)} {base}", "bold"), f" {how}"
    )


def _planned(planned: PlannedOrder) -> Text:
    verdict = ("approved", "green") if planned.verdict.approved else ("DENIED", "bold red")
    known = f"  {short(planned.order_id)}" if planned.order_id else ""
    return Text.assemble(request_text(planned.request), "  ", verdict, (known, "dim"))


def checks_table(checks: tuple[Check, ...]) -> Table:
    yes, no = ("✓", "✗") if unicode_works() else ("ok", "NO")
    table = Table(box=None, pad_edge=False, show_header=False, show_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        table.add_row(
            Text(yes, style="green") if check.passed else Text(no, style="bold red"),
            Text(check.code, style="" if check.passed else "bold red"),
            Text(clean(check.detail), style="dim" if check.passed else ""),
        )
    return table


def summary_line(decision: Decision) -> str:
    """A decision in one line of plain text: consensus and target per symbol, and how many orders came of it."""
    parts = [
        f"{view.symbol.partition('/')[0]} {conviction(view.consensus.conviction)} -> {view.weight * 100:.0f} %"
        for view in decision.symbols
    ]
    orders = len(decision.orders)
    denied = sum(not planned.verdict.approved for planned in decision.orders)
    acted = f"{orders} order{'s' if orders != 1 else ''}" + (f", {denied} denied" if denied else "")
    return f"{', '.join(parts)}; {acted}"
