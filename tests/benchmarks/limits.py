"""The rate limiter and the cache in a real Valkey on loopback, each beside a bare INCR of the same run.

The budgets are so wide that nothing is refused: 10,000,000 requests a minute. A limiter call spends from two, a
tenant's and that of all together, as the daemon's do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from statistics import median
from uuid import UUID, uuid4

import redis.asyncio
import uvloop

from alphapulse.adapters.cache.redis import RedisCache
from alphapulse.adapters.limits.redis import RedisLimiter
from alphapulse.adapters.redis.connection import RedisServer
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.domain.cache_keys import shared_key, tenant_key
from alphapulse.domain.rates import Budget
from tests.benchmarks.figures import Figure, at_least, at_most
from tests.rates import FAST
from tests.valkey import valkey

ROUNDS = 21
CALLS = 800
#: As many requests as the HTTP benchmark has under way.
TOGETHER = 16
ENTRIES = 500
VALUE = b"v" * 1_000
HOUR = timedelta(hours=1)

Call = Callable[[], Awaitable[object]]


def run() -> list[Figure]:
    with valkey() as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(figures(server.port, server.url))


async def figures(port: int, url: str) -> list[Figure]:
    ours = RedisServer(url)
    async with redis.asyncio.Redis(port=port, protocol=3) as bare:
        found = [*await limiter(ours, bare), *await cache(ours)]
    await ours.close()
    return found


async def limiter(ours: RedisServer, bare: redis.asyncio.Redis) -> list[Figure]:
    counts = RedisLimiter(ours)
    budgets = [Budget(tenant_key(uuid4(), "rate"), FAST), Budget(shared_key("rate"), FAST)]
    taking: Call = lambda: counts.take(budgets)  # noqa: E731 -- two calls of one shape, side by side
    incrementing: Call = lambda: bare.incr("bare")  # noqa: E731
    found: dict[int, tuple[float, float, float]] = {}
    for together in (1, TOGETHER):
        taken: list[float] = []
        bare_taken: list[float] = []
        latencies: list[float] = []
        for _ in range(ROUNDS):
            bare_taken.append(await spent(incrementing, together, []))
            taken.append(await spent(taking, together, latencies))
        found[together] = (CALLS / median(taken), CALLS / median(bare_taken), p99(latencies))
    rate, bare_rate, _ = found[TOGETHER]
    alone, bare_alone, late = found[1]
    detail = {
        "takes_per_s": round(rate),
        "incr_per_s": round(bare_rate),
        "under_way": TOGETHER,
        "alone_takes_per_s": round(alone),
        "alone_incr_per_s": round(bare_alone),
        "alone_percent": round(100 * alone / bare_alone),
    }
    return [
        at_least("limiter_rate", 100 * rate / bare_rate, 70, "% of INCR", **detail),
        at_most("limiter_p99", late * 1000, 1, "ms", under_way=1),
    ]


async def cache(ours: RedisServer) -> list[Figure]:
    size = len(tenant_key(UUID(int=0), 10**6)) + len(VALUE)
    quota = (ENTRIES + 1) * size

    async def quota_of(_tenant: UUID) -> int:
        return quota

    copies = RedisCache(ours, quota_of, NoTelemetry())
    tenant = uuid4()
    for n in range(2 * ENTRIES):
        await copies.put(tenant_key(tenant, 10**6 + n), VALUE, HOUR)
    # From here on the quota is full: each put counts, evicts one and stores one.
    puts: list[float] = []
    for n in range(2_000):
        began = time.perf_counter()
        await copies.put(tenant_key(tenant, 2 * 10**6 + n), VALUE, HOUR)
        puts.append(time.perf_counter() - began)
    evictions: list[float] = []
    for n in range(ROUNDS):
        one = uuid4()
        for entry in range(ENTRIES):
            await copies.put(tenant_key(one, 10**6 + entry), VALUE, HOUR)
        began = time.perf_counter()
        await copies.put(tenant_key(one, "all"), b"v" * (quota - 200), HOUR)
        evictions.append(time.perf_counter() - began)
        usage = await copies.usage(one)
        if (usage.entries, usage.evictions) != (1, ENTRIES):
            raise RuntimeError(f"round {n} evicted {usage.evictions}")
    return [
        at_most("cache_quota_p99", p99(puts) * 1000, 1, "ms", puts=len(puts), value_bytes=len(VALUE)),
        at_most("cache_evict_500", median(evictions) * 1000, 100, "ms", slowest_ms=round(max(evictions) * 1000, 2)),
    ]


async def spent(call: Call, together: int, latencies: list[float]) -> float:
    """Seconds that ``CALLS`` calls took, so many under way at the same time."""

    async def some() -> None:
        for _ in range(CALLS // together):
            began = time.perf_counter()
            await call()
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(together)))
    return time.perf_counter() - began


def p99(latencies: list[float]) -> float:
    return sorted(latencies)[int(0.99 * len(latencies))]
