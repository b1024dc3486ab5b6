"""Every operation of the API's description, asked by every role with the ids of their own tenant and of a foreign one.

Nothing here is listed by hand but the things that a path can name: a new route is walked as soon as it is described,
and a new kind of path parameter fails until it is given a thing of each tenant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from alphapulse.daemon.access import PUBLIC
from alphapulse.domain.permissions import PERMISSIONS, WITHOUT_SUPPORT, Permission, Role
from alphapulse.ports.database import Transaction
from alphapulse.tables import TENANT_TABLES
from tests.daemon.house import VENUE, House

#: Ends what the walk itself stands on.
_ENDS_THE_LOGIN = {("POST", "/auth/logout"), ("DELETE", "/sessions"), ("DELETE", "/account")}
#: Written by being asked at all.
_TRACES = {"audit_events", "audit_heads", "audit_keys", "sessions", "plan_usage", "api_keys"}


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    permission: Permission | None
    body: Any
    needs_key: bool
    queries: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """What the path names, and the query where it is about a fund."""
        return [*re.findall(r"{(\w+)}", self.path), *(name for name in self.queries if name == "fund")]

    def at(self, things: Mapping[str, str]) -> str:
        path = self.path.format_map(things)
        return f"{path}?fund={things['fund']}" if "fund" in self.queries else path

    def body_for(self, things: Mapping[str, str]) -> Any:
        """The example of the description, about the things of one tenant."""
        if not isinstance(self.body, dict):
            return self.body
        return {key: things.get(key, value) if isinstance(value, str) else value for key, value in self.body.items()}


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            if (method.upper(), path) in PUBLIC:
                continue
            content = said.get("requestBody", {}).get("content", {})
            reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
            body = schemas[reference.rsplit("/", 1)[1]]["example"] if reference else None
            named = said["x-permission"]
            parameters = said.get("parameters", ())
            needs_key = any(each["name"] == "Idempotency-Key" for each in parameters)
            queries = tuple(each["name"] for each in parameters if each["in"] == "query")
            yield Operation(
                method.upper(), path, None if named is None else Permission(named), body, needs_key, queries
            )


async def things_of(house: House, slug: str) -> dict[str, str]:
    """One of everything that a path can name, of this tenant."""
    admin = await house.as_(Role.TENANT_ADMIN, slug)
    fund, history = await house.fund(admin, "matrix"), await house.fund(admin, "history")

    async def made(path: str, body: Any, **headers: str) -> dict[str, Any]:
        answer = await house.ask("POST", path, body, headers={**admin, **headers})
        assert answer.is_success, (path, answer.text)
        return answer.json()

    trade = {"fund": fund["id"], "symbol": "BTC/USDT", "side": "buy", "quantity": "0.1"}
    order = await made("/trades", trade, **{"Idempotency-Key": "matrix"})
    replay = await made(f"/funds/{history['id']}/replays", {"bars": 2})
    key = await made("/keys", {"name": "matrix", "role": "viewer"})
    sessions = (await house.ask("GET", "/sessions", headers=admin)).json()["items"]
    jobs = (await house.ask("GET", "/jobs", headers=admin)).json()["items"]
    return {
        "slug": slug,
        "tenant": slug,
        "fund": fund["id"],
        "order_id": order["id"],
        "replay_id": replay["id"],
        "key_id": key["id"],
        "session_id": sessions[0]["id"],
        "job_id": jobs[0]["id"],
        "email": f"viewer@{slug}.example",
        "symbol": "BTC/USDT",
        "venue": VENUE,
        "export_id": str(uuid4()),
        # Named in a path, and nobody's: an agent, a scheduled job, a limit, a version.
        "name": "trend",
        "limit": "agents",
        "version": "1",
    }


async def rows_of(house: House, slug: str) -> dict[str, str]:
    """A digest of every table of the tenant."""
    tenant = await house.services.tenancy.get_tenant(slug)

    async def digest(tx: Transaction, table: str) -> str:
        statement = f"SELECT coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '') AS d FROM \"{table}\" t"
        row = await tx.one(statement)  # type: ignore[arg-type]
        return "" if row is None else row["d"]

    async with house.services.database.platform() as tx:
        await tx.all("SELECT set_config('app.tenant_id', %(id)s, true)", {"id": str(tenant.id)})
        readable = {
            row["name"]
            for row in await tx.all(
                "SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'app'::regnamespace"
                " AND has_table_privilege(c.oid, 'SELECT')"
            )
        }
        return {table: await digest(tx, table) for table in sorted({*TENANT_TABLES} & readable - _TRACES)}


async def asked(
    house: House, operation: Operation, headers: Mapping[str, str], things: Mapping[str, str]
) -> httpx.Response:
    more = {"Idempotency-Key": uuid4().hex} if operation.needs_key else {}
    return await house.ask(
        operation.method, operation.at(things), operation.body_for(things), headers={**headers, **more}
    )


@pytest.fixture
async def walk(house: House) -> list[Operation]:
    document = (await house.ask("GET", "/openapi.json")).json()
    return [each for each in operations(document) if (each.method, each.path) not in _ENDS_THE_LOGIN]


async def test_the_walk_knows_a_thing_for_every_name_in_a_path(house: House, walk: list[Operation]) -> None:
    known = await things_of(house, "acme")
    assert {name for operation in walk for name in operation.names} <= known.keys()
    assert len(walk) > 80


@pytest.mark.parametrize("role", [Role.TENANT_ADMIN, Role.TRADER, Role.VIEWER])
async def test_nobody_reaches_a_thing_of_another_tenant(house: House, walk: list[Operation], role: Role) -> None:
    foreign = await things_of(house, "acme")
    before = await rows_of(house, "acme")
    headers = await house.as_(role, "rival")
    for operation in walk:
        answer = await asked(house, operation, headers, foreign)
        where = (role, operation.method, operation.path, answer.status_code, answer.text[:300])
        if operation.permission is not None and operation.permission not in PERMISSIONS[role]:
            assert answer.status_code == 403, where
            continue
        assert answer.status_code < 500, where
        assert answer.status_code != 401, where
        told = [value for name, value in foreign.items() if name.endswith("_id") or name in {"fund", "email"}]
        if answer.is_success and not operation.path.startswith("/audit"):  # which shows the paths that they asked for
            sent = f"{operation.at(foreign)} {operation.body_for(foreign)}"
            assert not any(value in answer.text and value not in sent for value in told), where
        if set(operation.names) & {"slug", "fund", "order_id", "replay_id", "key_id", "job_id", "export_id"}:
            assert answer.status_code in {403, 404}, where
    assert await rows_of(house, "acme") == before


@pytest.mark.parametrize("role", list(Role))
async def test_everybody_gets_what_the_table_grants_in_their_own_tenant(
    house: House, walk: list[Operation], role: Role
) -> None:
    own = await things_of(house, "acme")
    headers = await house.as_(role, "acme")
    for operation in sorted(walk, key=lambda each: each.method != "GET"):
        if operation.path == "/sessions/{session_id}":
            continue  # the session is their own
        answer = await asked(house, operation, headers, own)
        where = (role, operation.method, operation.path, answer.status_code, answer.text[:300])
        granted = operation.permission is None or operation.permission in PERMISSIONS[role]
        if role is Role.PLATFORM_ADMIN and operation.permission is not None:
            granted = operation.permission in WITHOUT_SUPPORT
        assert answer.status_code < 500, where
        assert answer.status_code != 401, where
        if not granted:
            assert answer.status_code == 403, where
        elif operation.method == "GET" and answer.status_code == 403:
            pytest.fail(str(where))
