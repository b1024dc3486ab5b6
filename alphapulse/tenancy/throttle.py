"""The tally of failed log-ins, shared by all replicas."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from uuid import UUID

from alphapulse.clock import Clock
from alphapulse.domain.throttle import ATTACK, Failures, Tally, wait_for
from alphapulse.errors import TooManyRequests
from alphapulse.ports.database import Database
from alphapulse.tenancy import throttle_store as store


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that may be looked at. wait: how long it should have waited. failed_before: whether its success clears
    anything.
    """

    pair: bytes
    account: bytes
    address: bytes
    device: bytes | None
    wait: timedelta
    failed_before: bool


class Throttle:
    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def attempt(self, account: str, address: str, device: UUID | None, *, may_pass: bool) -> Attempt:
        """Before a password is compared. address: where it comes from. device: known to be one of the account's.

        may_pass: whether the attempt brings a proof that nobody can guess, so that it is looked at however long it
        should have waited. Raises TooManyRequests otherwise.
        """
        place = network_of(address)
        pair, own, where = _subject("pair", place, account), _subject("account", account), _subject("address", place)
        trusted = None if device is None else _subject("device", str(device))
        async with self._database.shared() as tx:
            known = await store.read(tx, (pair, own, where) if trusted is None else (pair, own, where, trusted))
        failures = Failures(
            known.get(pair, Tally()),
            known.get(own, Tally()),
            known.get(where, Tally()),
            None if trusted is None else known.get(trusted, Tally()),
        )
        wait = wait_for(failures, self._clock.now())
        if wait and not may_pass:
            raise too_many(wait)
        return Attempt(pair, own, where, trusted, wait, failed_before=(trusted or pair) in known)

    async def failed(self, attempt: Attempt) -> bool:
        """Count it; whether it made the account one under attack. A known device's failures count for itself alone."""
        subjects = (attempt.pair, attempt.account, attempt.address) if attempt.device is None else (attempt.device,)
        async with self._database.shared() as tx:
            counts = await store.add(tx, subjects, self._clock.now())
        return counts.get(attempt.account) == ATTACK

    async def succeeded(self, attempt: Attempt) -> None:
        """The mistakes that this device, or this place for this account, made before count no more."""
        if attempt.failed_before:
            async with self._database.shared() as tx:
                await store.forget(tx, attempt.device or attempt.pair)

    async def clear(self, account: str) -> None:
        """Somebody proved to be the account's owner in another way, as by a link in a mail."""
        async with self._database.shared() as tx:
            await store.forget(tx, _subject("account", account))


def too_many(wait: timedelta) -> TooManyRequests:
    return TooManyRequests(
        "too many log-ins from here have failed",
        retry_after=wait,
        fix="Wait; or log in from a machine that logged in before, or with a code of your authenticator (--code).",
    )


def network_of(address: str) -> str:
    """What counts as one place: an IPv4 address, the /64 of an IPv6 address; the text itself when it is neither."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped is not None else parsed.packed[:8].hex()
    return str(parsed)


def _subject(kind: str, *parts: str) -> bytes:
    return hashlib.sha256("\0".join((kind, *parts)).encode("utf-8", "replace")).digest()
