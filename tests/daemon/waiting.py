"""Polling with a deadline, since tests never sleep for a fixed time; and a worker that runs meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from alphapulse.adapters.queue.procrastinate import ProcrastinateQueue
from alphapulse.ports.queue import JobFunction, Queue


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


@asynccontextmanager
async def working(
    queue: Queue,
    functions: Mapping[str, JobFunction],
    concurrency: int = 2,
    resumable: frozenset[str] = frozenset(),
) -> AsyncGenerator[None]:
    """A worker on the queue while the block runs."""
    assert isinstance(queue, ProcrastinateQueue)
    worker = asyncio.create_task(queue.work(functions, concurrency=concurrency, resumable=resumable))
    try:
        yield
    finally:
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker
