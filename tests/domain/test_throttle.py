"""Who waits for whose failed log-ins, and who does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from alphapulse.domain.throttle import (
    ATTACK,
    FREE_TRIES,
    FREE_TRIES_OF_ADDRESS,
    LONGEST_WAIT,
    TRUST,
    WINDOW,
    Failures,
    Tally,
    wait_for,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NONE = Tally()
NO_WAIT = timedelta(0)


def failed(times: int, ago: timedelta = timedelta(0)) -> Tally:
    return Tally(times, NOW - ago)


def test_people_mistype_a_few_times_without_waiting() -> None:
    for times in range(FREE_TRIES):
        assert wait_for(Failures(failed(times), failed(times), failed(times)), NOW) == NO_WAIT


def test_from_then_on_the_wait_doubles_up_to_a_quarter_of_an_hour() -> None:
    waits = [wait_for(Failures(failed(times), NONE, NONE), NOW) for times in range(FREE_TRIES, FREE_TRIES + 30)]
    assert [wait.total_seconds() for wait in waits[:4]] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_WAIT


def test_waiting_counts_from_the_last_failure() -> None:
    assert wait_for(Failures(failed(FREE_TRIES + 2, timedelta(seconds=3)), NONE, NONE), NOW) == timedelta(seconds=1)
    assert wait_for(Failures(failed(FREE_TRIES + 2, timedelta(seconds=4)), NONE, NONE), NOW) == NO_WAIT


def test_after_an_hour_nothing_counts() -> None:
    assert wait_for(Failures(failed(1000, WINDOW), failed(1000, WINDOW), failed(1000, WINDOW)), NOW) == NO_WAIT


def test_an_owner_who_comes_from_elsewhere_never_waits_however_many_strangers_fail() -> None:
    assert wait_for(Failures(NONE, failed(1_000_000), NONE), NOW) == NO_WAIT


def test_under_attack_a_place_that_failed_once_waits() -> None:
    assert wait_for(Failures(failed(1), failed(ATTACK - 1), failed(1)), NOW) == NO_WAIT
    assert wait_for(Failures(failed(1), failed(ATTACK), failed(1)), NOW) > NO_WAIT


def test_an_address_that_tries_many_accounts_waits_for_all_of_them() -> None:
    assert wait_for(Failures(NONE, NONE, failed(FREE_TRIES_OF_ADDRESS - 1)), NOW) == NO_WAIT
    assert wait_for(Failures(NONE, NONE, failed(FREE_TRIES_OF_ADDRESS)), NOW) > NO_WAIT


def test_a_known_device_does_not_wait_for_its_neighbours_until_it_guesses_itself() -> None:
    crowd = failed(10_000)
    assert wait_for(Failures(crowd, crowd, crowd, NONE), NOW) == NO_WAIT
    assert wait_for(Failures(crowd, crowd, crowd, failed(TRUST - 1)), NOW) == NO_WAIT
    assert wait_for(Failures(crowd, crowd, crowd, failed(TRUST)), NOW) > NO_WAIT
