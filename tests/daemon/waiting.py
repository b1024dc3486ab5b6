"""Polling with a deadline: tests never sleep for a fixed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


async def eventually(holds: Callable[[], Awaitable[object]], *, within_s: float = 15, every_s: float = 0.02) -> None:
    """Returns as soon as ``await holds()`` is true; fails the test when it is not within the time."""
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline, f"still not so after {within_s} s"
        await asyncio.sleep(every_s)


def eventually_now(holds: Callable[[], object], *, within_s: float = 15, every_s: float = 0.02) -> None:
    """The same for plain functions."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"still not so after {within_s} s"
        time.sleep(every_s)
