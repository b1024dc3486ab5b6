"""WS /ws on a real server, with a real client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.clock import ManualClock
from alphapulse.domain.events import EventKind
from alphapulse.domain.tenancy import Role
from alphapulse.events import store
from alphapulse.tenancy.doors import LogIn
from tests.daemon.house import PASSWORD, House, audit_of, listening, open_house

AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def address(house: House) -> AsyncIterator[str]:
    async with listening(house) as netloc:
        yield f"ws://{netloc}/ws"


async def say(client: ClientConnection, **message: Any) -> None:
    await client.send(json.dumps(message))


async def heard(client: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message, which must be of this kind."""
    async with asyncio.timeout(10):
        message = json.loads(await client.recv())
    assert message["type"] == kind, message
    return message


async def closing(client: ClientConnection, within_s: float = 10) -> tuple[int, list[dict[str, Any]]]:
    """The close code, and what was said before it."""
    said: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(within_s):
            while True:
                said.append(json.loads(await client.recv()))
    except ConnectionClosed as end:
        assert end.rcvd is not None
        return end.rcvd.code, said


async def happen(house: House, slug: str, *kinds: EventKind) -> int:
    """Events of a tenant, committed; gives the last one's sequence."""
    tenant = await house.services.tenancy.get_tenant(slug)
    async with house.services.database.transaction(tenant.id) as tx:
        rows = [(kind, f"subject {number}", AT, AT, {"number": number}) for number, kind in enumerate(kinds)]
        return await store.append_many(tx, rows)


async def token(house: House, role: Role, slug: str = "acme") -> str:
    return (await house.as_(role, slug))["Authorization"].removeprefix("Bearer ")


@asynccontextmanager
async def subscribed(
    house: House, address: str, role: Role = Role.TRADER, since: int | None = None
) -> AsyncGenerator[ClientConnection]:
    async with connect(address, additional_headers=await house.as_(role)) as client:
        await heard(client, "authenticated")
        await say(client, type="subscribe", **({} if since is None else {"since": since}))
        await heard(client, "subscribed")
        yield client


async def test_events_arrive_as_they_are_committed(house: House, address: str) -> None:
    async with subscribed(house, address) as client:
        last = await happen(house, "acme", EventKind.FUND_CREATED, EventKind.ORDER_INTENDED)
        first, second = await heard(client, "event"), await heard(client, "event")
        assert (first["kind"], second["kind"]) == ("fund.created", "order.intended")
        assert (first["sequence"], second["sequence"]) == (last - 1, last)
        assert second["payload"] == {"number": 1}


async def test_the_credential_may_come_as_the_first_message(house: House, address: str) -> None:
    async with connect(address) as client:
        await say(client, type="auth", token=await token(house, Role.VIEWER))
        await heard(client, "authenticated")
        await say(client, type="subscribe", since=0)
        assert (await heard(client, "subscribed"))["since"] == 0


async def test_a_client_resumes_after_the_last_event_it_saw_and_misses_none(house: House, address: str) -> None:
    async with subscribed(house, address, since=0) as client:
        await happen(house, "acme", *[EventKind.EQUITY_MARKED] * 5)
        seen = (await heard(client, "event"))["sequence"]
    await happen(house, "acme", *[EventKind.EQUITY_MARKED] * 450)
    async with subscribed(house, address, since=seen) as client:
        found = [(await heard(client, "event"))["sequence"] for _ in range(454)]
        assert found == list(range(seen + 1, seen + 455))
        last = await happen(house, "acme", EventKind.EQUITY_MARKED)
        assert (await heard(client, "event"))["sequence"] == last


async def test_many_clients_at_different_places_each_see_every_event_once(house: House, address: str) -> None:
    await happen(house, "acme", *[EventKind.EQUITY_MARKED] * 30)
    start = await happen(house, "acme", EventKind.EQUITY_MARKED)

    async def follow(since: int, until: int) -> list[int]:
        async with subscribed(house, address, Role.TENANT_ADMIN, since) as client:
            return [(await heard(client, "event"))["sequence"] for _ in range(until - since)]

    followers = [asyncio.create_task(follow(since, start + 40)) for since in range(0, start, 3)]
    for _ in range(20):
        await happen(house, "acme", EventKind.EQUITY_MARKED, EventKind.EQUITY_MARKED)
    for since, follower in zip(range(0, start, 3), followers, strict=True):
        assert await follower == list(range(since + 1, start + 41))


async def test_another_tenants_events_never_arrive(house: House, address: str) -> None:
    async with subscribed(house, address) as client:
        await happen(house, "rival", EventKind.FUND_CREATED)
        await happen(house, "acme", EventKind.FUND_STOPPED)
        assert (await heard(client, "event"))["kind"] == "fund.stopped"


async def test_events_that_the_role_may_not_see_are_left_out(house: House, address: str) -> None:
    kinds = (EventKind.MEMBER_ADDED, EventKind.FUND_CREATED)
    async with (
        subscribed(house, address, Role.VIEWER) as viewer,
        subscribed(house, address, Role.TENANT_ADMIN) as admin,
    ):
        await happen(house, "acme", *kinds)
        assert (await heard(viewer, "event"))["kind"] == "fund.created"
        assert [(await heard(admin, "event"))["kind"] for _ in kinds] == list(kinds)


