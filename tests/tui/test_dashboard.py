"""The dashboard as a person uses it, over a source in memory."""

from __future__ import annotations

import re
from datetime import timedelta

from textual.widgets import Input

from alphapulse.client.stream import Link, LinkState
from alphapulse.domain.events import EventKind
from alphapulse.domain.risk import HaltScope
from alphapulse.domain.tenancy import Role
from alphapulse.errors import DaemonUnreachable, Unauthenticated, Unavailable
from tests.tui.conftest import PATIENT, Opened, opened
from tests.tui.memory import NOW, MemorySource


def green(app: Opened) -> set[str]:
    """Colours of text on the screen in which green clearly dominates."""
    svg = app.app.export_screenshot()
    found: set[str] = set()
    for colour in re.findall(r"\{ fill: #([0-9a-f]{6})", svg):
        red, own, blue = (int(colour[i : i + 2], 16) for i in (0, 2, 4))
        if own > red + 25 and own > blue + 25:
            found.add(colour)
    return found


async def test_the_screen_shows_equity_positions_open_orders_and_reasons() -> None:
    async with opened(MemorySource()) as app:
        await app.until_shown("LIVE 0s")
        for shown in (
            "acme · momentum · paper running",
            "▲ +13,073.97 +13.07% since start",
            "holding +7.47%  ▲ ahead 5.61 pts",
            "BTC/USDT    0.8421  61,204.10  64,250.10  54,105.01  47.8%  ▲ +2,565.04   +4.98",
            "▼ -875.90",
            "partially filled",
            "BUY 0.0421",
            "DENIED SELL 14.2",
            "NOTIONAL_BELOW_MINIMUM: notional=4.1 minimum=5",
            "MISSED the daemon was down",
            "LIVE 0s",
            "market 7m 30s",
        ):
            await app.until_shown(shown)


async def test_every_part_is_on_the_smallest_screen() -> None:
    async with opened(MemorySource(), size=(80, 24)) as app:
        await app.until_shown("BUY 0.0421")
        lines = app.text().splitlines()
        for shown in (
            "Equity USDT",
            "Positions (3)",
            "Open orders (2)",
            "Decisions",
            "+4.98",
            "h Halt",
            "q Quit",
            "LIVE",
        ):
            assert any(shown in line for line in lines), shown


async def test_a_halt_needs_the_typed_word_and_is_asked_exactly_once() -> None:
    async with opened(MemorySource()) as app:
        await app.until_shown("LIVE")
        await app.pilot.press("h")
        await app.until_shown("Halt trading")
        assert [app.text().count(sign) for sign in ("▐●▌", "▐○▌")] == [1, 1]
        await app.type("halt")
        await app.pilot.press("enter")
        await app.until_shown("Not done")
        assert app.source.halted == []
        await app.pilot.press(*["backspace"] * 4)
        await app.type("HALT")
        await app.pilot.press("enter", "enter", "enter")
        await app.until_shown("TRADING HALTED: fund momentum")
        assert app.source.halted == [(HaltScope.FUND, "halted from the dashboard", "momentum")]


async def test_escape_leaves_the_halt_undone() -> None:
    async with opened(MemorySource()) as app:
        await app.until_shown("LIVE")
        await app.pilot.press("h")
        await app.type("HALT")
        await app.pilot.press("escape")
        await app.until_gone("Halt trading")
        assert app.source.halted == []


async def test_a_halt_can_take_in_every_fund_and_say_why() -> None:
    async with opened(MemorySource("momentum", "carry")) as app:
        await app.until_shown("LIVE")
        await app.pilot.press("h", "shift+tab", "shift+tab", "down", "space", "tab")
        await app.type("venue is odd")
        await app.pilot.press("enter")
        await app.until_shown("HALT: every fund of this tenant")
        await app.type("HALT")
        await app.pilot.press("enter")
        await app.until_shown("TRADING HALTED: whole tenant · venue is odd")
        assert app.source.halted == [(HaltScope.TENANT, "venue is odd", None)]


async def test_a_halt_without_an_answer_is_not_called_done_and_not_repeated() -> None:
    source = MemorySource()
    source.failures["halt"] = Unavailable("the connection broke before the answer", fix="Look before you repeat it.")
    async with opened(source) as app:
        await app.until_shown("LIVE")
        await app.pilot.press("h")
        await app.type("HALT")
        await app.pilot.press("enter")
        await app.until(lambda: "HALT NOT CONFIRMED: unavailable" in app.said("#error"), "the failed halt")
        assert len(source.halted) == 1
        assert "TRADING HALTED" not in app.text()


async def test_a_viewer_is_not_offered_the_halt_key() -> None:
    async with opened(MemorySource(role=Role.VIEWER)) as app:
        await app.until_shown("acme")
        await app.until_gone("h Halt")
        await app.pilot.press("h")
        await app.pilot.pause()
        assert "Halt trading" not in app.text()


async def test_a_tenant_admin_resumes_with_the_typed_word() -> None:
    source = MemorySource()
    await source.halt(HaltScope.FUND, "too fast", "momentum")
    async with opened(source) as app:
        await app.until_shown("r Resume")
        await app.pilot.press("r")
        await app.until_shown("Resume trading")
        await app.type("RESUME")
        await app.pilot.press("enter")
        await app.until_gone("TRADING HALTED")
        assert source.resumed == [(HaltScope.FUND, "resumed from the dashboard", "momentum")]


