"""Passwords: argon2id, hashed in threads, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from alphapulse.errors import InvalidInput, TooManyRequests

T = TypeVar("T")

SHORTEST = 12
LONGEST = 1024
#: Log-ins waiting beyond this many are told to come back: each holds a connection and takes 64 MiB when its turn comes.
_MOST_WAITING = 32


class Passwords:
    """Hashes and compares. threads: how many at the same time; one takes some 50 ms of a core and 64 MiB."""

    def __init__(self, threads: int = 2, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = asyncio.Semaphore(threads)
        self._waiting = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        return await self._in_turn(lambda: self._hasher.hash(password))

    async def matches(self, stored: str | None, password: str) -> bool:
        """What is stored may be None: nobody to compare with; takes as long as a comparison and answers False."""
        return await self._in_turn(lambda: self._compare(stored, password))

    def _compare(self, stored: str | None, password: str) -> bool:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash("a password that nobody has")
        try:
            self._hasher.verify(stored or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise TooManyRequests("too many log-ins at the same time", retry_after=timedelta(seconds=1))
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def parse_password(text: str, field: str = "password") -> str:
    """A password that may be set. Log-ins accept any text, so that the rule can change."""
    if not SHORTEST <= len(text) <= LONGEST:
        raise InvalidInput(
            f"{field}: must have {SHORTEST} to {LONGEST} characters",
            field=field,
            fix="Choose a longer one; several words are easy to remember.",
        )
    return text
