"""Whether the parts that the daemon needs answer."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alphapulse.errors import AlphaPulseError, StorageFull, Unavailable

Ping = Callable[[], Awaitable[None]]
_TIMEOUT_S = 2.0
#: Free bytes below which the database's writes are about to fail, if they do not already.
LEAST_FREE = 100_000_000


@dataclass(frozen=True, slots=True)
class PortHealth:
    """latency_ms: of this ping. age_s: since the part last answered; None when it never did. detail: what failed."""

    ok: bool
    latency_ms: float
    age_s: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """status: ready, unready (a part does not answer) or draining (the daemon is about to stop)."""

    status: str
    ports: dict[str, PortHealth]


def room_in(directory: Path, least: int = LEAST_FREE) -> Ping:
    """A ping that answers while the disk of ``directory`` has at least ``least`` bytes free."""

    async def ping() -> None:
        try:
            free = (await asyncio.to_thread(shutil.disk_usage, directory)).free
        except OSError as error:
            raise Unavailable(f"{directory}: {error.strerror}") from error
        if free < least:
            raise StorageFull(f"{free / 1e6:.0f} MB free in {directory}, {least / 1e6:.0f} MB are needed")

    return ping


class Health:
    """pings: by the name of the part; each raises when it does not answer. optional: parts whose loss is shown, but
    does without: taking the daemon out of service would make it worse.
    """

    def __init__(self, pings: Mapping[str, Ping], optional: Mapping[str, Ping] | None = None) -> None:
        self._needed = frozenset(pings)
        self._pings = {**pings, **(optional or {})}
        self._answered: dict[str, float] = {}
        self._draining = False

    def drain(self) -> None:
        """From now on not ready: whoever balances load sends nothing more here."""
        self._draining = True

    async def look(self) -> Readiness:
        found = await asyncio.gather(*(self._ask(name, ping) for name, ping in self._pings.items()))
        ports = dict(zip(self._pings, found, strict=True))
        healthy = all(ports[name].ok for name in self._needed)
        return Readiness("draining" if self._draining else "ready" if healthy else "unready", ports)

    async def _ask(self, name: str, ping: Ping) -> PortHealth:
        began = time.monotonic()
        detail = ""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await ping()
            self._answered[name] = time.monotonic()
        except AlphaPulseError as error:
            detail = error.message
        except TimeoutError:
            detail = f"no answer within {_TIMEOUT_S:.0f} s"
        now = time.monotonic()
        last = self._answered.get(name)
        age = None if last is None else round(now - last, 3)
        return PortHealth(not detail, round((now - began) * 1000, 3), age, detail)
