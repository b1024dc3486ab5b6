"""What `alphapulse demo` prints: the curve, every number, the last decisions with their reasons, what to try next."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from alphapulse.cli.decision import gauge, request_text, summary_line
from alphapulse.cli.portfolio import performance_pairs
from alphapulse.cli.render import clean
from alphapulse.cli.text import plot, share, sparkline, time
from alphapulse.domain.decisions import Decision, SymbolView
from alphapulse.domain.funds import Fund
from alphapulse.domain.portfolio import EquityPoint, Performance

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 72
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Result:
    """source: ``synthetic``, ``imported`` or a live venue. history: oldest first; decisions: newest first.

    seconds: how long the whole run took.
    """

    fund: Fund
    performance: Performance
    history: tuple[EquityPoint, ...]
    decisions: tuple[Decision, ...]
    source: str
    seconds: float


def as_object(result: Result) -> dict[str, Any]:
    """For --json: money as text, the rest as JSON's own."""
    found, config = result.performance, result.fund.config
    return {
        "fund": result.fund.name,
        "venue": config.venue,
        "source": result.source,
        "synthetic": result.source == "synthetic",
        "timeframe": config.timeframe,
        "bars": found.bars,
        "decisions": found.decisions,
        "orders": found.orders,
        "fills": found.fills,
        "denied": found.denied,
        "fees": found.fees,
        "total_return": found.total_return,
        "benchmark_return": found.benchmark_return,
        "max_drawdown": found.max_drawdown,
        "sharpe": found.sharpe,
        "equity_start": found.equity_start,
        "equity_end": found.equity_end,
        "ledger_balanced": found.ledger_balanced,
        "symbols": list(config.universe),
        "agents": [choice.name for choice in config.agents if choice.enabled],
        "wall_s": round(result.seconds, 3),
    }


def pairs(result: Result) -> list[tuple[str, str]]:
    return [*performance_pairs(result.performance), ("took", f"{result.seconds:.1f} s")]


def print_report(console: Console, result: Result, context: str) -> None:
    """context: name of the context of a daemon that goes on running; empty when it ended."""
    config = result.fund.config
    console.print()
    console.print(
        Text.assemble(
            ("Paper fund demo", "bold"), f"  {' '.join(config.universe)}  {config.timeframe} bars  venue {config.venue}"
        )
    )
    if result.source == "synthetic":
        console.print(Text("SYNTHETIC candles from a documented model: nobody's market, no forecast.", style="yellow"))
    console.print()
    _print_curve(console, result)
    _print_numbers(console, result)
    _print_decisions(console, result)
    _print_next(console, context)


def _print_curve(console: Console, result: Result) -> None:
    points = result.history
    if len(points) < 2:
        return
    colour = "green" if result.performance.total_return >= 0 else "red"
    for line in plot([[float(point.equity) for point in points]], _WIDTH):
        scale, mark, curve = line.partition("┤")
        console.print(Text.assemble((scale + mark, "dim"), (curve, colour)), soft_wrap=True)
    first, last = time(points[0].at), time(points[-1].at)
    console.print(Text(f"{'':16}{first}{last:>{_WIDTH - len(first)}}", style="dim"), soft_wrap=True)
    holding = sparkline([float(point.benchmark) for point in points], _WIDTH)
    console.print(Text.assemble((f"{'just holding':>14}  ", "dim"), (holding, "blue")), soft_wrap=True)
    console.print()


def _print_numbers(console: Console, result: Result) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(2):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True, min_width=24)
    shown = pairs(result)
    half = (len(shown) + 1) // 2
    for left, right in zip(shown[:half], [*shown[half:], ("", "")][:half], strict=True):
        table.add_row(left[0], _toned(*left), right[0], _toned(*right))
    console.print(table)


def _toned(name: str, text: str) -> Text:
    if name.startswith("return"):
        return Text(text, style="red" if text.startswith("-") else "green")
    if name == "ledger":
        return Text(text, style="green" if text == "balanced" else "bold red")
    return Text(text)


def _print_decisions(console: Console, result: Result) -> None:
    if not result.decisions:
        return
    console.print(Text("\nLast decisions", style="bold"))
    for decision in result.decisions[:_SHOWN]:
        console.print(Text.assemble((f"  {time(decision.at)}  ", "dim"), summary_line(decision)))
        if decision.reason:
            console.print(Padding(Text(clean(decision.reason), style="dim"), (0, 0, 0, 21)))
    acted = next((decision for decision in result.decisions if decision.orders), result.decisions[0])
    title = "Why the last orders" if acted.orders else "Why"
    console.print(Text.assemble((f"\n{title}", "bold"), (f", at {time(acted.at)}", "dim")))
    for planned in acted.orders:
        verdict = "" if planned.verdict.approved else f"  denied: {'; '.join(planned.verdict.denials)}"
        console.print(Text.assemble("  ", request_text(planned.request), (clean(verdict), "red")))
    ordered = {planned.request.symbol for planned in acted.orders}
    console.print(_votes(tuple(view for view in acted.symbols if view.symbol in ordered or not ordered)))


def _votes(views: tuple[SymbolView, ...]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    for view in views:
        for place, vote in enumerate(view.votes):
            name = f"  {view.symbol}" if place == 0 else ""
            table.add_row(name, vote.signal.agent, gauge(vote.signal.conviction), clean(vote.signal.rationale))
        agreed = Text(f"target {share(view.weight)} of equity", style="bold")
        table.add_row("" if view.votes else f"  {view.symbol}", "together", gauge(view.consensus.conviction), agreed)
    return table


def _print_next(console: Console, context: str) -> None:
    # `make demo` runs the command of its own environment, which no shell finds by name.
    started = sys.argv[0]
    name = started if started.endswith("/alphapulse") and not shutil.which("alphapulse") else "alphapulse"
    if context:
        named = f"{name} --context {context}"
        commands = [
            (f"{named} orders explain last", "walk the last order back to the agents' numbers"),
            (f"{named} portfolio history", "the curve, bar by bar"),
            (f"{named} tui", "the live dashboard"),
        ]
    else:
        commands = [
            (f"{name} demo --keep", "the same, with the daemon left running to look around in"),
            (f"{name} demo --candles FILE...", "the same on your own candles"),
            (f"{name} daemon start", "a daemon to stay, with your own tenants and funds"),
        ]
    console.print(Text("\nTry next", style="bold"))
    width = max(len(command) for command, _ in commands)
    for command, meaning in commands:
        console.print(Text.assemble(f"  {command:<{width}}  ", (meaning, "dim")), soft_wrap=True)
