"""Orders: place, follow, cancel, explain."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any
from uuid import uuid4

import typer

from alphapulse.cli.choose import fund_names, fund_or_only, order_id
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column
from alphapulse.cli.styles import STATUS_STYLE
from alphapulse.cli.text import NONE, money, quantity, short, time
from alphapulse.domain.money import ZERO, parse_decimal
from alphapulse.domain.orders import Order, OrderFilter, OrderStatus, Side
from alphapulse.errors import (
    AlphaPulseError,
    Conflict,
    DaemonUnreachable,
    Forbidden,
    InvalidInput,
    TryAgain,
    Unauthenticated,
    UnknownOutcome,
)

app = group()

_WHICH = "Its id, the first characters of it, or `last`."
_Order = Annotated[str, typer.Argument(metavar="ORDER", help=_WHICH)]
_Of = Annotated[
    str | None,
    typer.Option("--fund", metavar="NAME", help="Look among this fund's orders; `last` is then its newest one."),
]
_STATUSES = ", ".join([*OrderStatus, "live"])


@app.command("place")
def place(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="For example BTC/USDT.")],
    side: Annotated[str, typer.Argument(metavar="buy|sell")],
    amount: Annotated[str, typer.Argument(metavar="QUANTITY", help="Of the base currency, for example 0.1.")],
    limit_price: Annotated[
        str | None, typer.Option("--limit", metavar="PRICE", help="In the quote currency; a market order without it.")
    ] = None,
    fund: Annotated[
        str | None, typer.Option("--fund", metavar="NAME", help="May be left out when there is only one.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--idempotency-key", metavar="KEY", help="Repeating with the same key trades once.")
    ] = None,
) -> None:
    """Place an order; it passes every risk check that an agent's order passes."""
    run = invocation(ctx)
    direction = _side(side)
    wanted = parse_decimal(amount, "quantity")
    if wanted <= ZERO:
        raise InvalidInput("quantity must be above zero", field="quantity", fix="buy or sell says the direction.")
    price = asked_price(limit_price)
    chosen, repeatable = fund_or_only(run.client, fund), key or uuid4().hex
    try:
        order = run.client.orders.place(
            chosen, symbol.upper(), direction, wanted, limit_price=price, idempotency_key=repeatable
        )
    except (TryAgain, UnknownOutcome) as error:
        error.fix = f"Repeat it with --idempotency-key {repeatable}: it will not trade twice. {error.fix}".rstrip()
        raise
    show_order(run, order)


def asked_price(text: str | None) -> Decimal | None:
    """The limit price of an order, quote currency; None for one at market. Raises InvalidInput."""
    price = None if text is None else parse_decimal(text, "limit_price")
    if price is not None and price <= ZERO:
        raise InvalidInput(
            "limit_price must be above zero", field="limit_price", fix="Leave --limit out for a market order."
        )
    return price


def _side(text: str) -> Side:
    try:
        return Side(text.lower())
    except ValueError:
        raise InvalidInput(
            f"side: {text[:20]!r} is neither buy nor sell", field="side", fix="Say buy or sell."
        ) from None


@app.command("list")
def list_orders(
    ctx: typer.Context,
    fund: Annotated[str | None, typer.Option("--fund", metavar="NAME", help="Default: every fund.")] = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help=f"One of {_STATUSES}; live: may still trade.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    before: Annotated[str | None, typer.Option("--before", metavar="CURSOR", help="Continue a list.")] = None,
) -> None:
    """Orders, the newest created first."""
    run = invocation(ctx)
    page = run.client.orders.list(fund, status=_status(status), limit=limit, before=before)
    columns = [
        Column[Order]("AT", lambda item: time(item.at)),
        Column[Order]("ORDER", lambda item: short(item.id) if run.output.on_terminal else str(item.id), style="dim"),
        Column[Order]("SYMBOL", lambda item: item.request.symbol, style="bold"),
        Column[Order]("SIDE", lambda item: item.request.side.value),
        Column[Order]("QUANTITY", lambda item: quantity(item.request.quantity), right=True),
        Column[Order]("LIMIT", lambda item: money(item.request.limit_price), right=True),
        Column[Order]("FILLED", lambda item: quantity(item.filled_quantity), right=True),
        Column[Order]("PRICE", lambda item: money(item.average_price), right=True),
        Column[Order](
            "STATUS",
            lambda item: item.status.value.replace("_", " "),
            style=lambda item: STATUS_STYLE.get(item.status, ""),
        ),
        Column[Order]("BY", lambda item: "agents" if item.decision_id else "hand"),
    ]
    names = fund_names(run.client, (item.fund_id for item in page)) if run.output.for_people else None
    if names is not None:
        columns.insert(2, Column[Order]("FUND", lambda item: names.get(item.fund_id, NONE)))
    run.output.rows(page, columns, key=lambda item: str(item.id), following=page.next, empty="No order yet.")


def _status(text: str | None) -> OrderFilter | None:
    if text is None:
        return None
    if text == "live":
        return "live"
    try:
        return OrderStatus(text)
    except ValueError:
        raise InvalidInput(
            f"status: {text[:40]!r} is not an order's status",
            field="status",
            fix=f"Use one of {_STATUSES}.",
        ) from None


@app.command("show")
def show(ctx: typer.Context, order: _Order, fund: _Of = None) -> None:
    """One order."""
    run = invocation(ctx)
    show_order(run, run.client.orders.get(order_id(run.client, order, fund)))


