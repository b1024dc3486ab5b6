"""The dashboard as an application: ``run(source)`` and nothing else is called from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.theme import Theme

from alphapulse.clock import SystemClock
from alphapulse.tui.feed import Feed
from alphapulse.tui.live import Live
from alphapulse.tui.screens.overview import Overview

if TYPE_CHECKING:
    from alphapulse.clock import Clock
    from alphapulse.tui.feed import Pace
    from alphapulse.tui.source import Source

#: Contrast of every text against its ground is at least 4.5 to 1.
THEME = Theme(
    name="alphapulse",
    primary="#58a6ff",
    secondary="#8b949e",
    accent="#d2a8ff",
    foreground="#e6edf3",
    background="#0d1117",
    surface="#0d1117",
    panel="#161b22",
    success="#3fb950",
    warning="#e3b341",
    error="#ff7b72",
    dark=True,
)


class Dashboard(App[None]):
    """One screen over one source. Ends by Quit; errors of the source never end it."""

    TITLE = "AlphaPulse"
    CSS_PATH = "theme.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = []

    def __init__(self, source: Source, clock: Clock, fund: str | None = None, pace: Pace | None = None) -> None:
        super().__init__()
        self.live = Live(fund=fund)
        self._source = source
        self._clock = clock
        self._feed = Feed(source, self.live, clock, pace)

    def on_mount(self) -> None:
        self.register_theme(THEME)
        self.theme = THEME.name
        self.push_screen(Overview(self.live, self._feed, self._clock))
        self.run_worker(self._feed.run(), name="feed", exit_on_error=True)

    async def on_unmount(self) -> None:
        await self._source.close()


def run(source: Source, *, clock: Clock | None = None, fund: str | None = None) -> int:
    """Shows the dashboard until it is quit. fund: name of the one to begin with. The exit code of the process."""
    dashboard = Dashboard(source, clock or SystemClock(), fund)
    dashboard.run()
    return dashboard.return_code or 0
