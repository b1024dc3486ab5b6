"""Migrations: from nothing to the schema that alphapulse/tables describes, on every supported PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from alphapulse.adapters.database import migrations
from alphapulse.adapters.database.urls import DatabaseUrls, external_urls, login_of
from alphapulse.errors import Misconfigured, Unavailable
from alphapulse.tables import METADATA


def test_the_migrated_schema_equals_the_tables(any_urls: DatabaseUrls) -> None:
    admin = any_urls.admin
    assert admin is not None
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(admin), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == "app",
                "include_object": lambda _, name, kind, *__: (kind, name) != ("table", "alembic_version"),
                "compare_type": True,
            },
        )
        assert compare_metadata(context, METADATA) == []


def test_the_newest_version_is_the_one_the_program_asks_for() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_heads() == [migrations.HEAD]


def test_an_upgrade_starts_from_nothing_and_repeats_without_effect(empty_urls: DatabaseUrls) -> None:
    assert empty_urls.admin is not None
    assert migrations.current(empty_urls.admin) is None
    assert migrations.upgrade(empty_urls)
    assert not migrations.upgrade(empty_urls)
    assert migrations.current(empty_urls.app) == migrations.HEAD


def test_a_server_without_our_logins_is_at_no_version(urls: DatabaseUrls) -> None:
    stranger = urls.app.replace("ap_app@", "nobody_here@")
    assert migrations.current(stranger) is None
    with pytest.raises(Misconfigured, match="at version none"):
        migrations.upgrade(DatabaseUrls(None, stranger, stranger))


def test_two_daemons_may_upgrade_at_once(empty_urls: DatabaseUrls) -> None:
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda _: migrations.upgrade(empty_urls), range(4)))
    assert sorted(done) == [False, False, False, True]


def test_without_an_admin_login_an_old_database_is_refused_with_the_fix(empty_urls: DatabaseUrls) -> None:
    with pytest.raises(Misconfigured, match="at version none") as refused:
        migrations.upgrade(DatabaseUrls(None, empty_urls.app, empty_urls.platform))
    assert "ALPHAPULSE_DATABASE_ADMIN_URL" in refused.value.fix


def test_without_an_admin_login_a_current_database_passes(urls: DatabaseUrls) -> None:
    assert not migrations.upgrade(DatabaseUrls(None, urls.app, urls.platform))


def test_a_database_of_a_newer_program_is_refused(urls: DatabaseUrls) -> None:
    assert urls.admin is not None
    with psycopg.connect(urls.admin) as admin:
        admin.execute("UPDATE app.alembic_version SET version_num = '9999'")
    with pytest.raises(Misconfigured, match="9999"):
        migrations.upgrade(urls)


def test_a_login_that_may_not_create_roles_is_refused(empty_urls: DatabaseUrls) -> None:
    with pytest.raises(Misconfigured, match="may not migrate"):
        migrations.upgrade(DatabaseUrls(empty_urls.app, empty_urls.app, empty_urls.platform))


def test_an_owner_without_superuser_rights_may_migrate(empty_urls: DatabaseUrls) -> None:
    """As on a managed PostgreSQL: CREATEROLE, and CREATE on the database."""
    assert empty_urls.admin is not None
    name = empty_urls.admin.rsplit("/", 1)[1].split("?")[0]
    with psycopg.connect(empty_urls.admin, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE chief_{name} LOGIN CREATEROLE".encode())
        admin.execute(f"GRANT CREATE ON DATABASE {name} TO chief_{name}".encode())
        for role in ("ap_owner", "ap_lookup", "ap_audit", "ap_retention", "ap_app", "ap_platform"):
            admin.execute(f"GRANT {role} TO chief_{name} WITH ADMIN OPTION, INHERIT FALSE, SET FALSE".encode())
    chief = empty_urls.admin.replace("postgres@", f"chief_{name}@")
    assert migrations.upgrade(DatabaseUrls(chief, empty_urls.app, empty_urls.platform))
    with psycopg.connect(empty_urls.app) as connection:
        row = connection.execute("SELECT count(*) FROM app.orders").fetchone()
    assert row == (0,)


def test_the_password_in_the_applications_url_is_given_to_both_roles(empty_urls: DatabaseUrls) -> None:
    socket = empty_urls.app.split("?host=")[1]
    name = empty_urls.app.rsplit("/", 1)[1].split("?")[0]
    given = external_urls(f"postgresql://ap_app:pass%2Fword@localhost/{name}?host={socket}", empty_urls.admin)
    assert login_of(given.app) == ("ap_app", "pass/word")
    assert login_of(given.platform) == ("ap_platform", "pass/word")
    migrations.upgrade(given)
    assert given.admin is not None
    with psycopg.connect(given.admin) as admin:
        stored = admin.execute(
            "SELECT rolname, left(rolpassword, 13) FROM pg_authid WHERE rolname IN ('ap_app', 'ap_platform') ORDER BY 1"
        ).fetchall()
    assert stored == [("ap_app", "SCRAM-SHA-256"), ("ap_platform", "SCRAM-SHA-256")]


@pytest.mark.parametrize("url", ["mysql://u@h/d", "postgresql://host/database", "not a url", ""])
def test_what_is_no_postgresql_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Misconfigured, match="database_url is not") as refused:
        external_urls(url)
    assert not url or url not in refused.value.message


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    nowhere: Any = f"postgresql://ap_app@/x?host={tmp_path}"
    with pytest.raises(Unavailable):
        migrations.current(nowhere)
    with pytest.raises(Unavailable):
        migrations.upgrade(DatabaseUrls(nowhere, nowhere, nowhere))
