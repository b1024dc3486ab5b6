"""Funds."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from alphapulse.cli.agents import agent_pairs
from alphapulse.cli.configs import config, read_config
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column
from alphapulse.cli.replays import replay
from alphapulse.cli.text import money, time
from alphapulse.domain import wire
from alphapulse.domain.funds import Fund, FundConfig, FundMode, parse_fund_name
from alphapulse.domain.market import Series
from alphapulse.domain.money import parse_decimal
from alphapulse.errors import Forbidden, InvalidInput, NotFound, TryAgain

app = group()
app.add_typer(config, name="config", help="The fund's versioned configuration.")

_Fund = Annotated[str, typer.Argument(metavar="FUND", help="Its name or id.")]


@app.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="For example momentum-eu.")],
    venue: Annotated[
        str | None, typer.Option("--venue", metavar="VENUE", help="Whose candles and instruments.")
    ] = None,
    universe: Annotated[
        str | None, typer.Option("--universe", metavar="SYMBOLS", help="For example BTC/USDT,ETH/USDT.")
    ] = None,
    timeframe: Annotated[str, typer.Option("--timeframe", metavar="4h", help="How often it decides.")] = "4h",
    agents: Annotated[
        str, typer.Option("--agents", metavar="NAMES", help="With weights if wanted: trend=2,mean_reversion.")
    ] = "trend,mean_reversion",
    capital: Annotated[str, typer.Option("--capital", metavar="AMOUNT", help="Paid in, base currency.")] = "100000",
    mode: Annotated[str, typer.Option("--mode", metavar="paper", help="Whether orders are simulated.")] = "paper",
    file: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="JSON or TOML with the whole configuration.")
    ] = None,
) -> None:
    """Create a fund; it is stopped until `funds start`, and can be replayed at once."""
    run = invocation(ctx)
    wanted = read_config(file) if file else first_config(venue, universe, timeframe, agents)
    made = run.client.funds.create(parse_fund_name(name), _mode(mode), _capital(capital), wanted)
    show_fund(run, made)
    for symbol in _without_candles(run, made.config):
        run.output.note(
            f"warning: {symbol} has no {made.config.timeframe} candles on {made.config.venue}; import some before the"
            " fund is started or replayed: alphapulse market import FILE"
        )


def _without_candles(run: Invocation, settings: FundConfig) -> list[str]:
    """Symbols that can have no price yet. Only asked for people; a venue that is down now is no reason to warn."""
    missing: list[str] = []
    for symbol in settings.universe if run.output.for_people else ():
        try:
            run.client.market.candles(Series(settings.venue, symbol, settings.timeframe), limit=1)
        except NotFound:
            missing.append(symbol)
        except (TryAgain, Forbidden):
            continue
    return missing


def first_config(venue: str | None, universe: str | None, timeframe: str, agents: str) -> FundConfig:
    """A configuration with default limits. agents: ``name`` or ``name=weight``, separated by commas."""
    if venue is None or universe is None:
        missing = "venue" if venue is None else "universe"
        raise InvalidInput(f"{missing} is missing", field=missing, fix="Give --venue and --universe, or --config FILE.")
    symbols = [symbol.strip().upper() for symbol in universe.split(",") if symbol.strip()]
    choices: list[dict[str, Any]] = []
    for part in agents.split(","):
        agent, equals, weight = part.strip().partition("=")
        try:
            choices.append({"name": agent, "weight": float(weight) if equals else 1.0})
        except ValueError:
            raise InvalidInput(f"agents: {part!r} is not NAME=WEIGHT", field="agents", fix="Write trend=2.") from None
    data = {
        "venue": venue,
        "timeframe": timeframe,
        "base_currency": symbols[0].partition("/")[2] if symbols else "",
        "universe": symbols,
        "agents": choices,
        "limits": {},
    }
    return wire.decode(FundConfig, data)


def _mode(text: str) -> FundMode:
    try:
        return FundMode(text)
    except ValueError:
        raise InvalidInput(f"mode: {text[:20]!r} is not a fund's mode", field="mode", fix="Use paper.") from None


def _capital(text: str) -> Decimal:
    return parse_decimal(text, "capital")


@app.command("list")
def list_funds(ctx: typer.Context) -> None:
    """The tenant's funds."""
    run = invocation(ctx)
    page = run.client.funds.list()
    columns = [
        Column[Fund]("FUND", lambda item: item.name, style="bold"),
        Column[Fund](
            "STATE", lambda item: item.state.value, style=lambda item: "green" if item.state == "running" else ""
        ),
        Column[Fund]("MODE", lambda item: item.mode.value),
        Column[Fund]("VENUE", lambda item: item.config.venue),
        Column[Fund]("BARS", lambda item: item.config.timeframe.value),
        Column[Fund]("UNIVERSE", lambda item: " ".join(item.config.universe)),
        Column[Fund]("CAPITAL", lambda item: f"{money(item.capital)} {item.config.base_currency}", right=True),
        Column[Fund]("CONFIG", lambda item: f"v{item.config_version}", right=True),
    ]
    run.output.rows(page, columns, key=lambda item: item.name, following=page.next, empty="No fund yet.")


@app.command("show")
def show(ctx: typer.Context, fund: _Fund) -> None:
    """One fund and the configuration in force."""
    run = invocation(ctx)
    show_fund(run, run.client.funds.get(fund))


@app.command("start")
def start(ctx: typer.Context, fund: _Fund) -> None:
    """Let the schedule decide for the fund at every closed bar."""
    run = invocation(ctx)
    show_fund(run, run.client.funds.start(fund))


@app.command("stop")
def stop(ctx: typer.Context, fund: _Fund) -> None:
    """Decide no more; what is held stays held, open orders stay open."""
    run = invocation(ctx)
    show_fund(run, run.client.funds.stop(fund))


app.command("replay")(replay)


def show_fund(run: Invocation, fund: Fund) -> None:
    settings = fund.config
    pairs = [
        ("fund", fund.name),
        ("state", f"{fund.state.value}, {fund.mode.value}"),
        ("trades", f"{' '.join(settings.universe)} on {settings.venue}, {settings.timeframe} bars"),
        ("capital", f"{money(fund.capital)} {settings.base_currency}"),
        ("allocator", settings.allocator),
        *agent_pairs(fund)[1:],
        ("created", time(fund.created_at)),
        ("id", str(fund.id)),
    ]
    run.output.record(fund, pairs, key=fund.name)
