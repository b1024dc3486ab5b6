"""Candles and instruments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.progress import steps
from alphapulse.cli.render import Column, say
from alphapulse.cli.text import money, quantity, sparkline, time
from alphapulse.domain.market import (
    Bar,
    Gap,
    ImportReport,
    Instrument,
    Series,
    SeriesInfo,
    parse_symbol,
    parse_timeframe,
    parse_venue,
)
from alphapulse.domain.money import plain
from alphapulse.domain.wire import parse_time
from alphapulse.errors import InvalidInput

if TYPE_CHECKING:
    from alphapulse.client.api import Client

app = group()

_Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="For example BTC/USDT.")]
_Venue = Annotated[str, typer.Option("--venue", metavar="VENUE", help="For example binance.")]
_Timeframe = Annotated[str, typer.Option("--timeframe", metavar="4h", help="1m, 5m, 15m, 30m, 1h, 4h or 1d.")]


@app.command("import")
def import_files(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV, Parquet or Feather.")],
    venue: Annotated[
        str | None, typer.Option("--venue", metavar="VENUE", help="Default: from the file's name.")
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", metavar="SYMBOL", help="Default: from the file's name.")
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", metavar="4h", help="Default: from the file's name.")
    ] = None,
) -> None:
    """Put candles into the catalogue; names like binance_BTC-USDT_4h.csv say what they hold."""
    run = invocation(ctx)
    readable(files)
    reports = [
        run.client.market.import_candles(
            file, venue=venue, symbol=symbol.upper() if symbol else None, timeframe=timeframe
        )
        for file in steps(run, files, "Importing")
    ]
    columns = [
        Column[ImportReport]("VENUE", lambda item: item.series.venue),
        Column[ImportReport]("SYMBOL", lambda item: item.series.symbol, style="bold"),
        Column[ImportReport]("BARS", lambda item: item.series.timeframe.value),
        Column[ImportReport]("ROWS", lambda item: f"{item.rows:,}", right=True),
        Column[ImportReport]("NEW", lambda item: f"{item.added:,}", right=True),
        Column[ImportReport]("KNOWN", lambda item: f"{item.duplicates:,}", right=True),
        Column[ImportReport]("GAPS", lambda item: f"{len(item.gaps):,}", right=True),
    ]
    run.output.rows(reports, columns, key=lambda item: item.series.symbol)


def readable(files: list[Path]) -> None:
    """Raises InvalidInput for the first that is no file, before any is sent."""
    for file in files:
        if file.is_dir():
            raise InvalidInput(f"{file}: a directory, not a file", field="file", fix=f"Name its files: {file}/*.csv")
        if not file.is_file():
            raise InvalidInput(
                f"{file}: no such file", field="file", fix="Name existing CSV, Parquet or Feather files."
            )


@app.command("list")
def list_series(ctx: typer.Context) -> None:
    """What the catalogue holds."""
    run = invocation(ctx)
    page = run.client.market.series()
    columns = [
        Column[SeriesInfo]("VENUE", lambda item: item.venue),
        Column[SeriesInfo]("SYMBOL", lambda item: item.symbol, style="bold"),
        Column[SeriesInfo]("BARS", lambda item: item.timeframe.value),
        Column[SeriesInfo]("COUNT", lambda item: f"{item.bars:,}", right=True),
        Column[SeriesInfo]("FIRST", lambda item: time(item.first)),
        Column[SeriesInfo]("LAST", lambda item: time(item.last)),
        Column[SeriesInfo]("GAPS", lambda item: str(item.gaps), right=True),
        Column[SeriesInfo]("FROM", lambda item: item.source),
    ]
    run.output.rows(
        page,
        columns,
        key=lambda item: f"{item.venue} {item.symbol} {item.timeframe}",
        following=page.next,
        empty="No candles yet: `alphapulse market import FILE...`.",
    )


@app.command("candles")
def candles(
    ctx: typer.Context,
    symbol: _Symbol,
    venue: _Venue,
    timeframe: _Timeframe = "4h",
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="ISO 8601 in UTC.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="ISO 8601 in UTC.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 50,
) -> None:
    """Closed candles, oldest first; without --since the newest. More than 1,000 are asked for in several requests."""
    run = invocation(ctx)
    page = run.client.market.candles(
        _series(venue, symbol, timeframe),
        parse_time(since, "since") if since else None,
        parse_time(until, "until") if until else None,
        limit,
    )
    if run.output.for_people and len(page) > 1:
        say(f"close  {sparkline([float(bar.close) for bar in page], 72)}\n")
    columns = [
        Column[Bar]("OPENED", lambda bar: time(bar.open_at)),
        Column[Bar]("OPEN", lambda bar: money(bar.open), right=True),
        Column[Bar]("HIGH", lambda bar: money(bar.high), right=True),
        Column[Bar]("LOW", lambda bar: money(bar.low), right=True),
        Column[Bar]("CLOSE", lambda bar: money(bar.close), right=True),
        Column[Bar]("VOLUME", lambda bar: money(bar.volume), right=True),
    ]
    run.output.rows(page, columns, key=lambda bar: plain(bar.close), following=page.next, empty="No candles.")


@app.command("gaps")
def gaps(
    ctx: typer.Context,
    symbol: _Symbol,
    venue: Annotated[
        str | None, typer.Option("--venue", metavar="VENUE", help="May be left out when only one has the candles.")
    ] = None,
    timeframe: _Timeframe = "4h",
) -> None:
    """Runs of bars that are missing between the first and the last."""
    run = invocation(ctx)
    page = run.client.market.gaps(_series(venue or _only_venue(run, symbol, timeframe), symbol, timeframe))
    columns = [
        Column[Gap]("FROM", lambda gap: time(gap.start)),
        Column[Gap]("TO", lambda gap: time(gap.end)),
        Column[Gap]("BARS", lambda gap: f"{gap.bars:,}", right=True),
    ]
    run.output.rows(page, columns, key=lambda gap: time(gap.start), following=page.next, empty="No gap.")


@app.command("instruments")
def instruments(ctx: typer.Context, venue: Annotated[str, typer.Argument(metavar="VENUE")]) -> None:
    """What may be traded on a venue, and in which steps."""
    run = invocation(ctx)
    page = run.client.market.instruments(parse_venue(venue))
    columns = [
        Column[Instrument]("SYMBOL", lambda item: item.symbol, style="bold"),
        Column[Instrument]("PRICE STEP", lambda item: quantity(item.price_increment), right=True),
        Column[Instrument]("QUANTITY STEP", lambda item: quantity(item.quantity_increment), right=True),
        Column[Instrument]("MIN QUANTITY", lambda item: quantity(item.min_quantity), right=True),
        Column[Instrument]("MIN NOTIONAL", lambda item: quantity(item.min_notional), right=True),
    ]
    run.output.rows(page, columns, key=lambda item: item.symbol, following=page.next, empty="No instrument.")


def _only_venue(run: Invocation, symbol: str, timeframe: str) -> str:
    """Raises InvalidInput unless exactly one venue has the candles."""
    wanted = (parse_symbol(symbol.upper()), parse_timeframe(timeframe))
    venues = [info.venue for info in run.client.market.series() if (info.symbol, info.timeframe) == wanted]
    if len(venues) == 1:
        return venues[0]
    have = f"{', '.join(venues)} have" if venues else "no venue has"
    raise InvalidInput(
        f"{have} {wanted[1]} candles of {wanted[0]}",
        field="venue",
        fix="Name one of them with --venue." if venues else "See `alphapulse market list`.",
    )


def _series(venue: str, symbol: str, timeframe: str) -> Series:
    return Series(parse_venue(venue), parse_symbol(symbol.upper()), parse_timeframe(timeframe))


def import_all(run: Invocation, client: Client, files: list[Path]) -> list[ImportReport]:
    """Uploads each file under the name it has, with a bar."""
    return [client.market.import_candles(file) for file in steps(run, files, "Importing")]