async def test_a_trader_may_halt_but_is_not_offered_resume() -> None:
    source = MemorySource(role=Role.TRADER)
    await source.halt(HaltScope.FUND, "too fast", "momentum")
    async with opened(source) as app:
        await app.until_shown("TRADING HALTED")
        await app.until_shown("h Halt")
        assert "r Resume" not in app.text()
        await app.pilot.press("r")
        await app.pilot.pause()
        assert "Resume trading" not in app.text()


async def test_a_silent_stream_shows_stale_and_nothing_stays_green() -> None:
    async with opened(MemorySource()) as app:
        await app.until_shown("LIVE 0s")
        await app.until(lambda: green(app), "green while all is well")
        app.clock.advance(timedelta(seconds=47))
        await app.until_shown("STALE 47s")
        await app.until_shown("NOT LIVE since 12:07:30Z")
        assert green(app) == set()
        app.source.say(Link(LinkState.ALIVE, at=NOW))
        await app.until_shown("LIVE 0s")
        await app.until(lambda: green(app), "green again")


async def test_old_market_data_is_called_stale_although_the_stream_lives() -> None:
    async with opened(MemorySource()) as app:
        await app.until_shown("market 7m 30s")
        app.clock.advance(timedelta(hours=9))
        app.source.say(Link(LinkState.ALIVE, at=NOW))
        await app.until_shown("LIVE 0s")
        await app.until_shown("market 9h 07m STALE")


async def test_a_lost_stream_resumes_after_the_last_event_seen() -> None:
    source = MemorySource()
    async with opened(source, pace=PATIENT) as app:
        await app.until_shown("LIVE")
        source.say(source.event(EventKind.ORDER_CHANGED), source.event(EventKind.DECISION_MADE))
        await app.until(lambda: app.app.live.sequence == 43, "both events")
        source.say(DaemonUnreachable("no daemon answers at http://127.0.0.1:8470"))
        await app.until_shown("RECONNECTING")
        assert green(app) == set()
        await app.pilot.press("u")
        await app.until_shown("● LIVE")
        assert source.followed == [41, 43]


async def test_a_stream_that_the_client_mends_by_itself_shows_the_gap() -> None:
    source = MemorySource()
    async with opened(source) as app:
        await app.until_shown("LIVE")
        source.say(Link(LinkState.DOWN, detail="the daemon fell silent"))
        await app.until_shown("RECONNECTING")
        await app.until_shown("the daemon fell silent")
        asked = source.asked.count("summary")
        source.say(Link(LinkState.UP))
        await app.until_shown("● LIVE")
        await app.until(lambda: source.asked.count("summary") > asked, "the books read again")


async def test_a_revoked_login_is_said_and_not_hammered() -> None:
    source = MemorySource()
    async with opened(source) as app:
        await app.until_shown("LIVE")
        source.say(Unauthenticated("the login is no longer valid", fix="Log in again with `alphapulse login`."))
        await app.until_shown("✕ REFUSED")
        assert "Log in again" in app.said("#error")
        assert len(source.followed) == 1


async def test_an_api_error_is_shown_until_it_is_read_and_kept_in_the_list() -> None:
    source = MemorySource()
    async with opened(source) as app:
        await app.until_shown("113,073.97")
        source.failures["summary"] = Unavailable("the database does not answer", request_id="req_7f3a")
        source.say(source.event(EventKind.EQUITY_MARKED))
        await app.until_shown("portfolio: unavailable: the database does not answer")
        await app.until_shown("NOT UPDATED")
        assert "54,105.01" in app.text(), "the last known figures stay"
        del source.failures["summary"]
        await app.until_gone("NOT UPDATED")
        assert "req_7f3a" in app.said("#error"), "the error outlives its cause"
        await app.pilot.press("x")
        await app.until_gone("does not answer")
        await app.pilot.press("e")
        await app.until_shown("Errors (1)")
        await app.until_shown("req_7f3a")


async def test_a_daemon_that_is_down_at_the_start_is_waited_for() -> None:
    source = MemorySource()
    source.failures["whoami"] = DaemonUnreachable("no daemon answers at http://127.0.0.1:8470")
    async with opened(source) as app:
        await app.until_shown("connect: daemon_unreachable: no daemon answers")
        await app.until_shown("RECONNECTING")
        del source.failures["whoami"]
        await app.until_shown("● LIVE")
        await app.until_shown("113,073.97")


async def test_another_fund_is_chosen_by_key_and_all_can_be_seen_together() -> None:
    async with opened(MemorySource("momentum", "carry")) as app:
        await app.until_shown("momentum 1/2")
        await app.pilot.press("f", "down", "enter")
        await app.until_shown("carry 2/2")
        await app.pilot.press("f", "up", "up", "enter")
        await app.until_shown("all 2 funds")
        await app.until_shown("226,147.94")
        await app.until_shown("Positions (6)")


async def test_what_other_people_wrote_is_shown_as_it_is() -> None:
    source = MemorySource()
    await source.halt(HaltScope.FUND, "[bold red]gone[/] \x1b[31mred", "momentum")
    async with opened(source) as app:
        await app.until_shown("[bold red]gone[/]")
        assert "\x1b" not in app.said("#halts")


async def test_leaving_closes_the_source() -> None:
    source = MemorySource()
    async with opened(source) as app:
        await app.until_shown("LIVE")
        await app.pilot.press("q")
    assert "close" in source.asked


async def test_two_confirmations_at_once_are_one_halt() -> None:
    async with opened(MemorySource()) as app:
        await app.until_shown("LIVE")
        await app.pilot.press("h")
        await app.until_shown("Halt trading")
        word = app.app.screen.query_one("#word", Input)
        for _ in range(3):
            word.post_message(Input.Submitted(word, "HALT"))
        await app.until_shown("TRADING HALTED")
        assert len(app.source.halted) == 1
