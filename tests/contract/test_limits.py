"""Every rate limiter counts alike: the one in this process, and the one in Valkey."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from alphapulse.adapters.limits.memory import MemoryLimiter
from alphapulse.adapters.limits.redis import RedisLimiter
from alphapulse.adapters.redis.connection import RedisServer
from alphapulse.domain.cache_keys import shared_key, tenant_key
from alphapulse.domain.rates import Budget
from alphapulse.errors import Misconfigured, Unavailable
from alphapulse.ports.limits import RateLimiter
from tests.daemon.waiting import eventually
from tests.valkey import Valkey
from tests.valkey import valkey as open_valkey


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with open_valkey() as server:
        yield server


@pytest.fixture
async def redis(valkey: Valkey) -> AsyncIterator[RedisServer]:
    server = RedisServer(valkey.url)
    yield server
    await server.close()


@pytest.fixture(params=["memory", "redis"])
def limiter(request: pytest.FixtureRequest) -> RateLimiter:
    if request.param == "memory":
        return MemoryLimiter()
    return RedisLimiter(request.getfixturevalue("redis"))


def budget(per_minute: int) -> Budget:
    return Budget(tenant_key(uuid4(), "rate"), per_minute)


async def test_a_minutes_requests_pass_at_once_and_the_next_is_told_how_long_to_wait(limiter: RateLimiter) -> None:
    own = budget(5)
    verdicts = [await limiter.take([own]) for _ in range(5)]
    assert all(verdict.allowed for verdict in verdicts)
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0]
    refused = await limiter.take([own])
    assert (refused.allowed, refused.limit, refused.remaining) == (False, 5, 0)
    assert timedelta(seconds=11) < refused.retry_after <= timedelta(seconds=12)
    assert timedelta(seconds=59) < refused.reset <= timedelta(minutes=1)


async def test_the_allowance_comes_back_evenly(limiter: RateLimiter) -> None:
    own = budget(600)
    for _ in range(600):
        await limiter.take([own])

    async def passes() -> bool:
        return (await limiter.take([own])).allowed

    await eventually(passes, within_s=2, every_s=0.01)


async def test_two_budgets_are_spent_together_or_not_at_all(limiter: RateLimiter) -> None:
    wide, narrow = budget(10), budget(2)
    assert (await limiter.take([wide, narrow])).remaining == 1
    assert (await limiter.take([wide, narrow])).allowed
    refused = await limiter.take([wide, narrow])
    assert (refused.allowed, refused.limit) == (False, 2)
    assert (await limiter.take([wide])).remaining == 7


async def test_many_at_once_never_pass_more_than_there_are(limiter: RateLimiter) -> None:
    own = budget(20)
    verdicts = await asyncio.gather(*(limiter.take([own]) for _ in range(100)))
    assert sum(verdict.allowed for verdict in verdicts) == 20


async def test_a_limit_that_is_raised_holds_at_once(limiter: RateLimiter) -> None:
    key = tenant_key(uuid4(), "rate")
    for _ in range(3):
        await limiter.take([Budget(key, 2)])
    assert not (await limiter.take([Budget(key, 2)])).allowed
    await limiter.ping()

    async def passes() -> bool:
        return (await limiter.take([Budget(key, 6000)])).allowed

    await eventually(passes, within_s=2)


async def test_two_daemons_on_one_valkey_share_one_budget(valkey: Valkey) -> None:
    servers = [RedisServer(valkey.url), RedisServer(valkey.url)]
    own = budget(10)
    passed = 0
    for n in range(20):
        passed += (await RedisLimiter(servers[n % 2]).take([own])).allowed
    assert passed == 10
    for server in servers:
        await server.close()


async def test_counts_leave_valkey_when_the_allowance_is_whole(valkey: Valkey, redis: RedisServer) -> None:
    own = budget(60)
    await RedisLimiter(redis).take([own])
    with valkey.client() as client:
        assert 0 < int(str(client.pttl(own.key))) <= 1001


async def test_a_clock_that_was_set_back_keeps_a_budget_shut_for_a_moment_only(
    valkey: Valkey, redis: RedisServer
) -> None:
    own = budget(60)
    with valkey.client() as client:
        client.set(own.key, str(10**16))
        verdict = await RedisLimiter(redis).take([own])
    assert not verdict.allowed
    assert verdict.retry_after <= timedelta(seconds=1)


async def test_a_server_that_falls_silent_costs_one_time_out_and_not_one_for_each_request() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server = RedisServer(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        limiter = RedisLimiter(server)
        with pytest.raises(Unavailable):
            await limiter.take([budget(5)])
        began = asyncio.get_running_loop().time()
        for _ in range(20):
            with pytest.raises(Unavailable):
                await limiter.take([budget(5)])
        assert asyncio.get_running_loop().time() - began < 0.2
        await server.close()


async def test_keys_and_numbers_that_look_like_lua_are_only_text(redis: RedisServer) -> None:
    nasty = Budget(shared_key("'..redis.call('FLUSHALL')..'", "]]", "\n", "*"), 3)
    assert (await RedisLimiter(redis).take([nasty])).remaining == 2


async def test_a_server_that_is_gone_is_unavailable_at_once_and_used_again_when_it_is_back() -> None:
    with open_valkey() as own:
        server = RedisServer(own.url)
        limiter = RedisLimiter(server)
        await limiter.take([budget(5)])
        own.stop()
        loop = asyncio.get_running_loop()
        for _ in range(3):
            with pytest.raises(Unavailable, match=f"127.0.0.1:{own.port}"):
                await limiter.take([budget(5)])
        began = loop.time()
        many = await asyncio.gather(*(limiter.take([budget(5)]) for _ in range(50)), return_exceptions=True)
        assert all(isinstance(one, Unavailable) for one in many)
        assert loop.time() - began < 0.2
        own.start()

        async def answers() -> bool:
            try:
                return (await limiter.take([budget(5)])).allowed
            except Unavailable:
                return False

        await eventually(answers)
        await server.close()


async def test_requests_that_wait_for_each_other_fail_together_when_the_server_ends() -> None:
    with open_valkey() as own:
        server = RedisServer(own.url)
        limiter = RedisLimiter(server)
        await limiter.take([budget(5)])
        own.stop()
        found = await asyncio.gather(*(limiter.take([budget(5)]) for _ in range(200)), return_exceptions=True)
        assert all(isinstance(one, Unavailable) for one in found)
        await server.close()


def test_an_address_that_is_none_is_refused_without_its_password() -> None:
    for url in ("http://h", "redis://", "redis://h/x", "rediss://u:secret@h:1/0?ssl_cert_reqs=none"):
        with pytest.raises(Misconfigured) as refused:
            RedisServer(url)
        assert "secret" not in str(refused.value)
