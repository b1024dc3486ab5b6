"""What the tests of the dashboard share: an opened dashboard over a source in memory, and waiting without sleeping."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from textual.content import Content
from textual.widgets import Static

from alphapulse.clock import ManualClock
from alphapulse.tui.app import Dashboard
from alphapulse.tui.feed import Pace
from alphapulse.tui.live import EVERYTHING
from alphapulse.tui.screens.overview import Overview
from tests.tui.memory import NOW, MemorySource

if TYPE_CHECKING:
    from textual.pilot import Pilot

#: Seconds until a wait is given up.
PATIENCE = 15.0
QUICK = Pace(timedelta(0), timedelta(milliseconds=5), timedelta(milliseconds=20), timedelta(hours=1))
#: Retries only when asked to.
PATIENT = Pace(timedelta(0), timedelta(hours=1), timedelta(hours=1), timedelta(hours=1))


@pytest.fixture(autouse=True)
def a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment of the test run says of colours, the pictures are the same."""
    for name in ("NO_COLOR", "TEXTUAL_COLOR_SYSTEM", "TEXTUAL_FILTERS", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)


class Opened:
    """A dashboard that runs in the test, and what is on its screen."""

    def __init__(self, app: Dashboard, pilot: Pilot[None], source: MemorySource, clock: ManualClock) -> None:
        self.app = app
        self.pilot = pilot
        self.source = source
        self.clock = clock

    async def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = monotonic() + PATIENCE
        while not condition():
            assert monotonic() < deadline, f"waited in vain: {what}\n{self.text()}"
            await self.pilot.pause(0.02)

    async def until_shown(self, text: str) -> None:
        await self.until(lambda: text in self.text(), f"{text!r} on the screen")

    async def until_gone(self, text: str) -> None:
        await self.until(lambda: text not in self.text(), f"no {text!r} on the screen")

    def text(self) -> str:
        """What a person sees, line by line, of every screen on the stack."""
        return "\n".join(strip.text for screen in self.app.screen_stack for strip in screen._compositor.render_strips())

    def said(self, selector: str) -> str:
        """The text of one line of the dashboard, uncut."""
        content = self.app.screen_stack[1].query_one(selector, Static).content
        return content.plain if isinstance(content, Content) else str(content)

    async def type(self, text: str) -> None:
        await self.pilot.press(*text)


@asynccontextmanager
async def opened(
    source: MemorySource, *, size: tuple[int, int] = (140, 45), pace: Pace = QUICK, fund: str | None = None
) -> AsyncGenerator[Opened]:
    clock = ManualClock(NOW)
    app = Dashboard(source, clock, fund, pace)
    async with app.run_test(size=size) as pilot:
        yield Opened(app, pilot, source, clock)


async def settled(pilot: Pilot[None]) -> None:
    """Everything is read and drawn, once with the room that the first layout gave."""
    app = pilot.app
    assert isinstance(app, Dashboard)
    deadline = monotonic() + PATIENCE
    quiet = 0
    while quiet < 5:
        assert monotonic() < deadline, f"never settled: {app.live}"
        await pilot.pause(0.02)
        screen = app.screen_stack[1] if len(app.screen_stack) > 1 else None
        done = (
            isinstance(screen, Overview)
            and app.live.loaded >= EVERYTHING
            and app.live.heard_at is not None
            and not app.live.changed
            and screen._drawn == screen._state(app._clock.now())
        )
        quiet = quiet + 1 if done else 0
