"""The other parts of the screen. Each has ``show(live, now)``, which draws the latest values and nothing else.

Text from the daemon is never read as markup, and no meaning is carried by colour alone.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.text import Text
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from alphapulse.domain.money import ZERO
from alphapulse.domain.orders import OrderStatus
from alphapulse.tui import words
from alphapulse.tui.live import Health, Live, Section
from alphapulse.tui.reasons import tell

if TYPE_CHECKING:
    from uuid import UUID

    from textual.app import ComposeResult

    from alphapulse.domain.orders import Order
    from alphapulse.domain.portfolio import Holding

#: How each state looks: a sign, and a style. Only LIVE is green.
_HEALTH = {
    Health.CONNECTING: ("…", "$text-warning"),
    Health.LIVE: ("●", "$text-success"),
    Health.STALE: ("▲", "$text-warning reverse bold"),
    Health.RECONNECTING: ("↻", "$text-warning reverse bold"),
    Health.REFUSED: ("✕", "$text-error reverse bold"),
}


class Line(Static):
    """A line that is laid out again only when its text differs."""

    said: Content = Content("")

    def say(self, content: Content) -> None:
        if not content.is_same(self.said):
            self.said = content
            self.update(content)


_POSITION_COLUMNS = ("Fund", "Symbol", "Quantity", "Cost", "Last", "Value", "Share", "Gain", "%")
_ORDER_COLUMNS = ("Fund", "Symbol", "Side", "Quantity", "Limit", "Filled", "Status", "At")
#: Narrower than this, in characters, a table shows the columns that matter most.
_ROOMY = 82


class StatusLine(Horizontal):
    """Whose fund, in which state, and how fresh everything is."""

    def compose(self) -> ComposeResult:
        yield Line("", id="place")
        yield Line("", id="freshness")

    def show(self, live: Live, now: datetime) -> None:
        self.query_one("#place", Line).say(_place(live))
        self.query_one("#freshness", Line).say(_freshness(live, now))


def _place(live: Live) -> Content:
    parts: list[str | tuple[str, str]] = [(" AlphaPulse ", "bold $primary")]
    if live.caller is not None and live.caller.tenant:
        parts.append(f" {words.safe(live.caller.tenant)}")
    fund = live.chosen
    if fund is not None:
        place = f" {live.funds.index(fund) + 1}/{len(live.funds)}" if len(live.funds) > 1 else ""
        parts += [" · ", (fund.name, "bold"), (place, "$secondary"), f" · {fund.mode} {fund.state}"]
    elif live.funds:
        parts.append(f" · all {len(live.funds)} funds")
    return Content.assemble(*parts)


def _freshness(live: Live, now: datetime) -> Content:
    health = live.health(now)
    sign, style = _HEALTH[health]
    age = live.stream_age(now)
    since = "" if age is None else f" {words.age(age)}"
    market_age, stale = live.market_age(now), live.market_is_stale(now)
    market = words.UNKNOWN if market_age is None else words.age(market_age)
    good = "$text-success" if health is Health.LIVE else "$secondary"
    market_part = (f" market {market} STALE ", "$text-warning bold") if stale else (f" market {market} ", good)
    return Content.assemble((f" {sign} {health}{since} ", style), market_part)


class Banner(Line):
    """There only when it has something to say."""

    def tell(self, text: str) -> None:
        self.display = bool(text)
        self.say(Content(words.safe(text)))


def halt_text(live: Live) -> str:
    """The widest halt that stops what is shown, how many more there are, and what resumes."""
    halts = live.shown_halts
    if not halts:
        return ""
    first = halts[0]
    what = f"fund {first.fund}" if first.fund else f"whole {first.scope}"
    more = f" (+{len(halts) - 1} more)" if len(halts) > 1 else ""
    return f" ■ TRADING HALTED: {what}{more} · {first.reason} · {first.actor}, {words.moment(first.recorded_at)}"


def error_text(live: Live) -> str:
    if not live.unread_errors:
        return ""
    count = f"{live.unread_errors} errors, last " if live.unread_errors > 1 else ""
    last = live.errors[-1]
    return f" ! {count}{last.at:%H:%M:%S} {last.line} · e shows, x hides"


class Table(DataTable[Text]):
    """A table that is redrawn whole, keeping the cursor."""

    def on_mount(self) -> None:
        self.cursor_type = "row"
        self.show_cursor = False

    def on_focus(self) -> None:
        self.show_cursor = True

    def on_blur(self) -> None:
        self.show_cursor = False

    def redraw(self, columns: list[str], rows: list[list[Text]]) -> None:
        row = self.cursor_row
        self.clear(columns=True)
        for place, column in enumerate(columns):
            left = column in {"Symbol", "Fund", "Side", "Status", "At", "Order"}
            # Measured here: the widget measures only when it is idle, and cuts what is drawn before that.
            width = max([len(column), *(cells[place].cell_len for cells in rows)])
            self.add_column(Text(column, justify="left" if left else "right"), width=width)
        for cells in rows:
            self.add_row(*cells)
        self.move_cursor(row=row)

    def title(self, text: str, live: Live, section: Section, now: datetime) -> None:
        """The panel's title, with the word that the figures are old when they are."""
        failing = live.failing.get(section)
        self.border_title = text if failing is None else f"{text} · NOT UPDATED for {words.age(now - failing)}"

    def colour(self, name: str) -> str:
        return self.app.theme_variables.get(name, "default")


