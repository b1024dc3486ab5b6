"""A rate limit is waited for, and said; what is kept in the cache is shown and dropped."""

from __future__ import annotations

import json

import pytest

from alphapulse.client.api import Client
from alphapulse.client.connection import Target
from alphapulse.domain.cache import CacheUsage
from alphapulse.domain.risk import Halt, HaltScope
from alphapulse.errors import TooManyRequests
from tests.cli import examples
from tests.cli.conftest import RunCli
from tests.cli.scripted import Reply, ScriptedDaemon

LIMITED = {"code": "too_many_requests", "detail": "more than 100 requests a minute", "status": 429}
ORDERS = {"items": [examples.order()], "next": None}


def limited(seconds: str) -> Reply:
    return Reply(429, LIMITED, {"Retry-After": seconds})


def at(scripted: ScriptedDaemon) -> dict[str, str]:
    return {"ALPHAPULSE_URL": scripted.url, "ALPHAPULSE_API_KEY": "ap_test_key"}


def test_a_command_waits_for_a_rate_limit_and_says_so(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", limited("0.01"), limited("1"), ORDERS)
    ended = cli("orders", "list", env=at(scripted))
    assert ended.code == 0, ended.err
    assert str(examples.ORDER_ID)[:8] in ended.out
    assert "rate limit is reached: going on in 1 s" in ended.err
    assert len(scripted.asked) == 3


def test_with_json_it_waits_in_silence(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", limited("0.01"), ORDERS)
    ended = cli("orders", "list", "--json", env=at(scripted))
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["items"]


def test_what_a_limit_refused_is_sent_again_whole(scripted: ScriptedDaemon) -> None:
    made = Halt(examples.ORDER_ID, HaltScope.TENANT, "enough", "ada", examples.AT)
    scripted.on("POST /risk/halt", limited("0.01"), limited("0.02"), made)
    waits: list[float] = []
    with Client(Target(scripted.url), on_wait=waits.append) as client:
        client.risk.halt("tenant", reason="enough")
    assert waits == [0.01, 0.02]
    assert len({asked.body for asked in scripted.asked}) == 1


@pytest.mark.parametrize("delay", ["100", "0"])
def test_a_delay_that_is_too_long_or_not_said_is_not_waited_for(scripted: ScriptedDaemon, delay: str) -> None:
    scripted.on("GET /orders", limited(delay))
    with Client(Target(scripted.url), on_wait=lambda _: None) as client, pytest.raises(TooManyRequests):
        client.orders.list()
    assert len(scripted.asked) == 1


def test_programs_are_told_at_once_unless_they_ask_to_wait(scripted: ScriptedDaemon) -> None:
    scripted.on("GET /orders", limited("7"))
    with Client(Target(scripted.url)) as client, pytest.raises(TooManyRequests) as refused:
        client.orders.list()
    assert refused.value.retry_after.total_seconds() == 7


def test_the_cache_is_shown_and_dropped(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("GET /cache", CacheUsage(3, 1_500, 100_000_000, 30, 10, 2))
    scripted.on("DELETE /cache", {"entries": 3})
    shown = cli("cache", "stats", env=at(scripted))
    assert shown.code == 0, shown.err
    assert "1,500 of 100,000,000" in shown.out
    assert "30 of 40 (75.0%)" in shown.out
    dropped = cli("cache", "flush", "--json", env=at(scripted))
    assert json.loads(dropped.out) == {"entries": 3}
