"""Every cache keeps to the port: the one in this process, and the one in Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from alphapulse.adapters.cache.memory import MemoryCache
from alphapulse.adapters.cache.redis import RedisCache
from alphapulse.adapters.redis.connection import RedisServer
from alphapulse.adapters.telemetry.prometheus import PrometheusTelemetry
from alphapulse.domain.cache_keys import shared_key, tenant_key
from alphapulse.errors import NotFound, Unavailable
from alphapulse.ports.cache import Cache
from tests.daemon.waiting import eventually
from tests.valkey import Valkey
from tests.valkey import valkey as open_valkey

QUOTA = 1_000
MINUTE = timedelta(minutes=1)
GONE = UUID(int=1)


async def quota_of(tenant_id: UUID) -> int:
    if tenant_id == GONE:
        raise NotFound("no such tenant")
    return QUOTA


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with open_valkey() as server:
        yield server


@pytest.fixture
def telemetry() -> PrometheusTelemetry:
    return PrometheusTelemetry()


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest, valkey: Valkey, telemetry: PrometheusTelemetry) -> AsyncIterator[Cache]:
    if request.param == "memory":
        yield MemoryCache(quota_of, telemetry)
        return
    with valkey.client() as client:
        client.flushall()
    server = RedisServer(valkey.url)
    yield RedisCache(server, quota_of, telemetry)
    await server.close()


async def test_what_is_put_comes_back_until_it_is_deleted(cache: Cache) -> None:
    key = tenant_key(uuid4(), "a", 1)
    assert await cache.get(key) is None
    assert await cache.put(key, b"\x00value\xff", MINUTE)
    assert await cache.get(key) == b"\x00value\xff"
    assert await cache.put(key, b"newer", MINUTE)
    assert await cache.get(key) == b"newer"
    await cache.delete(key)
    await cache.delete(key)
    assert await cache.get(key) is None
    await cache.ping()


async def test_an_entry_whose_time_is_over_is_gone_and_its_bytes_with_it(cache: Cache) -> None:
    tenant = uuid4()
    key = tenant_key(tenant, "short")
    await cache.put(key, b"x", timedelta(milliseconds=30))

    async def is_gone() -> bool:
        return await cache.get(key) is None

    await eventually(is_gone, every_s=0.005)
    assert (await cache.usage(tenant)).bytes == 0


async def test_what_was_not_used_for_longest_makes_room(cache: Cache) -> None:
    tenant = uuid4()
    keys = [tenant_key(tenant, n) for n in range(3)]
    size = (QUOTA - 3 * len(keys[0])) // 3
    for key in keys:
        assert await cache.put(key, b"v" * size, MINUTE)
    assert await cache.get(keys[0]) is not None
    fourth = tenant_key(tenant, 3)
    assert await cache.put(fourth, b"v" * size, MINUTE)
    assert [await cache.get(key) is not None for key in (*keys, fourth)] == [True, False, True, True]
    usage = await cache.usage(tenant)
    assert (usage.entries, usage.evictions, usage.quota) == (3, 1, QUOTA)
    assert usage.bytes == 3 * (len(fourth) + size)


async def test_a_value_larger_than_the_quota_is_not_kept_and_costs_nobody_else(cache: Cache) -> None:
    tenant = uuid4()
    small, large = tenant_key(tenant, "small"), tenant_key(tenant, "large")
    await cache.put(small, b"1", MINUTE)
    assert await cache.put(large, b"1", MINUTE)
    assert not await cache.put(large, b"v" * QUOTA, MINUTE)
    assert await cache.get(large) is None
    assert await cache.get(small) == b"1"
    assert (await cache.usage(tenant)).bytes == len(small) + 1


async def test_one_tenant_never_evicts_flushes_or_counts_for_another(cache: Cache) -> None:
    one, other = uuid4(), uuid4()
    kept = tenant_key(other, "k")
    await cache.put(kept, b"theirs", MINUTE)
    common = shared_key("k")
    await cache.put(common, b"everybody's", MINUTE)
    for n in range(40):
        await cache.put(tenant_key(one, n), b"v" * 50, MINUTE)
    before = await cache.usage(one)
    assert before.evictions > 0
    assert before.bytes <= QUOTA
    assert await cache.flush_tenant(one) == before.entries
    after = await cache.usage(one)
    assert (after.entries, after.bytes, after.hits, after.evictions) == (0, 0, 0, 0)
    assert await cache.get(kept) == b"theirs"
    assert await cache.get(common) == b"everybody's"
    assert (await cache.usage(None)).entries == 1


async def test_a_smaller_quota_holds_at_once_and_a_larger_one_for_the_next_value(cache: Cache) -> None:
    tenant = uuid4()
    for n in range(5):
        await cache.put(tenant_key(tenant, n), b"v" * 50, MINUTE)
    await cache.set_quota(tenant, 250)
    usage = await cache.usage(tenant)
    assert (usage.quota, usage.entries) == (250, 2)
    await cache.set_quota(tenant, 10_000)
    assert await cache.put(tenant_key(tenant, "big"), b"v" * 5_000, MINUTE)


async def test_hits_and_misses_are_counted_for_the_tenant_and_in_the_metrics(
    cache: Cache, telemetry: PrometheusTelemetry
) -> None:
    tenant = uuid4()
    key = tenant_key(tenant, "k")
    assert (await cache.usage(tenant)).hit_rate is None
    await cache.get(key)
    await cache.put(key, b"v", MINUTE)
    for _ in range(3):
        await cache.get(key)
    usage = await cache.usage(tenant)
    assert (usage.hits, usage.misses, usage.hit_rate) == (3, 1, 0.75)
    text = telemetry.render()[0].decode()
    assert 'alphapulse_cache_requests_total{outcome="hit",scope="tenant"} 3.0' in text
    assert 'alphapulse_cache_requests_total{outcome="miss",scope="tenant"} 1.0' in text


async def test_a_tenant_that_is_gone_keeps_nothing(cache: Cache) -> None:
    assert not await cache.put(tenant_key(GONE, "k"), b"v", MINUTE)


async def test_parts_of_a_key_cannot_reach_another_key_or_the_books(cache: Cache) -> None:
    tenant, other = uuid4(), uuid4()
    nasty = [
        tenant_key(tenant, "a:b"),
        tenant_key(tenant, "a", "b"),
        tenant_key(tenant, "#used"),
        tenant_key(tenant, "*"),
    ]
    nasty.append(tenant_key(tenant, f"}}:x:tenant:{{{other}}}", "k"))
    for n, key in enumerate(nasty):
        assert await cache.put(key, str(n).encode(), MINUTE)
    assert [await cache.get(key) for key in nasty] == [str(n).encode() for n in range(5)]
    assert (await cache.usage(other)).entries == 0
    assert (await cache.usage(tenant)).entries == 5


async def test_a_cache_that_does_not_answer_holds_nothing_and_fails_nobody(telemetry: PrometheusTelemetry) -> None:
    with open_valkey() as own:
        server = RedisServer(own.url)
        cache = RedisCache(server, quota_of, telemetry)
        key = tenant_key(uuid4(), "k")
        await cache.put(key, b"v", MINUTE)
        own.stop()
        assert await cache.get(key) is None
        assert not await cache.put(key, b"v", MINUTE)
        with pytest.raises(Unavailable):
            await cache.ping()
        await server.close()


async def test_all_keys_of_a_tenant_stand_below_its_name_and_share_a_cluster_slot(valkey: Valkey) -> None:
    with valkey.client() as client:
        client.flushall()
        server = RedisServer(valkey.url)
        cache = RedisCache(server, quota_of, PrometheusTelemetry())
        tenant = uuid4()
        await cache.put(tenant_key(tenant, "k"), b"v", MINUTE)
        await cache.put(shared_key("k"), b"v", MINUTE)
        await server.close()
        keys = [str(key) for key in client.scan_iter()]
        assert keys
        assert all(key.startswith((f"tenant:{{{tenant}}}:", "shared:")) for key in keys)
