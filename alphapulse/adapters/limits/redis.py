"""Counts in Redis or Valkey: several daemons on one share every allowance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from alphapulse.adapters.redis.connection import RedisServer, Script
from alphapulse.domain.rates import Budget, RateVerdict

#: KEYS: one per budget. ARGV: the requests per minute of each. Gives {allowed, which budget, remaining, reset us,
#: wait us}. The server's clock counts, so replicas whose clocks differ agree; one that was set back cannot keep a
#: budget shut for longer than a minute.
_TAKE = Script.of("""
local call, span = redis.call, 60000000
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local whole, least, which = {}, nil, 1
for i, key in ipairs(KEYS) do
  local interval = span / ARGV[i]
  local at = tonumber(call('GET', key) or now)
  if at < now then at = now elseif at > now + span then at = now + span end
  whole[i] = at + interval
  local room = span - (whole[i] - now)
  if room < -0.5 then return {0, i, 0, math.ceil(at - now), math.ceil(-room)} end
  local left = math.floor(room / interval + 0.000001)
  if not least or left < least then least, which = left, i end
end
for i, key in ipairs(KEYS) do
  call('SET', key, string.format('%.0f', whole[i]), 'PX', math.ceil((whole[i] - now) / 1000) + 1)
end
return {1, which, least, math.ceil(whole[which] - now), 0}
""")


class RedisLimiter:
    """See ports/limits.py."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    async def take(self, budgets: Sequence[Budget]) -> RateVerdict:
        keys = [budget.key for budget in budgets]
        rates = [budget.per_minute for budget in budgets]
        allowed, which, remaining, reset, wait = await self._server.run(_TAKE, keys, *rates)
        left = timedelta(0, 0, reset)
        if allowed:
            return RateVerdict(True, rates[which - 1], remaining, left)
        return RateVerdict(False, rates[which - 1], 0, left, timedelta(0, 0, wait))

    async def ping(self) -> None:
        await self._server.ping()
