"""The one screen: equity, positions, open orders, decisions, and how fresh they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Container, Vertical
from textual.screen import Screen
from textual.widgets import Footer

from alphapulse.domain.risk import HaltScope
from alphapulse.domain.tenancy import PERMISSIONS, Permission
from alphapulse.errors import AlphaPulseError
from alphapulse.tui import words
from alphapulse.tui.equity import EquityPanel
from alphapulse.tui.live import EVERYTHING, Health, Live, Section
from alphapulse.tui.screens.latch import HALT, RESUME, Choice, Confirmed, LatchScreen
from alphapulse.tui.screens.pick import ErrorScreen, FundScreen
from alphapulse.tui.widgets import Banner, Decisions, OpenOrders, Positions, StatusLine, error_text, halt_text

if TYPE_CHECKING:
    from datetime import datetime

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from alphapulse.clock import Clock
    from alphapulse.tui.feed import Feed
    from alphapulse.tui.screens.latch import Wording

#: Seconds between looks at what changed, whatever comes in meanwhile.
LOOK = 0.25


class Overview(Screen[None]):
    """Draws ``live``, asks ``feed``."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (116, "-wide")]  # noqa: RUF012 -- as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-low"), (34, "-tall")]  # noqa: RUF012 -- as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        ("f", "choose_fund", "Fund"),
        ("h", "halt", "Halt"),
        ("r", "resume", "Resume"),
        ("e", "errors", "Errors"),
        ("x", "hide_errors", "Hide errors"),
        ("u", "refresh", "Update now"),
        ("q", "app.quit", "Quit"),
    ]

    AUTO_FOCUS = ""

    def __init__(self, live: Live, feed: Feed, clock: Clock) -> None:
        super().__init__()
        self._live = live
        self._feed = feed
        self._clock = clock
        self._drawn: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield StatusLine(id="status")
        yield Banner("", id="halts")
        yield Banner("", id="error")
        with Container(id="floor"):
            with Vertical(id="books"):
                yield EquityPanel(id="equity", classes="panel")
                yield Positions(id="positions", classes="panel")
                yield OpenOrders(id="orders", classes="panel")
            yield Decisions(id="decisions", classes="panel")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._look()
        self.set_interval(LOOK, self._look)

    def _look(self) -> None:
        """Draws what changed since the last look. A change of health or of an age that is shown touches everything."""
        live, now = self._live, self._clock.now()
        changed, live.changed = live.changed, set[Section]()
        state = self._state(now)
        if state != self._drawn:
            self._drawn, changed = state, set(EVERYTHING)
            self.refresh_bindings()
        with self.app.batch_update():
            self.query_one(StatusLine).show(live, now)
            self.query_one("#halts", Banner).tell(halt_text(live))
            self.query_one("#error", Banner).tell(error_text(live))
            if changed & {Section.SUMMARY, Section.HISTORY, Section.FUNDS}:
                self.query_one(EquityPanel).show(live, now)
            if changed & {Section.SUMMARY, Section.FUNDS}:
                self.query_one(Positions).show(live, now)
            if changed & {Section.ORDERS, Section.FUNDS}:
                self.query_one(OpenOrders).show(live, now)
            if changed & {Section.DECISIONS, Section.FUNDS}:
                self.query_one(Decisions).show(live, now)

    def _state(self, now: datetime) -> tuple[object, ...]:
        """What every panel depends on, its room included: that is known only after the first layout."""
        live = self._live
        ages = tuple((section, int((now - since).total_seconds())) for section, since in live.failing.items())
        room = tuple(panel.scrollable_content_region.size for panel in self.query(".panel"))
        current = live.health(now) is Health.LIVE
        return (current, ages, bool(live.unread_errors), bool(live.shown_halts), len(live.funds), room)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 -- Textual's hook
        """Keys that can do nothing now are not offered."""
        match action:
            case "choose_fund":
                return len(self._live.funds) > 1
            case "halt":
                return self._live.caller is None or self._may(Permission.RISK_HALT)
            case "resume":
                return bool(self._resumable())
            case "hide_errors":
                return self._live.unread_errors > 0
            case _:
                return True

    def _may(self, permission: Permission) -> bool:
        caller = self._live.caller
        return caller is not None and permission in PERMISSIONS[caller.role]

    def action_choose_fund(self) -> None:
        live = self._live
        halted = frozenset(halt.fund for halt in live.halts if halt.fund)

        def chosen(place: int | None) -> None:
            if place is not None:
                self._feed.choose(None if place < 0 else live.funds[place].name)

        self.app.push_screen(FundScreen(live.funds, live.fund, halted), chosen)

    def action_errors(self) -> None:
        self._live.read_errors()
        self.app.push_screen(ErrorScreen(tuple(self._live.errors)))

    def action_hide_errors(self) -> None:
        self._live.read_errors()

    def action_refresh(self) -> None:
        self._feed.refresh()

    def action_halt(self) -> None:
        choices = [Choice(HaltScope.TENANT, None, "every fund of this tenant")]
        if self._live.fund is not None:
            choices.insert(0, Choice(HaltScope.FUND, self._live.fund, f"fund {self._live.fund} only"))
        self._confirm(HALT, choices)

    def action_resume(self) -> None:
        self._confirm(RESUME, self._resumable())

    def _resumable(self) -> list[Choice]:
        """Halts on what is shown that this caller may lift."""
        if not self._may(Permission.RISK_RESUME):
            return []
        found: list[Choice] = []
        for halt in self._live.shown_halts:
            if halt.scope is HaltScope.PLATFORM and not self._may(Permission.PLATFORM_WRITE):
                continue
            what = f"fund {halt.fund}" if halt.fund else f"the whole {halt.scope}"
            found.append(Choice(halt.scope, halt.fund, words.safe(f"{what}: {halt.reason}")))
        return found

    def _confirm(self, wording: Wording, choices: list[Choice]) -> None:
        def answered(confirmed: Confirmed | None) -> None:
            if confirmed is not None:
                self.run_worker(self._latch(wording, confirmed), exit_on_error=True)

        self.app.push_screen(LatchScreen(wording, choices), answered)

    async def _latch(self, wording: Wording, confirmed: Confirmed) -> None:
        """Asks once. A failure stays on the screen until it is read: whether it took effect is then not known."""
        choice = confirmed.choice
        change = self._feed.halt if wording is HALT else self._feed.resume
        try:
            await change(choice.scope, confirmed.reason, choice.fund)
        except AlphaPulseError as error:
            self._live.fail(f"{wording.word} NOT CONFIRMED", error, self._clock.now())
            self.notify(
                words.safe(error.message),
                title=f"{wording.word} NOT CONFIRMED",
                severity="error",
                timeout=20,
                markup=False,
            )
        else:
            self.notify(choice.label, title=f"{wording.word} confirmed", markup=False)
