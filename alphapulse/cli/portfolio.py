"""What a fund is worth, was worth, and would do next."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.choose import fund_or_only
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.positions import position_columns
from alphapulse.cli.render import Column, say
from alphapulse.cli.text import NONE, money, number, percent, plot, share, signed, time
from alphapulse.domain.portfolio import FEWEST_BARS, EquityPoint, Performance
from alphapulse.domain.wire import parse_time
from alphapulse.errors import DriftFound

app = group()

_OneFund = Annotated[str | None, typer.Option("--fund", metavar="NAME", help="May be left out when there is only one.")]


@app.command("show")
def show(
    ctx: typer.Context,
    fund: Annotated[str | None, typer.Option("--fund", metavar="NAME", help="Default: the tenant's total.")] = None,
) -> None:
    """Equity, cash, exposure and positions now."""
    run = invocation(ctx)
    summary = run.client.portfolio.summary(fund)
    base = summary.base_currency
    pairs = [
        ("fund", summary.name or NONE),
        ("equity", f"{money(summary.equity)} {base}"),
        ("cash", f"{money(summary.cash)} {base}"),
        ("gross exposure", f"{money(summary.gross_exposure)} {base}"),
        ("unrealised", f"{signed(summary.unrealised)} {base}"),
        ("realised", f"{signed(summary.realised)} {base}"),
        ("fees", f"{money(summary.fees)} {base}"),
        ("prices as of", time(summary.as_of)),
    ]
    if summary.unpriced:
        pairs.append(("without a price", ", ".join(summary.unpriced)))
    run.output.record(summary, pairs, key=summary.name)
    if run.output.for_people and summary.positions:
        say()
        run.output.rows(summary.positions, position_columns(run, summary.positions), key=lambda item: item.symbol)


@app.command("history")
def history(
    ctx: typer.Context,
    fund: _OneFund = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="ISO 8601 in UTC.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many points.")] = 200,
    curve: Annotated[bool, typer.Option("--plot/--no-plot", help="Draw the curve above the rows.")] = True,
) -> None:
    """Equity bar by bar, with the curve of just holding beside it."""
    run = invocation(ctx)
    page = run.client.portfolio.history(
        fund_or_only(run.client, fund), since=parse_time(since, "since") if since else None, limit=limit
    )
    if run.output.for_people and curve and len(page) > 1:
        draw_equity(page.items)
    columns = [
        Column[EquityPoint]("BAR CLOSED", lambda point: time(point.at)),
        Column[EquityPoint]("EQUITY", lambda point: money(point.equity), right=True),
        Column[EquityPoint]("CASH", lambda point: money(point.cash), right=True),
        Column[EquityPoint]("HOLDING", lambda point: money(point.benchmark), right=True),
    ]
    shown = page.items[-20:] if run.output.for_people and curve else page.items
    run.output.rows(shown, columns, key=lambda point: str(point.equity), following=page.next, empty="No bar yet.")


def draw_equity(points: tuple[EquityPoint, ...]) -> None:
    for line in plot([[float(point.equity) for point in points]]):
        say(line)
    first, last = time(points[0].at), time(points[-1].at)
    say(f"{'':15} {first}{last:>{max(1, 72 - len(first))}}\n")


@app.command("plan")
def plan(ctx: typer.Context, fund: _OneFund = None) -> None:
    """What the fund would decide on the newest bar; nothing is stored and nothing is traded."""
    run = invocation(ctx)
    decision = run.client.portfolio.plan(fund_or_only(run.client, fund))
    if run.output.for_people:
        from alphapulse.cli.decision import show_decision

        show_decision(run.output.console(), decision)
    else:
        run.output.record(decision, [], key=str(decision.id))


@app.command("performance")
def performance(ctx: typer.Context, fund: _OneFund = None) -> None:
    """Return, drawdown, Sharpe, fees, and whether the books balance."""
    run = invocation(ctx)
    found = run.client.portfolio.performance(fund_or_only(run.client, fund))
    run.output.record(found, performance_pairs(found), key=percent(found.total_return))


def performance_pairs(found: Performance) -> list[tuple[str, str]]:
    return [
        ("return", percent(found.total_return)),
        ("return of holding", percent(found.benchmark_return)),
        ("max drawdown", share(found.max_drawdown)),
        ("Sharpe", number(found.sharpe) if found.bars >= FEWEST_BARS else NONE),
        ("equity", f"{money(found.equity_start)} -> {money(found.equity_end)} at the last bar, {time(found.as_of)}"),
        ("fees", money(found.fees)),
        ("bars", f"{found.bars:,}"),
        ("decisions", f"{found.decisions:,}"),
        ("orders", f"{found.orders:,} ({found.denied:,} denied by risk checks)"),
        ("fills", f"{found.fills:,}"),
        ("ledger", "balanced" if found.ledger_balanced else "DOES NOT BALANCE"),
    ]


@app.command("verify")
def verify(ctx: typer.Context, fund: _OneFund = None) -> None:
    """Derive the books anew from the fills and compare; exits with 3 when they differ."""
    run = invocation(ctx)
    _refuse_drift(run, fund_or_only(run.client, fund))


def _refuse_drift(run: Invocation, fund: str) -> None:
    drift = run.client.portfolio.verify(fund)
    run.output.record(
        {"fund": fund, "drift": drift},
        [("fund", fund), ("books", "agree with the fills" if not drift else "DIFFER"), *(("", line) for line in drift)],
        key=fund,
    )
    if drift:
        raise DriftFound(
            f"the stored books of {fund} differ from its fills in {len(drift)} places",
            fix="Halt the fund (`alphapulse risk halt`) and report the lines above.",
        )
