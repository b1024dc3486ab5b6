"""The cache and the rate limits: in this process, or in a Redis that the replicas share."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from uuid import UUID

from alphapulse.adapters.cache.memory import MemoryCache
from alphapulse.adapters.limits.memory import MemoryLimiter
from alphapulse.daemon.limits import RateLimits, Rates
from alphapulse.ports.cache import Cache, QuotaOf
from alphapulse.ports.limits import RateLimiter
from alphapulse.ports.telemetry import Telemetry
from alphapulse.tenancy.plans import Plans

if TYPE_CHECKING:
    from alphapulse.adapters.redis.connection import RedisServer
    from alphapulse.settings import Settings


def open_redis(stack: AsyncExitStack, settings: Settings) -> RedisServer | None:
    """The way to Redis, where the settings use one; nothing is asked of it yet. Raises Misconfigured."""
    if settings.redis_url is None:
        return None
    from alphapulse.adapters.redis.connection import RedisServer  # noqa: PLC0415 -- 0.1 s, only if chosen

    server = RedisServer(settings.redis_url.get_secret_value(), ca=str(settings.redis_ca or ""))
    stack.push_async_callback(server.close)
    return server


def build_cache(settings: Settings, redis: RedisServer | None, quota_of: QuotaOf, telemetry: Telemetry) -> Cache:
    if settings.cache == "memory" or redis is None:
        return MemoryCache(quota_of, telemetry)
    from alphapulse.adapters.cache.redis import RedisCache  # noqa: PLC0415 -- only if chosen

    return RedisCache(redis, quota_of, telemetry)


def build_limits(settings: Settings, redis: RedisServer | None, plans: Plans, telemetry: Telemetry) -> RateLimits:
    async def rate_of(tenant_id: UUID) -> int | None:
        return (await plans.limits_of(tenant_id)).requests_per_minute

    local = MemoryLimiter()
    limiter: RateLimiter = local
    if settings.limits == "redis" and redis is not None:
        from alphapulse.adapters.limits.redis import RedisLimiter  # noqa: PLC0415 -- only if chosen

        limiter = RedisLimiter(redis)
    rates = Rates(**settings.rates.model_dump())
    return RateLimits(limiter=limiter, local=local, rates=rates, rate_of=rate_of, telemetry=telemetry)