async def test_a_platform_admin_follows_the_tenant_they_name(house: House, address: str) -> None:
    headers = await house.as_(Role.PLATFORM_ADMIN)
    async with connect(address, additional_headers=headers) as client:
        await heard(client, "authenticated")
        await say(client, type="subscribe")
        await heard(client, "subscribed")
        await happen(house, "acme", EventKind.FUND_CREATED)
        await heard(client, "event")
    async with connect(address, additional_headers=house.platform) as client:
        code, said = await closing(client)
        assert (code, said[-1]["field"]) == (4400, "tenant")


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer nonsense"}, {"Authorization": "Bearer ap_0123456789ab_" + "A" * 43}],
)
async def test_a_wrong_credential_closes_with_4401(house: House, address: str, headers: dict[str, str]) -> None:
    async with connect(address, additional_headers=headers) as client:
        code, said = await closing(client)
    assert code == 4401
    assert said[-1]["code"] == "unauthenticated"


async def test_a_credential_in_the_address_is_not_looked_at(house: House, address: str) -> None:
    async with connect(f"{address}?token={await token(house, Role.VIEWER)}") as client:
        await say(client, type="subscribe", since=0)
        assert (await closing(client))[0] == 4401


async def test_a_client_that_says_nothing_is_let_go_after_five_seconds(house: House, address: str) -> None:
    async with connect(address) as client:
        assert (await closing(client, within_s=8))[0] == 4401


MEANINGLESS = [
    "{",
    '"text"',
    "[]",
    '{"type": 5}',
    '{"type": "trade"}',
    "x" * 20_000,
    '{"type": "subscribe", "since": "1"}',
    '{"type": "subscribe", "since": -1}',
    '{"type": "subscribe", "since": 1e3}',
    b"\xff\x00",
]


async def test_a_message_that_is_not_understood_closes_with_4400(house: House, address: str) -> None:
    headers = await house.as_(Role.VIEWER)
    for text in MEANINGLESS:
        async with connect(address, additional_headers=headers) as client:
            await heard(client, "authenticated")
            await client.send(text)
            code, said = await closing(client)
        assert (code, said[-1]["code"]) == (4400, "invalid_input"), text[:40]


async def test_pages_of_other_origins_are_refused_and_our_own_are_not(house: House, address: str) -> None:
    headers = await house.as_(Role.VIEWER)
    async with connect(address, additional_headers=headers, origin="https://evil.example") as client:  # type: ignore[arg-type]
        assert (await closing(client))[0] == 4403
    own = address.replace("ws://", "http://").removesuffix("/ws")
    async with connect(address, additional_headers=headers, origin=own) as client:  # type: ignore[arg-type]
        await heard(client, "authenticated")


async def test_a_stream_ends_within_five_seconds_of_the_logout(house: House, address: str) -> None:
    async with subscribed(house, address) as client:
        await house.ask("POST", "/auth/logout", headers=await house.as_(Role.TRADER))
        assert (await closing(client, within_s=5))[0] == 4401


async def test_a_stream_ends_within_five_seconds_of_a_revocation_elsewhere(house: House, address: str) -> None:
    async with subscribed(house, address) as client:
        tenant = await house.services.tenancy.get_tenant("acme")
        # Straight to the database, as another replica would: this process is not told.
        await house.services.members.remove(tenant.id, "trader@acme.example", actor="another replica")
        code, said = await closing(client, within_s=5)
        assert (code, said[-1]["code"]) == (4401, "unauthenticated")


async def test_a_token_is_renewed_in_band_and_the_stream_outlives_the_first(
    database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path
) -> None:
    clock = ManualClock(AT)
    async with open_house(database, urls, tmp_path, clock) as house:
        await house.tenant("acme")
        async with listening(house) as netloc:
            address = f"ws://{netloc}/ws"
            given = await house.services.logins.login(LogIn("trader@acme.example", PASSWORD))
            house.tokens["acme", Role.TRADER] = given.token
            async with subscribed(house, address) as renewed, subscribed(house, address) as left:
                clock.advance(timedelta(minutes=50))
                fresh = await house.services.logins.refresh(given.refresh_token)
                await say(renewed, type="auth", token=fresh.token)
                assert (await heard(renewed, "authenticated"))["expires_at"] == "2026-03-01T01:50:00Z"
                clock.advance(timedelta(minutes=20))
                assert (await closing(left, within_s=5))[0] == 4401
                await happen(house, "acme", EventKind.FUND_STARTED)
                assert (await heard(renewed, "event"))["kind"] == "fund.started"


async def test_a_stream_cannot_be_turned_into_another_users(house: House, address: str) -> None:
    async with subscribed(house, address) as client:
        await say(client, type="auth", token=await token(house, Role.TRADER, "rival"))
        assert (await closing(client))[0] == 4401


async def test_streams_are_in_the_audit_log(house: House, address: str) -> None:
    tenant = await house.services.tenancy.get_tenant("acme")
    async with subscribed(house, address):
        pass
    last = (await audit_of(house, tenant.id))[-1]
    assert (last.action, last.path, last.status, last.actor) == ("stream.open", "WS /ws", 101, "trader@acme.example")
    async with connect(address, additional_headers={"Authorization": "Bearer x"}) as client:
        await closing(client)
    await house.services.recorder.flush()  # strangers are counted, and written together
    refused = (await audit_of(house, UUID(int=0)))[-1]
    assert (refused.action, refused.status, refused.outcome) == ("stream.open", 401, "unauthenticated")


async def test_a_new_login_works_for_the_same_user(house: House, address: str) -> None:
    async with subscribed(house, address) as client:
        again = await house.services.logins.login(LogIn("trader@acme.example", PASSWORD))
        await say(client, type="auth", token=again.token)
        await heard(client, "authenticated")


async def test_a_connection_that_names_two_tenants_is_closed(house: House, address: str) -> None:
    headers = [*house.platform.items(), ("X-Tenant", "acme"), ("X-Tenant", "rival")]
    async with connect(address, additional_headers=headers) as client:
        _, said = await closing(client)
    assert said[-1]["code"] == "invalid_input"