def _right(text: str, style: str = "") -> Text:
    return Text(text, justify="right", style=style)


class Positions(Table):
    """What is held, the largest first."""

    def show(self, live: Live, now: datetime) -> None:
        held = [] if live.summary is None else [item for item in live.summary.positions if item.quantity]
        held.sort(key=lambda item: item.value, reverse=True)
        equity = live.summary.equity if live.summary else ZERO
        self.title(f"Positions ({len(held)})", live, Section.SUMMARY, now)
        left_out = set[str]() if live.fund is None else {"Fund"}
        if self.size.width < _ROOMY:
            left_out |= {"Cost"} if live.fund else {"Cost", "Last", "Share"}
        current = live.is_current(Section.SUMMARY, now)
        names = {fund.id: fund.name for fund in live.funds}
        rows = [self._cells(item, equity, names, current=current) for item in held]
        columns = [name for name in _POSITION_COLUMNS if name not in left_out]
        self.redraw(columns, [[row[name] for name in columns] for row in rows])

    def _cells(self, item: Holding, equity: Decimal, names: dict[UUID, str], *, current: bool) -> dict[str, Text]:
        paid = item.value - item.unrealised
        fraction, part = words.share(item.unrealised, paid), words.share(item.value, equity)
        style = ""
        if current and item.unrealised and item.price is not None:
            style = self.colour("success" if item.unrealised > ZERO else "error")
        cells = [
            Text(names.get(item.fund_id, "?")),
            Text(item.symbol, style="bold"),
            _right(words.quantity(item.quantity)),
            _right(words.price(item.average_cost)),
            _right(words.price(item.price)),
            _right(words.UNKNOWN if item.price is None else words.money(item.value)),
            _right(words.UNKNOWN if part is None else f"{part * 100:.1f}%"),
            _right(words.UNKNOWN if item.price is None else words.gain(item.unrealised), style),
            _right(words.UNKNOWN if fraction is None else words.percent(fraction).rstrip("%"), style),
        ]
        return dict(zip(_POSITION_COLUMNS, cells, strict=True))


class OpenOrders(Table):
    """Orders that may still trade, the newest first."""

    def show(self, live: Live, now: datetime) -> None:
        self.title(f"Open orders ({len(live.orders)})", live, Section.ORDERS, now)
        left_out = set[str]() if live.fund is None else {"Fund"}
        if live.fund is None and self.size.width < _ROOMY:
            left_out.add("At")
        names = {fund.id: fund.name for fund in live.funds}
        rows = [self._cells(order, names) for order in live.orders]
        columns = [name for name in _ORDER_COLUMNS if name not in left_out]
        self.redraw(columns, [[row[name] for name in columns] for row in rows])

    def _cells(self, order: Order, names: dict[UUID, str]) -> dict[str, Text]:
        request = order.request
        filled = words.share(order.filled_quantity, request.quantity) or ZERO
        attention = order.status in {OrderStatus.UNKNOWN, OrderStatus.INTENDED}
        status = "cancelling" if order.cancel_requested_at else order.status.replace("_", " ")
        cells = [
            Text(names.get(order.fund_id, "?")),
            Text(request.symbol, style="bold"),
            Text(request.side.upper()),
            _right(words.quantity(request.quantity)),
            _right("market" if request.limit_price is None else words.price(request.limit_price)),
            _right(f"{filled * 100:.0f}%"),
            Text(f"! {status}" if attention else status, style=self.colour("warning") if attention else ""),
            Text(words.moment(order.at)),
        ]
        return dict(zip(_ORDER_COLUMNS, cells, strict=True))


class Decisions(VerticalScroll):
    """The last decisions with their reasons."""

    can_focus = True

    def compose(self) -> ComposeResult:
        yield Static("", id="decision-text")

    def show(self, live: Live, now: datetime) -> None:
        failing = live.failing.get(Section.DECISIONS)
        late = "" if failing is None else f" · NOT UPDATED for {words.age(now - failing)}"
        self.border_title = f"Decisions, newest first{late}"
        names = {fund.id: fund.name for fund in live.funds} if live.fund is None else {}
        width = max(20, self.scrollable_content_region.width)
        lines = [line for decision in live.decisions for line in tell(decision, names, width)]
        nothing = Content.styled("no decision yet: the first comes when the next bar closes", "$secondary")
        self.query_one("#decision-text", Static).update(Content("\n").join(lines) if lines else nothing)
