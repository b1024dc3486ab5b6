"""The agents, what they said, and which fund uses them how."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.choose import fund_or_only
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column, say
from alphapulse.cli.text import NONE, number, percent, time
from alphapulse.domain.funds import Fund
from alphapulse.domain.signals import AgentInfo, AgentParameter, Signal
from alphapulse.errors import InvalidInput

app = group()

_Agent = Annotated[str, typer.Argument(metavar="AGENT", help="For example trend.")]
_OneFund = Annotated[str | None, typer.Option("--fund", metavar="NAME", help="May be left out when there is only one.")]


@app.command("list")
def list_agents(ctx: typer.Context) -> None:
    """Every agent that a fund can use."""
    run = invocation(ctx)
    page = run.client.agents.list()
    columns = [
        Column[AgentInfo]("AGENT", lambda item: item.name, style="bold"),
        Column[AgentInfo]("VERSION", lambda item: str(item.version), right=True),
        Column[AgentInfo]("BARS", lambda item: str(item.lookback), right=True),
        Column[AgentInfo]("WHAT IT DOES", lambda item: item.summary),
    ]
    run.output.rows(page, columns, key=lambda item: item.name, following=page.next, empty="No agent.")


@app.command("show")
def show(ctx: typer.Context, agent: _Agent) -> None:
    """An agent's formula, its source and its parameters with their ranges."""
    run = invocation(ctx)
    item = run.client.agents.get(agent)
    pairs = [
        ("agent", f"{item.name}, version {item.version}"),
        ("what it does", item.summary),
        ("formula", item.formula),
        ("source", item.source),
        ("needs", f"{item.lookback} bars at its default parameters"),
    ]
    run.output.record(item, pairs, key=item.name)
    if run.output.for_people and item.parameters:
        columns = [
            Column[AgentParameter]("PARAMETER", lambda parameter: parameter.name, style="bold"),
            Column[AgentParameter]("DEFAULT", lambda parameter: f"{parameter.default:g}", right=True),
            Column[AgentParameter](
                "RANGE", lambda parameter: f"{parameter.minimum:g} to {parameter.maximum:g}", right=True
            ),
            Column[AgentParameter]("MEANING", lambda parameter: parameter.meaning),
        ]
        say()
        run.output.rows(item.parameters, columns, key=lambda parameter: parameter.name)


@app.command("signals")
def signals(
    ctx: typer.Context,
    agent: Annotated[str | None, typer.Option("--agent", metavar="AGENT")] = None,
    venue: Annotated[str | None, typer.Option("--venue", metavar="VENUE")] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", metavar="SYMBOL")] = None,
    timeframe: Annotated[str | None, typer.Option("--timeframe", metavar="4h")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
) -> None:
    """What the agents said, newest first, and why."""
    run = invocation(ctx)
    page = run.client.agents.signals(
        agent=agent, venue=venue, symbol=symbol.upper() if symbol else None, timeframe=timeframe, limit=limit
    )
    columns = [
        Column[Signal]("BAR CLOSED", lambda item: time(item.at)),
        Column[Signal]("AGENT", lambda item: item.agent, style="bold"),
        Column[Signal]("SYMBOL", lambda item: item.series.symbol),
        Column[Signal]("BARS", lambda item: item.series.timeframe.value),
        Column[Signal]("CONVICTION", lambda item: conviction(item.conviction), right=True, style=_lean),
        Column[Signal]("CONFIDENCE", lambda item: number(item.confidence), right=True),
        Column[Signal]("WHY", lambda item: item.rationale),
    ]
    run.output.rows(
        page, columns, key=lambda item: conviction(item.conviction), following=page.next, empty="No signal yet."
    )


def conviction(value: float | None) -> str:
    """With its sign; an abstention is not a zero."""
    return "abstains" if value is None else f"{value:+.2f}"


def _lean(signal: Signal) -> str:
    value = signal.conviction
    return "dim" if value is None else "green" if value > 0 else "red" if value < 0 else ""


@app.command("configure")
def configure(
    ctx: typer.Context,
    agent: _Agent,
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[PARAMETER=VALUE]...", help="For example fast=12.")
    ] = None,
    weight: Annotated[
        float | None, typer.Option("--weight", help="Against the fund's other agents, 0 to 1000.")
    ] = None,
    fund: _OneFund = None,
) -> None:
    """Change an agent's parameters or weight in a fund, from the next bar on."""
    run = invocation(ctx)
    if not parameters and weight is None:
        raise InvalidInput("nothing to change", field="parameters", fix="Give PARAMETER=VALUE or --weight.")
    numbers = dict(_assignment(text) for text in parameters or ())
    _change(run, fund, agent, weight=weight, parameters=numbers)


def _assignment(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        if equals:
            return name, float(value)
    except ValueError:
        pass
    raise InvalidInput(f"{text[:60]!r} is not PARAMETER=NUMBER", field=name[:40], fix="Write for example fast=12.")


@app.command("enable")
def enable(ctx: typer.Context, agent: _Agent, fund: _OneFund = None) -> None:
    """Let an agent vote in a fund, from the next bar on."""
    _change(invocation(ctx), fund, agent, enabled=True)


@app.command("disable")
def disable(ctx: typer.Context, agent: _Agent, fund: _OneFund = None) -> None:
    """Keep an agent from voting in a fund, from the next bar on."""
    _change(invocation(ctx), fund, agent, enabled=False)


def _change(
    run: Invocation,
    fund: str | None,
    agent: str,
    *,
    enabled: bool | None = None,
    weight: float | None = None,
    parameters: dict[str, float] | None = None,
) -> None:
    chosen = fund_or_only(run.client, fund)
    before = run.client.funds.get(chosen)
    changed = run.client.agents.configure(chosen, agent, enabled=enabled, weight=weight, parameters=parameters)
    run.output.record(changed, agent_pairs(changed, before.config_version), key=str(changed.config_version))


def in_force(fund: Fund, before: int | None = None) -> str:
    """The version now in force. before: the one before the request; the same number means that nothing changed."""
    if before == fund.config_version:
        return f"version {fund.config_version}, unchanged"
    return f"version {fund.config_version}, from the next bar on"


def agent_pairs(fund: Fund, before: int | None = None) -> list[tuple[str, str]]:
    """before: see ``in_force``. Parameters by name, as everywhere."""
    pairs = [("fund", fund.name), ("configuration", in_force(fund, before))]
    weights = sum(choice.weight for choice in fund.config.agents if choice.enabled)
    for choice in fund.config.agents:
        numbers = " ".join(f"{name}={value:g}" for name, value in sorted(choice.parameters.items())) or NONE
        part = percent(choice.weight / weights).lstrip("+") if choice.enabled and weights else "disabled"
        pairs.append((choice.name, f"weight {choice.weight:g} ({part})  {numbers}"))
    return pairs
