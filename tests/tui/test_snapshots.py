"""The whole screen, compared with pictures that a person has looked at; renew them with ``--snapshot-update``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from alphapulse.clock import ManualClock
from alphapulse.domain.risk import HaltScope
from alphapulse.errors import Unavailable
from alphapulse.tui.app import Dashboard
from tests.tui.conftest import QUICK, settled
from tests.tui.memory import NOW, MemorySource

if TYPE_CHECKING:
    import pytest
    from textual.pilot import Pilot

    Compare = Callable[..., bool]
    Before = Callable[[Pilot[None]], Awaitable[None]]


def dashboard(*names: str) -> tuple[Dashboard, MemorySource, ManualClock]:
    source, clock = MemorySource(*names), ManualClock(NOW)
    return Dashboard(source, clock, pace=QUICK), source, clock


def test_the_dashboard_on_a_large_terminal(snap_compare: Compare) -> None:
    app, _, _ = dashboard()
    assert snap_compare(app, terminal_size=(140, 45), run_before=settled)


def test_the_dashboard_on_the_smallest_terminal(snap_compare: Compare) -> None:
    app, _, _ = dashboard()
    assert snap_compare(app, terminal_size=(80, 24), run_before=settled)


def test_a_stale_stream_with_a_halt_and_an_error(snap_compare: Compare) -> None:
    app, source, clock = dashboard("momentum", "carry")
    asyncio.run(source.halt(HaltScope.FUND, "drawdown above plan", "momentum"))

    async def age(pilot: Pilot[None]) -> None:
        await settled(pilot)
        clock.advance(timedelta(seconds=47))
        app.live.fail("portfolio", Unavailable("the database does not answer", request_id="req_7f3a"), clock.now())
        await settled(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=age)


def test_the_halt_dialog(snap_compare: Compare) -> None:
    app, _, _ = dashboard()

    async def press(pilot: Pilot[None]) -> None:
        await settled(pilot)
        await pilot.press("h")
        await settled(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=press)


def test_the_dashboard_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app, _, _ = dashboard("momentum", "carry")
    assert snap_compare(app, terminal_size=(100, 30), run_before=settled)
