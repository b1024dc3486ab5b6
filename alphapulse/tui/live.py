"""What the dashboard knows: the latest value of each thing, and how old it is. Pure state, no IO, no widgets.

Snapshots put values in, events say which values are old, the screen takes what changed four times a second.
Thousands of events between two looks therefore cost one look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from alphapulse.domain.events import Event, EventKind
from alphapulse.domain.portfolio import EquityPoint
from alphapulse.domain.risk import Halt, HaltScope
from alphapulse.tui.words import safe

if TYPE_CHECKING:
    from alphapulse.domain.decisions import Decision
    from alphapulse.domain.funds import Fund
    from alphapulse.domain.orders import Order
    from alphapulse.domain.portfolio import PortfolioSummary
    from alphapulse.domain.tenancy import Whoami
    from alphapulse.errors import AlphaPulseError

#: A stream without a word for so long is stale. The daemon says something at least every 15 s.
SILENCE = timedelta(seconds=20)
#: How many errors are kept for reading.
KEPT_ERRORS = 100


class Section(StrEnum):
    """The parts that are read one by one."""

    FUNDS = "funds"
    HALTS = "halts"
    SUMMARY = "portfolio"
    HISTORY = "history"
    ORDERS = "orders"
    DECISIONS = "decisions"


EVERYTHING = frozenset(Section)
#: What another fund shows differently.
OF_A_FUND = EVERYTHING - {Section.FUNDS, Section.HALTS}

_TOUCHES: dict[EventKind, frozenset[Section]] = {
    EventKind.ORDER_INTENDED: frozenset({Section.ORDERS}),
    EventKind.ORDER_DENIED: frozenset({Section.ORDERS}),
    EventKind.ORDER_CHANGED: frozenset({Section.ORDERS}),
    EventKind.FILL_BOOKED: frozenset({Section.ORDERS, Section.SUMMARY}),
    EventKind.DECISION_MADE: frozenset({Section.DECISIONS}),
    EventKind.SLOT_MISSED: frozenset({Section.DECISIONS}),
    EventKind.EQUITY_MARKED: frozenset({Section.SUMMARY, Section.HISTORY}),
    EventKind.FUND_CREATED: frozenset({Section.FUNDS}),
    EventKind.FUND_STARTED: frozenset({Section.FUNDS}),
    EventKind.FUND_STOPPED: frozenset({Section.FUNDS}),
    EventKind.FUND_CONFIGURED: frozenset({Section.FUNDS}),
    EventKind.TRADING_HALTED: frozenset({Section.HALTS}),
    EventKind.TRADING_RESUMED: frozenset({Section.HALTS}),
    EventKind.REPLAY_FINISHED: EVERYTHING,
    EventKind.RECONCILE_ATTENTION: frozenset({Section.ORDERS}),
}


class Health(StrEnum):
    """State of the event stream, as a word for the screen."""

    CONNECTING = "CONNECTING"
    LIVE = "LIVE"
    STALE = "STALE"  # connected as far as we know, but silent for longer than SILENCE
    RECONNECTING = "RECONNECTING"
    REFUSED = "REFUSED"  # the daemon does not want this caller; trying again does not help


@dataclass(frozen=True, slots=True)
class ErrorNote:
    """An error as shown. place: what was being done. count: how often in a row it came."""

    at: datetime
    place: str
    error: AlphaPulseError
    count: int = 1

    @property
    def line(self) -> str:
        times = f" (x{self.count})" if self.count > 1 else ""
        reference = f" [request {self.error.request_id}]" if self.error.request_id else ""
        fix = f" {self.error.fix}" if self.error.fix else ""
        message = self.error.message.rstrip(".")
        return safe(f"{self.place}: {self.error.code}: {message}{times}.{fix}{reference}")


@dataclass(slots=True)
class Live:
    """Latest values. None or empty: not read yet; ``loaded`` tells which.

    fund: name of the chosen fund, None for all together. sequence: of the newest event seen; a new connection resumes
    after it. wanted: sections to read. changed: sections to draw. heard_at: when the stream last said anything.
    failing: since when a section could not be read; its value is the one from before.
    """

    fund: str | None = None
    caller: Whoami | None = None
    funds: tuple[Fund, ...] = ()
    halts: tuple[Halt, ...] = ()
    summary: PortfolioSummary | None = None
    history: tuple[EquityPoint, ...] = ()
    orders: tuple[Order, ...] = ()
    decisions: tuple[Decision, ...] = ()
    sequence: int = 0
    link: Health = Health.CONNECTING
    heard_at: datetime | None = None
    wanted: set[Section] = field(default_factory=set[Section])
    changed: set[Section] = field(default_factory=set[Section])
    loaded: set[Section] = field(default_factory=set[Section])
    failing: dict[Section, datetime] = field(default_factory=dict[Section, datetime])
    errors: list[ErrorNote] = field(default_factory=list[ErrorNote])
    unread_errors: int = 0
    _outage: bool = False

    def want(self, sections: Iterable[Section]) -> None:
        self.wanted.update(sections)

    def choose(self, fund: str | None) -> None:
        """Another fund, or None for all. What belonged to the one before is forgotten, not shown under a new name."""
        if fund == self.fund:
            return
        self.fund = fund
        self.summary, self.history, self.orders, self.decisions = None, (), (), ()
        self.loaded -= OF_A_FUND
        for section in OF_A_FUND:
            self.failing.pop(section, None)
        self.want(OF_A_FUND)
        self.changed |= EVERYTHING

    def put(self, section: Section, value: object) -> None:
        """A value as read. Drawn again only when it differs."""
        first = section not in self.loaded
        self.loaded.add(section)
        recovered = self.failing.pop(section, None) is not None
        self._see_whether_it_is_over()
        name = "summary" if section is Section.SUMMARY else section.value
        if first or recovered or getattr(self, name) != value:
            setattr(self, name, value)
            self.changed.add(section)

    def hear(self, event: Event, now: datetime) -> None:
        """An event. What it touches is wanted, unless it is known to be of a fund that is not shown."""
        self.heard(now)
        self.sequence = max(self.sequence, event.sequence)
        touched = _TOUCHES.get(event.kind, frozenset[Section]())
        if self.fund is not None and event.payload.get("fund", self.fund) != self.fund:
            touched -= OF_A_FUND
        self.want(touched)

    def heard(self, now: datetime) -> None:
        """Any word from the stream: it lives."""
        self.link = Health.LIVE
        self.heard_at = now
        self._see_whether_it_is_over()

    def lost(self) -> None:
        self.link = Health.RECONNECTING

    def fail(self, place: str, error: AlphaPulseError, now: datetime) -> None:
        """Keeps an error for reading. The same one again only counts up.

        Until everything is read and heard again, failures that may pass are one outage: one unread error.
        """
        part_of_it = error.retryable and self._outage
        self._outage = self._outage or error.retryable
        candidates = self.errors if part_of_it else self.errors[-1:]
        key = (place, error.code, error.message)
        same = next((note for note in candidates if (note.place, note.error.code, note.error.message) == key), None)
        if same is not None:
            self.errors.remove(same)
            self.errors.append(ErrorNote(now, place, error, same.count + 1))
        else:
            self.errors.append(ErrorNote(now, place, error))
            del self.errors[:-KEPT_ERRORS]
            self.unread_errors += not part_of_it
        self.unread_errors = max(1, min(self.unread_errors, len(self.errors)))

    def _see_whether_it_is_over(self) -> None:
        if not self.failing and self.link is Health.LIVE:
            self._outage = False

    def read_errors(self) -> None:
        self.unread_errors = 0

    @property
    def chosen(self) -> Fund | None:
        return next((fund for fund in self.funds if fund.name == self.fund), None)

    @property
    def shown_funds(self) -> Sequence[Fund]:
        return self.funds if self.fund is None else [fund for fund in self.funds if fund.name == self.fund]

    @property
    def shown_halts(self) -> list[Halt]:
        """Halts that stop what is on the screen, the widest first."""
        ids = {fund.id for fund in self.shown_funds}
        found = [halt for halt in self.halts if halt.scope is not HaltScope.FUND or halt.fund_id in ids]
        return sorted(found, key=lambda halt: (list(HaltScope).index(halt.scope) * -1, halt.recorded_at))

    @property
    def market_at(self) -> datetime | None:
        """Market time of what is shown: of the oldest price used, else of the newest bar that left a trace."""
        if self.summary is not None and self.summary.as_of is not None:
            return self.summary.as_of
        traces = [point.at for point in self.history[-1:]] + [decision.at for decision in self.decisions[:1]]
        return max(traces, default=None)

    def market_age(self, now: datetime) -> timedelta | None:
        return None if self.market_at is None else max(timedelta(0), now - self.market_at)

    def market_is_stale(self, now: datetime) -> bool:
        """Older than the risk limits allow an order to be judged on. Unknown counts as stale."""
        age = self.market_age(now)
        allowed = [fund.config.limits.max_data_age_bars * fund.config.timeframe.length for fund in self.shown_funds]
        return age is None or age > max(allowed, default=timedelta(0))

    def stream_age(self, now: datetime) -> timedelta | None:
        return None if self.heard_at is None else max(timedelta(0), now - self.heard_at)

    def health(self, now: datetime) -> Health:
        age = self.stream_age(now)
        if self.link is Health.LIVE and (age is None or age > SILENCE):
            return Health.STALE
        return self.link

    def is_current(self, section: Section, now: datetime) -> bool:
        """Whether the section may be shown as good news: the stream lives and the last read went well."""
        return self.health(now) is Health.LIVE and section in self.loaded and section not in self.failing


def combined(histories: Iterable[Sequence[EquityPoint]]) -> tuple[EquityPoint, ...]:
    """Sum of several curves at every time that any of them has a point, from when all have begun."""
    curves = [list(history) for history in histories if history]
    times = sorted({point.at for curve in curves for point in curve})
    latest: list[EquityPoint | None] = [None] * len(curves)
    places = [0] * len(curves)
    total: list[EquityPoint] = []
    for at in times:
        for i, curve in enumerate(curves):
            while places[i] < len(curve) and curve[places[i]].at <= at:
                latest[i] = curve[places[i]]
                places[i] += 1
        points = [point for point in latest if point is not None]
        if len(points) == len(curves):
            total.append(_sum(at, points))
    return tuple(total)


def _sum(at: datetime, points: Sequence[EquityPoint]) -> EquityPoint:
    first, *rest = points
    equity, cash, benchmark = first.equity, first.cash, first.benchmark
    for point in rest:
        equity, cash, benchmark = equity + point.equity, cash + point.cash, benchmark + point.benchmark
    return EquityPoint(at, equity, cash, benchmark)
