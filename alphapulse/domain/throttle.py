"""How long a log-in has to wait after others failed: slows guessing down, and keeps nobody out of their account.

Failures are counted per pair of address and account, per account, per address and per known device. What is refused is
never an account, but more guesses from where guesses came from: an address that failed for an account, or for many.
Whoever comes from somewhere else, from a device that logged in before, or with a code of the authenticator, is not
made to wait for what strangers did (decision 0408).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: Failures older than this count no more.
WINDOW = timedelta(hours=1)
#: Failures of an address for one account that cost no time: people mistype.
FREE_TRIES = 5
#: The same while the account is guessed at from many places.
FREE_TRIES_UNDER_ATTACK = 1
#: Failures for one account, from wherever, that make an attack; its owner is told.
ATTACK = 50
#: Failures of one address, for whatever accounts, that cost no time: offices share one.
FREE_TRIES_OF_ADDRESS = 100
#: Failures with a device's token until it counts for nothing.
TRUST = 10
FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Tally:
    """last_at None: never."""

    failures: int = 0
    last_at: datetime | None = None

    def at(self, now: datetime) -> Tally:
        """What of it still counts."""
        return self if self.last_at is not None and now - self.last_at < WINDOW else Tally()


@dataclass(frozen=True, slots=True)
class Failures:
    """Before the present attempt. device: None when no valid token of a known device came with it."""

    pair: Tally
    account: Tally
    address: Tally
    device: Tally | None = None


def wait_for(failures: Failures, now: datetime) -> timedelta:
    """How long from ``now`` until the next attempt is looked at; zero when it may be at once."""
    if failures.device is not None and failures.device.at(now).failures < TRUST:
        return timedelta(0)
    attacked = failures.account.at(now).failures >= ATTACK
    return max(
        _wait(failures.pair.at(now), FREE_TRIES_UNDER_ATTACK if attacked else FREE_TRIES, now),
        _wait(failures.address.at(now), FREE_TRIES_OF_ADDRESS, now),
    )


def _wait(tally: Tally, free: int, now: datetime) -> timedelta:
    """Doubling from FIRST_WAIT to LONGEST_WAIT, from the last failure on."""
    over = tally.failures - free
    if over < 0 or tally.last_at is None:
        return timedelta(0)
    pause = min(FIRST_WAIT * 2 ** min(over, 20), LONGEST_WAIT)
    return max(tally.last_at + pause - now, timedelta(0))
