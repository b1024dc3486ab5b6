from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from alphapulse.domain.events import Event, EventKind
from alphapulse.domain.portfolio import EquityPoint
from alphapulse.domain.risk import Halt, HaltScope
from alphapulse.errors import NotFound, Unavailable
from alphapulse.tui.live import KEPT_ERRORS, SILENCE, Health, Live, Section, combined
from tests.tui.memory import CLOSE, NOW, TENANT, curve, fund

ONE, OTHER = fund("one"), fund("other")


def live() -> Live:
    made = Live(fund="one")
    made.put(Section.FUNDS, (ONE, OTHER))
    made.changed.clear()
    return made


def event(kind: EventKind, sequence: int = 1, **payload: str) -> Event:
    return Event(TENANT, sequence, kind, "x", CLOSE, NOW, dict(payload))


def test_an_event_asks_for_what_it_touches_and_nothing_else() -> None:
    state = live()
    state.hear(event(EventKind.FILL_BOOKED), NOW)
    assert state.wanted == {Section.ORDERS, Section.SUMMARY}


def test_an_event_of_another_fund_is_not_read_for_but_its_sequence_counts() -> None:
    state = live()
    state.hear(event(EventKind.FILL_BOOKED, 9, fund="other"), NOW)
    assert state.wanted == set()
    assert state.sequence == 9


def test_a_halt_of_another_fund_is_still_read() -> None:
    state = live()
    state.hear(event(EventKind.TRADING_HALTED, fund="other"), NOW)
    assert state.wanted == {Section.HALTS}


def test_a_thousand_events_ask_once() -> None:
    state = live()
    for sequence in range(1000):
        state.hear(event(EventKind.EQUITY_MARKED, sequence), NOW)
    assert state.wanted == {Section.SUMMARY, Section.HISTORY}
    assert state.sequence == 999


def test_a_value_that_did_not_change_is_not_drawn_again() -> None:
    state = live()
    state.put(Section.HISTORY, curve(100))
    state.changed.clear()
    state.put(Section.HISTORY, curve(100))
    assert state.changed == set()
    state.put(Section.HISTORY, curve(200))
    assert state.changed == {Section.HISTORY}


def test_another_fund_forgets_the_figures_of_the_one_before() -> None:
    state = live()
    state.put(Section.HISTORY, curve(100))
    state.choose("other")
    assert state.history == ()
    assert Section.HISTORY not in state.loaded
    assert Section.HISTORY in state.wanted


def test_a_stream_is_live_only_while_it_speaks() -> None:
    state = live()
    assert state.health(NOW) is Health.CONNECTING
    state.heard(NOW)
    assert state.health(NOW + SILENCE) is Health.LIVE
    assert state.health(NOW + SILENCE + timedelta(seconds=1)) is Health.STALE
    state.lost()
    assert state.health(NOW) is Health.RECONNECTING


def test_a_section_that_cannot_be_read_is_not_current_even_on_a_live_stream() -> None:
    state = live()
    state.heard(NOW)
    state.put(Section.HISTORY, ())
    assert state.is_current(Section.HISTORY, NOW)
    state.failing[Section.HISTORY] = NOW
    assert not state.is_current(Section.HISTORY, NOW)


def test_market_data_is_stale_beyond_what_the_risk_limits_allow() -> None:
    state = live()
    assert state.market_is_stale(NOW), "unknown is stale"
    state.put(Section.HISTORY, curve(100))
    allowed = 2 * ONE.config.timeframe.length
    assert not state.market_is_stale(CLOSE + allowed)
    assert state.market_is_stale(CLOSE + allowed + timedelta(seconds=1))


def test_the_same_error_again_counts_up_and_another_is_added() -> None:
    state = live()
    for _ in range(3):
        state.fail("portfolio", Unavailable("no database"), NOW)
    state.fail("orders", Unavailable("no database"), NOW)
    assert [(note.place, note.count) for note in state.errors] == [("portfolio", 3), ("orders", 1)]


def test_one_outage_is_one_unread_error_however_many_parts_it_hits() -> None:
    state = live()
    for _ in range(20):
        for section in (Section.SUMMARY, Section.ORDERS, Section.DECISIONS):
            state.fail(section.value, Unavailable("no database"), NOW)
            state.failing[section] = NOW
        state.heard(NOW)
        state.put(Section.DECISIONS, ())
    assert (state.unread_errors, len(state.errors)) == (1, 3)
    for section in (Section.SUMMARY, Section.ORDERS):
        state.put(section, None)
    state.fail("orders", Unavailable("no database, once more"), NOW)
    assert state.unread_errors == 2


def test_errors_that_do_not_pass_by_themselves_are_counted_each() -> None:
    state = live()
    for place in ("funds", "orders"):
        state.fail(place, NotFound("gone"), NOW)
    assert state.unread_errors == 2


def test_an_error_that_comes_again_after_it_was_read_is_unread_again() -> None:
    state = live()
    state.fail("portfolio", Unavailable("no database"), NOW)
    state.read_errors()
    state.fail("portfolio", Unavailable("no database"), NOW)
    assert state.unread_errors == 1


def test_errors_do_not_grow_without_end() -> None:
    state = live()
    for number in range(KEPT_ERRORS + 50):
        state.fail("portfolio", NotFound(f"failure {number}"), NOW)
    assert len(state.errors) == KEPT_ERRORS
    assert state.errors[-1].error.message == f"failure {KEPT_ERRORS + 49}"
    assert state.unread_errors == KEPT_ERRORS


def test_halts_of_other_funds_are_not_shown_and_the_widest_comes_first() -> None:
    state = live()
    narrow = Halt(ONE.id, HaltScope.FUND, "a", "ann", NOW, ONE.id, "one")
    other = replace(narrow, fund_id=OTHER.id, fund="other")
    wide = Halt(TENANT, HaltScope.PLATFORM, "b", "root", NOW)
    state.put(Section.HALTS, (other, narrow, wide))
    assert state.shown_halts == [wide, narrow]


def test_curves_are_added_at_every_time_from_when_all_have_begun() -> None:
    def point(hours: int, value: int) -> EquityPoint:
        return EquityPoint(CLOSE + timedelta(hours=hours), Decimal(value), Decimal(0), Decimal(value))

    total = combined([[point(0, 10), point(4, 12)], [point(2, 100)], []])
    assert [(item.at - CLOSE, item.equity) for item in total] == [
        (timedelta(hours=2), Decimal(110)),
        (timedelta(hours=4), Decimal(112)),
    ]
