"""The catalogue gate: whatever could let one tenant see another is found before the daemon serves."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from alphapulse.adapters.database import gate
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.errors import Misconfigured

Spoil = Callable[[str], None]


@pytest.fixture
def spoil(urls: DatabaseUrls) -> Spoil:
    def run(statement: str) -> None:
        assert urls.admin is not None
        with psycopg.connect(urls.admin, autocommit=True) as connection:
            connection.execute(statement.encode())

    return run


async def test_a_freshly_migrated_database_passes(any_urls: DatabaseUrls) -> None:
    assert await gate.findings(any_urls.app) == []
    await gate.insist(any_urls.app)


async def test_a_superuser_is_refused(urls: DatabaseUrls) -> None:
    assert urls.admin is not None
    with pytest.raises(Misconfigured, match="the role postgres is a superuser"):
        await gate.insist(urls.admin)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("ALTER TABLE app.orders DISABLE ROW LEVEL SECURITY", "orders: row-level security is off"),
        ("ALTER TABLE app.fills NO FORCE ROW LEVEL SECURITY", "fills: row-level security is not forced on the owner"),
        ("CREATE POLICY p ON app.funds USING (true)", "funds: the policy p does not ask for a tenant"),
        ("DROP POLICY tenant_rows ON app.ledger", "ledger: no policy for SELECT, which is granted"),
        ("GRANT TRUNCATE ON app.orders TO ap_app", "orders: the login may TRUNCATE it"),
        ("GRANT CREATE ON SCHEMA app TO ap_app", "the login may create objects in the schema app"),
        (
            "CREATE TABLE app.notes (tenant_id uuid, body text)",
            "notes: row-level security is off",
        ),
        (
            "CREATE VIEW app.all_orders AS SELECT * FROM app.orders; GRANT SELECT ON app.all_orders TO ap_app",
            "the view app.all_orders reads with its owner's rights",
        ),
        (
            "CREATE FUNCTION app.peek() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1 FROM app.orders'",
            "the function app.peek runs with the rights of postgres and is not on the list",
        ),
        (
            "ALTER FUNCTION app.user_by_email(text) OWNER TO postgres",
            "the function app.user_by_email belongs to postgres, who is above row-level security",
        ),
        (
            "ALTER TABLE app.replays ADD CONSTRAINT loose FOREIGN KEY (fund_id) REFERENCES app.funds (id)",
            "app.replays: the foreign key loose leaves tenant_id out",
        ),
        ("ALTER TABLE app.orders OWNER TO ap_app", "the login ap_app acts for ap_app, who owns the table orders"),
    ],
)
async def test_a_hole_in_the_wall_is_found(urls: DatabaseUrls, spoil: Spoil, statement: str, finding: str) -> None:
    spoil(statement)
    assert any(finding in found for found in await gate.findings(urls.app))
