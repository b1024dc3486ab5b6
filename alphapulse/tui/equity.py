"""The equity panel: the number, how it changed, and its curve against holding the universe."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Digits, Static

from alphapulse.domain.money import ZERO
from alphapulse.tui import words
from alphapulse.tui.live import Live, Section
from alphapulse.tui.plot import chart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from alphapulse.domain.portfolio import EquityPoint

_DAY = timedelta(hours=24)
#: From here on the big number leaves out the cents, to fit beside the curve.
_LARGE = Decimal(10_000_000)
_AXIS = 11
_LOOKS = {0: "", 1: "$primary", 2: "$secondary"}

Part = str | tuple[str, str]


def tone(value: Decimal, *, current: bool) -> str:
    """Colour of a gain or a loss. What is not current is never coloured: it is not news."""
    if not current or value == ZERO:
        return "$secondary"
    return "$text-success" if value > ZERO else "$text-error"


class Curve(Widget):
    """The fund solid, holding dotted, with the values of both edges and the first and last time."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._points: Sequence[EquityPoint] = ()

    def show(self, points: Sequence[EquityPoint]) -> None:
        self._points = points
        self.refresh()

    def render(self) -> Content:
        width, height = self.size.width - _AXIS, self.size.height
        if len(self._points) < 2 or width < 10 or height < 3:
            return Content.styled("no curve yet: it grows by one point per bar", "$secondary")
        foot = height >= 8
        plotted = chart(
            [point.equity for point in self._points],
            [point.benchmark for point in self._points],
            width,
            height - 1 if foot else height,
        )
        if plotted is None:
            return Content("")
        labels = {0: words.price(plotted.high), len(plotted.rows) - 1: words.price(plotted.low)}
        lines = [
            Content.assemble(
                *((run.text, _LOOKS[run.layer]) for run in row),
                (f"{labels.get(number, ''):>{_AXIS}.{_AXIS}}", "$secondary"),
            )
            for number, row in enumerate(plotted.rows)
        ]
        if foot:
            first, last = words.day(self._points[0].at), words.moment(self._points[-1].at)
            lines.append(Content.styled(f"{first}{last:>{width - len(first)}}", "$secondary"))
        return Content("\n").join(lines)


class EquityPanel(Horizontal):
    """Big number and facts at the left, curve at the right."""

    def compose(self) -> ComposeResult:
        with Vertical(id="figures"):
            yield Digits("", id="equity-number")
            yield Static("", id="equity-facts")
        yield Curve(id="curve")

    def show(self, live: Live, now: datetime) -> None:
        currency = live.summary.base_currency if live.summary else ""
        name = live.fund or "all funds"
        current = live.is_current(Section.SUMMARY, now)
        late = "" if current or live.heard_at is None else f" · NOT LIVE since {live.heard_at:%H:%M:%S}Z"
        self.border_title = f"Equity {currency} · {name} (⠒⠒) against holding (⠂⠂){late}"
        self.query_one("#equity-number", Digits).update(self._number(live))
        self.query_one("#equity-facts", Static).update(
            Content("\n").join(Content.assemble(*line) for line in facts(live, current=current))
        )
        self.query_one(Curve).show(live.history)
        self.set_class(not current, "-not-current")

    @staticmethod
    def _number(live: Live) -> str:
        if live.summary is None:
            return "-"
        equity = live.summary.equity
        return f"{equity:,.0f}" if abs(equity) >= _LARGE else f"{equity:,.2f}"


def facts(live: Live, *, current: bool) -> list[list[Part]]:
    """Lines under the number, the most telling first: small screens show two."""
    summary = live.summary
    if summary is None:
        return [["reading the books ..."]]
    lines: list[list[Part]] = [_change("since start", summary.equity - _capital(live), _capital(live), current=current)]
    points = live.history
    if points:
        before = next((point for point in points if point.at >= points[-1].at - _DAY), points[0])
        lines.append(_change("in 24h", summary.equity - before.equity, before.equity, current=current))
        lines.append(_against(points, _capital(live), current=current))
        fall = drawdown(points, _capital(live))
        lines.append(
            [("drawdown ", "$secondary"), f"{words.percent(-fall)} from its peak" if fall else "none, at its peak"]
        )
    lines.append(
        [
            ("cash ", "$secondary"),
            words.money(summary.cash),
            ("  invested ", "$secondary"),
            _plain_share(summary.gross_exposure, summary.equity),
        ]
    )
    lines.append([("fees paid ", "$secondary"), words.money(summary.fees)])
    if summary.unpriced:
        lines.insert(0, [(f"! no price: {', '.join(summary.unpriced)} (left out)", "$text-warning")])
    return lines


def drawdown(points: Sequence[EquityPoint], capital: Decimal) -> Decimal:
    """How far the last point lies below the highest one shown, the paid-in ``capital`` included, as a fraction."""
    peak = max(capital, *(point.equity for point in points))
    return (peak - points[-1].equity) / peak if peak else ZERO


def _capital(live: Live) -> Decimal:
    return sum((fund.capital for fund in live.shown_funds), ZERO)


def _change(label: str, change: Decimal, before: Decimal, *, current: bool) -> list[Part]:
    fraction = words.share(change, before)
    text = words.gain(change) + (f" {words.percent(fraction)}" if fraction is not None else "")
    return [(text, tone(change, current=current)), (f" {label}", "$secondary")]


def _against(points: Sequence[EquityPoint], capital: Decimal, *, current: bool) -> list[Part]:
    """Return of the fund less that of holding, in percentage points.

    Both from the paid-in ``capital`` to the last bar's close, as ``portfolio performance`` has them.
    """
    last = points[-1]
    own, held = words.share(last.equity, capital), words.share(last.benchmark, capital)
    if own is None or held is None:
        return [("holding n/a", "$secondary")]
    ahead = own - held
    word = "ahead" if ahead >= ZERO else "behind"
    return [
        ("holding ", "$secondary"),
        words.percent(held - 1),
        (f"  {words.arrow(ahead)} {word} {abs(ahead * 100):.2f} pts", tone(ahead, current=current)),
    ]


def _plain_share(part: Decimal, whole: Decimal) -> str:
    fraction = words.share(part, whole)
    return words.UNKNOWN if fraction is None else f"{fraction * 100:.1f}%"