@app.command("cancel")
def cancel(
    ctx: typer.Context,
    order: Annotated[str | None, typer.Argument(metavar="[ORDER]", help=_WHICH)] = None,
    every: Annotated[bool, typer.Option("--all", help="Every order that may still trade, one after another.")] = False,
    fund: _Of = None,
) -> None:
    """Withdraw what is left of an order. `last` is the newest of every fund, by whomever: --fund narrows it."""
    run = invocation(ctx)
    if (order is None) != every:
        raise InvalidInput("which order?", field="order", fix="Give ORDER, or --all for every live one.")
    if order is None:
        _cancel_all(run, fund)
    else:
        show_order(run, run.client.orders.cancel(order_id(run.client, order, fund)))


@dataclass(frozen=True, slots=True)
class _Withdrawal:
    """What became of one order. order: as it is now; error: why it could not be withdrawn."""

    order: Order
    error: AlphaPulseError | None = None

    @property
    def said(self) -> str:
        return "" if self.error is None else self.error.message


def _cancel_all(run: Invocation, fund: str | None) -> None:
    """Each order on its own: what fails for one does not keep the next. Raises the first failure, after the table."""
    live = _all_live(run, fund)
    if live:
        orders = "1 live order" if len(live) == 1 else f"all {len(live)} live orders"
        run.confirm(f"Withdraw {orders} of {f'fund {fund}' if fund else 'every fund'}?")
    done: list[_Withdrawal] = []
    for order in live:
        # What is no matter of this one order would fail for all that follow.
        hopeless = done and isinstance(done[-1].error, Unauthenticated | Forbidden | DaemonUnreachable)
        done.append(_Withdrawal(order, done[-1].error) if hopeless else _withdrawn(run, order))
    _show_withdrawals(run, done)
    failed = [item.error for item in done if item.error is not None]
    if failed:
        failed[0].message = f"{len(failed)} of {len(done)} orders could not be cancelled: {failed[0].message}"
        raise failed[0]


def _all_live(run: Invocation, fund: str | None) -> list[Order]:
    """Read to the end before the first is withdrawn: pages of a list that shrinks meanwhile would skip some."""
    page = run.client.orders.list(fund, status="live", limit=500)
    found = list(page)
    while page.next is not None:
        page = run.client.orders.list(fund, status="live", limit=500, before=page.next)
        found += page
    return found


def _withdrawn(run: Invocation, order: Order) -> _Withdrawal:
    try:
        try:
            return _Withdrawal(run.client.orders.cancel(str(order.id)))
        except Conflict as error:
            now = run.client.orders.get(str(order.id))
            # Filled or withdrawn since it was listed: there is nothing left to cancel.
            return _Withdrawal(now, None if now.status.is_final else error)
    except AlphaPulseError as error:
        return _Withdrawal(order, error)


def _show_withdrawals(run: Invocation, done: list[_Withdrawal]) -> None:
    names = fund_names(run.client, (item.order.fund_id for item in done)) if run.output.for_people else None
    columns = [
        Column[_Withdrawal]("ORDER", lambda item: str(item.order.id)),
        Column[_Withdrawal]("SYMBOL", lambda item: item.order.request.symbol, style="bold"),
        Column[_Withdrawal]("SIDE", lambda item: item.order.request.side.value),
        Column[_Withdrawal]("LEFT", lambda item: quantity(item.order.remaining), right=True),
        Column[_Withdrawal](
            "STATUS",
            lambda item: item.order.status.value.replace("_", " "),
            style=lambda item: STATUS_STYLE.get(item.order.status, ""),
        ),
        Column[_Withdrawal]("FAILED", lambda item: item.said or NONE, style="red"),
    ]
    if names is not None:
        columns.insert(1, Column[_Withdrawal]("FUND", lambda item: names.get(item.order.fund_id, NONE)))
    if run.output.for_people or run.output.quiet:
        run.output.rows(done, columns, key=lambda item: str(item.order.id), empty="No order is live.")
        return
    shown: list[dict[str, Any]] = [{"order": item.order, "error": item.said or None} for item in done]
    run.output.rows(shown, [], key=str)


@app.command("explain")
def explain(ctx: typer.Context, order: _Order, fund: _Of = None) -> None:
    """Walk an order back: decision, agents and their numbers, consensus, allocation, every risk check."""
    run = invocation(ctx)
    explanation = run.client.orders.explain(order_id(run.client, order, fund))
    if run.output.for_people:
        from alphapulse.cli.explain import show_explanation

        show_explanation(run.output.console(), explanation)
    else:
        run.output.record(explanation, [], key=str(explanation.order.id))


def show_order(run: Invocation, order: Order) -> None:
    request = order.request
    pairs = [
        ("order", str(order.id)),
        ("status", order.status.value.replace("_", " ")),
        ("what", sentence(order)),
        ("filled", f"{quantity(order.filled_quantity)} of {quantity(request.quantity)}"),
        ("price", money(order.average_price)),
        ("at", time(order.at)),
        ("caused by", f"decision {order.decision_id}" if order.decision_id else "a person"),
    ]
    if order.reason:
        pairs.append(("reason", order.reason))
    pairs += [("denied", denial) for denial in order.denials]
    run.output.record(order, pairs, key=str(order.id))


def sentence(order: Order) -> str:
    request = order.request
    base, _, quote = request.symbol.partition("/")
    how = "at market" if request.limit_price is None else f"at {money(request.limit_price)} {quote} or better"
    return f"{request.side.value} {quantity(request.quantity)} {base} for {quote} {how} on {request.venue or NONE}"
