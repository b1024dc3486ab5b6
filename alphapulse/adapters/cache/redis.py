"""A cache in Redis or Valkey, shared by all daemons on it; every quota is kept by Lua, in one piece with the write.

Beside its entries a namespace has three books: ``#used`` (keys by when they were used last), ``#sizes`` (bytes of each
key) and ``#sums`` (bytes, hits, misses, evictions). An entry whose time is over leaves the books when it is looked
for, or when its room is needed: by then it is among those used longest ago.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from alphapulse.adapters.cache.quotas import Quotas
from alphapulse.adapters.redis.connection import RedisServer, Script
from alphapulse.domain.cache import CacheUsage
from alphapulse.domain.cache_keys import SHARED, CacheKey, Namespace, book_key, namespace_of, tenant_namespace
from alphapulse.errors import Unavailable
from alphapulse.ports.cache import QuotaOf
from alphapulse.ports.telemetry import Telemetry

#: Shared by the scripts. KEYS 1 to 3: the books; further keys are entries.
_BOOKS = """
local call = redis.call
local used, sizes, sums = KEYS[1], KEYS[2], KEYS[3]
local function forget(key)
  local size = call('HGET', sizes, key)
  if size then
    call('HDEL', sizes, key)
    call('ZREM', used, key)
    call('HINCRBY', sums, 'bytes', -size)
  end
end
local function trim(quota, room)
  local bytes = tonumber(call('HGET', sums, 'bytes') or 0)
  local gone = 0
  while bytes + room > quota do
    local oldest = call('ZPOPMIN', used, 100)
    if #oldest == 0 then break end
    local keys, kept = {}, {}
    for i = 1, #oldest, 2 do
      if bytes + room > quota then
        keys[#keys + 1] = oldest[i]
        bytes = bytes - (call('HGET', sizes, oldest[i]) or 0)
      else
        kept[#kept + 1] = oldest[i + 1]
        kept[#kept + 1] = oldest[i]
      end
    end
    call('UNLINK', unpack(keys))
    call('HDEL', sizes, unpack(keys))
    if #kept > 0 then call('ZADD', used, unpack(kept)) end
    gone = gone + #keys
  end
  if gone > 0 then
    call('HSET', sums, 'bytes', string.format('%.0f', bytes))
    call('HINCRBY', sums, 'evictions', gone)
  end
  return gone
end
local function now()
  local time = call('TIME')
  return string.format('%.0f', time[1] * 1000000 + time[2])
end
"""
_GET = Script.of(
    _BOOKS
    + """
local value = call('GET', KEYS[4])
if value then
  call('ZADD', used, 'XX', now(), KEYS[4])
  call('HINCRBY', sums, 'hits', 1)
  return value
end
forget(KEYS[4])
call('HINCRBY', sums, 'misses', 1)
return false
"""
)
#: ARGV: value, milliseconds to keep it, quota. Gives {whether it was kept, how many others went}.
_PUT = Script.of(
    _BOOKS
    + """
local size, quota = #KEYS[4] + #ARGV[1], tonumber(ARGV[3])
forget(KEYS[4])
if size > quota then
  call('UNLINK', KEYS[4])
  return {0, 0}
end
local gone = trim(quota, size)
call('SET', KEYS[4], ARGV[1], 'PX', ARGV[2])
call('ZADD', used, now(), KEYS[4])
call('HSET', sizes, KEYS[4], size)
call('HINCRBY', sums, 'bytes', size)
return {1, gone}
"""
)
_DELETE = Script.of(_BOOKS + "forget(KEYS[4]) return call('UNLINK', KEYS[4])")
#: ARGV: quota.
_TRIM = Script.of(_BOOKS + "return trim(tonumber(ARGV[1]), 0)")
_SUMS = Script.of("""
local found = redis.call('HMGET', KEYS[3], 'bytes', 'hits', 'misses', 'evictions')
local sums = {redis.call('ZCARD', KEYS[1])}
for i = 1, 4 do sums[i + 1] = tonumber(found[i] or 0) end
return sums
""")
#: ARGV: how many entries at most, so that no other client waits long. Gives how many went; the books go with the last.
_FLUSH = Script.of("""
local oldest = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
local keys = {}
for i = 1, #oldest, 2 do keys[#keys + 1] = oldest[i] end
if #keys > 0 then
  redis.call('UNLINK', unpack(keys))
  redis.call('HDEL', KEYS[2], unpack(keys))
end
if redis.call('ZCARD', KEYS[1]) == 0 then redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3]) end
return #keys
""")
_FLUSHED_AT_ONCE = 1000


class RedisCache:
    """See ports/cache.py."""

    def __init__(self, server: RedisServer, quota_of: QuotaOf, telemetry: Telemetry) -> None:
        self._server = server
        self._quotas = Quotas(quota_of, telemetry)

    async def get(self, key: CacheKey) -> bytes | None:
        namespace = namespace_of(key)
        try:
            found: bytes | None = await self._server.run(_GET, [*_books(namespace), key])
        except Unavailable:
            found = None
        self._quotas.looked(namespace, hit=found is not None)
        return found

    async def put(self, key: CacheKey, value: bytes, ttl: timedelta) -> bool:
        namespace = namespace_of(key)
        quota = await self._quotas.of(namespace)
        kept_ms = max(1, round(ttl.total_seconds() * 1000))
        try:
            kept, gone = await self._server.run(_PUT, [*_books(namespace), key], value, kept_ms, quota)
        except Unavailable:
            return False
        self._quotas.evicted(namespace, gone)
        return bool(kept)

    async def delete(self, key: CacheKey) -> None:
        await self._server.run(_DELETE, [*_books(namespace_of(key)), key])

    async def flush_tenant(self, tenant_id: UUID) -> int:
        books, gone = _books(tenant_namespace(tenant_id)), 0
        while True:
            some: int = await self._server.run(_FLUSH, books, _FLUSHED_AT_ONCE)
            gone += some
            if some < _FLUSHED_AT_ONCE:
                return gone

    async def usage(self, tenant_id: UUID | None) -> CacheUsage:
        namespace = SHARED if tenant_id is None else tenant_namespace(tenant_id)
        entries, used, hits, misses, evictions = await self._server.run(_SUMS, _books(namespace))
        return CacheUsage(entries, used, await self._quotas.of(namespace), hits, misses, evictions)

    async def set_quota(self, tenant_id: UUID, limit: int) -> None:
        self._quotas.set(tenant_id, limit)
        namespace = tenant_namespace(tenant_id)
        self._quotas.evicted(namespace, await self._server.run(_TRIM, _books(namespace), limit))

    async def ping(self) -> None:
        await self._server.ping()


def _books(namespace: Namespace) -> list[str]:
    return [book_key(namespace, name) for name in ("used", "sizes", "sums")]
