"""What is held, and the executions that led there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated
from uuid import uuid4

import typer

from alphapulse.cli.choose import fund_names, fund_or_only, order_id
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column
from alphapulse.cli.text import NONE, money, quantity, short, signed, time
from alphapulse.domain.orders import FillRecord
from alphapulse.domain.portfolio import Holding

positions = group()
fills = group()


def _gain_style(holding: Holding) -> str:
    return "green" if holding.unrealised > 0 else "red" if holding.unrealised < 0 else ""


POSITIONS: list[Column[Holding]] = [
    Column("SYMBOL", lambda item: item.symbol, style="bold"),
    Column("QUANTITY", lambda item: quantity(item.quantity), right=True),
    Column("COST", lambda item: money(item.average_cost), right=True),
    Column("PRICE", lambda item: money(item.price), right=True),
    Column("VALUE", lambda item: money(item.value), right=True),
    Column("UNREALISED", lambda item: signed(item.unrealised), right=True, style=_gain_style),
    Column("REALISED", lambda item: signed(item.realised), right=True),
    Column("FEES", lambda item: money(item.fees), right=True),
]


def position_columns(run: Invocation, items: Iterable[Holding]) -> list[Column[Holding]]:
    """Their columns, with the fund's where people see positions of several."""
    names = fund_names(run.client, (item.fund_id for item in items)) if run.output.for_people else None
    if names is None:
        return POSITIONS
    return [Column[Holding]("FUND", lambda item: names.get(item.fund_id, NONE)), *POSITIONS]


@positions.command("list")
def list_positions(
    ctx: typer.Context,
    fund: Annotated[str | None, typer.Option("--fund", metavar="NAME", help="Default: every fund.")] = None,
) -> None:
    """Every position, at the last known prices."""
    run = invocation(ctx)
    page = run.client.portfolio.positions(fund)
    run.output.rows(
        page, position_columns(run, page), key=lambda item: item.symbol, following=page.next, empty="Nothing is held."
    )


@positions.command("close")
def close_position(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="For example BTC/USDT.")],
    limit_price: Annotated[
        str | None, typer.Option("--limit", metavar="PRICE", help="In the quote currency; a market order without it.")
    ] = None,
    fund: Annotated[
        str | None, typer.Option("--fund", metavar="NAME", help="May be left out when there is only one.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--idempotency-key", metavar="KEY", help="Repeating with the same key sells once.")
    ] = None,
) -> None:
    """Sell everything that is held of a symbol, at market or at a limit price."""
    from alphapulse.cli.orders import asked_price, show_order

    run = invocation(ctx)
    price = asked_price(limit_price)
    chosen = fund_or_only(run.client, fund)
    how = "at market" if price is None else f"at {money(price)} or better"
    run.confirm(f"Sell all {symbol.upper()} of fund {chosen} {how}?")
    show_order(run, run.client.portfolio.close_position(chosen, symbol.upper(), key or uuid4().hex, limit_price=price))


@fills.command("list")
def list_fills(
    ctx: typer.Context,
    fund: Annotated[str | None, typer.Option("--fund", metavar="NAME")] = None,
    order: Annotated[str | None, typer.Option("--order", metavar="ID", help="Only this order's.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    before: Annotated[str | None, typer.Option("--before", metavar="CURSOR", help="Continue a list.")] = None,
) -> None:
    """Executions, the newest booked first."""
    run = invocation(ctx)
    whole = order_id(run.client, order) if order else None
    page = run.client.portfolio.fills(fund, order=whole, limit=limit, before=before)
    columns = [
        Column[FillRecord]("AT", lambda item: time(item.at)),
        Column[FillRecord]("SYMBOL", lambda item: item.symbol, style="bold"),
        Column[FillRecord]("SIDE", lambda item: item.side.value),
        Column[FillRecord]("QUANTITY", lambda item: quantity(item.quantity), right=True),
        Column[FillRecord]("PRICE", lambda item: money(item.price), right=True),
        Column[FillRecord]("FEE", lambda item: f"{money(item.fee)} {item.fee_asset}", right=True),
        Column[FillRecord]("ORDER", lambda item: short(item.order_id), style="dim"),
    ]
    names = fund_names(run.client, (item.fund_id for item in page)) if run.output.for_people else None
    if names is not None:
        columns.insert(1, Column[FillRecord]("FUND", lambda item: names.get(item.fund_id, NONE)))
    run.output.rows(page, columns, key=lambda item: item.venue_fill_id, following=page.next, empty="No fill yet.")
