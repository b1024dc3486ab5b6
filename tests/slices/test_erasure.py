"""Erasure: nothing of the tenant is left anywhere, nothing of another is touched, and a certificate says what was."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from alphapulse.adapters.billing.none import NoBilling
from alphapulse.adapters.cache.memory import MemoryCache
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.adapters.mail.console import ConsoleMail
from alphapulse.adapters.secrets.file import FileSecrets
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.alerts.delivery import Delivery
from alphapulse.alerts.outbox import enqueue_mail
from alphapulse.alerts.rendering import Letters
from alphapulse.audit import store as audit
from alphapulse.audit.chain import verify
from alphapulse.audit.changes import record_change
from alphapulse.audit.personal import ERASED
from alphapulse.clock import ManualClock, SystemClock
from alphapulse.domain.cache_keys import tenant_key
from alphapulse.domain.privacy import ErasedKind, ErasureEntry
from alphapulse.errors import AlphaPulseError, Defect, InvalidInput, NotFound
from alphapulse.tenancy import erasure_ledger
from alphapulse.tenancy.exportable import AUDIT_TABLES
from alphapulse.tenancy.privacy import ERASED_TABLES, KEPT, Privacy, replay_erasures
from tests.conftest import SEAL, MakeTenant
from tests.fakes.fragile import FragileDatabase
from tests.fakes.tenants import fill_every_table, left_of
from tests.fakes.venue import Crash
from tests.slices.test_leak import USERS, A, B

ANN = "ann@acme.example"


class Registry:
    """A platform with its places outside of the database."""

    def __init__(self, database: PostgresDatabase, urls: DatabaseUrls, folder: Path) -> None:
        self.database = database
        self.urls = urls
        self.folder = folder
        self.clock = ManualClock(SystemClock().now())
        self.secrets = FileSecrets(folder / "secrets")
        self.cache = MemoryCache(_plenty, NoTelemetry())
        self.mailer = ConsoleMail(folder / "mail", sender="alphapulse@localhost")
        self.ledger_file = folder / "erasures.jsonl"
        self.privacy = self.privacy_on(database)

    def privacy_on(self, database: object) -> Privacy:
        return Privacy(
            database=database,  # pyright: ignore[reportArgumentType]
            clock=self.clock,
            seal=SEAL,
            secrets=self.secrets,
            cache=self.cache,
            billing=NoBilling(),
            mailer=self.mailer,
            exports_directory=self.folder / "exports",
            ledger_file=self.ledger_file,
        )

    async def member(self, tenant_id: UUID, email: str, role: str = "tenant_admin") -> UUID:
        """A user of this tenant, found again when the address is known."""
        assert self.urls.admin is not None
        async with self.database.shared() as tx:
            row = await tx.one("SELECT user_by_email(%(email)s) AS id", {"email": email})
        user_id = row["id"] if row and row["id"] else uuid4()
        with psycopg.connect(self.urls.admin) as admin:
            admin.execute(
                "INSERT INTO app.users (id, email, is_platform_admin, created_at) VALUES (%s, %s, false, now())"
                " ON CONFLICT DO NOTHING",
                [user_id, email],
            )
            admin.execute(
                "INSERT INTO app.memberships (tenant_id, user_id, role, created_at) VALUES (%s, %s, %s, now())",
                [tenant_id, user_id, role],
            )
        return user_id

    async def mail(self, tenant_id: UUID | None, to: str, key: str) -> None:
        scope = self.database.shared() if tenant_id is None else self.database.transaction(tenant_id)
        async with scope as tx:
            await enqueue_mail(
                tx,
                SEAL,
                tenant_id=tenant_id,
                to=to,
                template="confirmation",
                values={"token": "T", "expires_at": "soon"},
                at=self.clock.now(),
                key=key,
            )

    async def deliver(self) -> int:
        delivery = Delivery(
            database=self.database,
            clock=self.clock,
            seal=SEAL,
            mailer=self.mailer,
            letters=Letters("https://funds.example"),
            telemetry=NoTelemetry(),
        )
        return await delivery.run()

    def letters(self) -> list[str]:
        return [path.read_text(encoding="utf-8") for path in sorted((self.folder / "mail").glob("*.eml"))]

    def users(self) -> set[str]:
        assert self.urls.admin is not None
        with psycopg.connect(self.urls.admin) as admin:
            return {row[0] for row in admin.execute("SELECT email FROM app.users").fetchall()}


async def _plenty(_: UUID) -> int:
    return 1_000_000


@pytest.fixture
def registry(database: PostgresDatabase, urls: DatabaseUrls, tmp_path: Path) -> Registry:
    return Registry(database, urls, tmp_path)


async def test_an_erased_tenant_has_no_row_in_any_table_but_the_audit_log(registry: Registry) -> None:
    fill_every_table(registry.urls, A, B)
    before = left_of(registry.urls, B)
    signed = await registry.privacy.erase_tenant(A, reason="30 days over", actor="lifecycle")
    assert left_of(registry.urls, A) == {"audit_events", "audit_heads", "audit_checkpoints"}
    assert left_of(registry.urls, B) == before
    certificate = registry.privacy.check(signed.statement, signed.signature).certificate
    assert certificate is not None
    amounts = {each.what: each.amount for each in certificate.erased}
    assert {table: amounts.get(table) for table in ERASED_TABLES} == dict.fromkeys(ERASED_TABLES, 1)
    assert amounts["tenants"] == amounts["users"] == 1
    assert {each.what for each in certificate.kept} == {each.what for each in KEPT}


def test_every_table_of_the_tenants_is_erased_or_says_why_it_is_kept() -> None:
    from alphapulse.tables import TENANT_TABLES

    assert {*ERASED_TABLES, *AUDIT_TABLES} == set(TENANT_TABLES)


async def test_everything_outside_of_the_database_goes_too(
    registry: Registry, make_tenant: MakeTenant, tmp_path: Path
) -> None:
    tenant, other = await make_tenant(registry.database), await make_tenant(registry.database, "globex")
    for tenant_id in (tenant, other):
        await registry.secrets.prepare(tenant_id)
        (tmp_path / "secrets" / str(tenant_id) / "key").write_text("s3cret", encoding="utf-8")
        (tmp_path / "exports" / str(tenant_id)).mkdir(parents=True)
        (tmp_path / "exports" / str(tenant_id) / "one.zip").write_bytes(b"zip")
        await registry.cache.put(tenant_key(tenant_id, "x"), b"value", timedelta(hours=1))
        await registry.mail(tenant_id, ANN, f"mail {tenant_id}")
    await registry.deliver()
    assert len(registry.letters()) == 2
    await registry.privacy.erase_tenant(tenant, reason="asked", actor="lifecycle")
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == [str(other)]
    assert [path.name for path in (tmp_path / "exports").iterdir()] == [str(other)]
    assert await registry.cache.get(tenant_key(tenant, "x")) is None
    assert await registry.cache.get(tenant_key(other, "x")) == b"value"
    assert len(registry.letters()) == 1


async def test_people_who_belong_nowhere_else_go_and_others_stay(registry: Registry, make_tenant: MakeTenant) -> None:
    tenant, other = await make_tenant(registry.database), await make_tenant(registry.database, "globex")
    await registry.member(tenant, ANN)
    await registry.member(tenant, "bob@acme.example", "trader")
    await registry.member(other, "bob@acme.example", "viewer")
    await registry.mail(None, ANN, "reset")
    await registry.deliver()
    await registry.privacy.erase_tenant(tenant, reason="asked", actor="lifecycle")
    assert registry.users() >= {"bob@acme.example"}
    assert ANN not in registry.users()
    assert registry.letters() == []
    assert await registry.deliver() == 1, "the certificate"


async def test_the_certificate_is_mailed_to_the_admins_and_the_address_is_forgotten_then(
    registry: Registry, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(registry.database)
    await registry.member(tenant, ANN)
    await registry.member(tenant, "tom@acme.example", "trader")
    signed = await registry.privacy.erase_tenant(tenant, reason="asked", actor="lifecycle")
    assert await registry.deliver() == 1
    [letter] = registry.letters()
    assert f"To: {ANN}" in letter
    assert signed.signature[:60] in letter.replace("=\n", "").replace("\n", "")
    async with registry.database.shared() as tx:
        assert await tx.all("SELECT 1 FROM mails") == []
        row = await tx.one("SELECT * FROM erasures WHERE erased_id = %(id)s", {"id": tenant})
    assert row is not None
    assert row["sealed_notice"] is None
    assert ANN not in str(row)


async def test_a_certificate_is_genuine_only_as_it_was_signed(registry: Registry, make_tenant: MakeTenant) -> None:
    tenant = await make_tenant(registry.database)
    signed = await registry.privacy.erase_tenant(tenant, reason="asked", actor="lifecycle")
    assert registry.privacy.check(signed.statement, signed.signature).genuine
    forged = signed.statement.replace(str(tenant), str(uuid4()))
    for statement, signature in ((forged, signed.signature), (signed.statement, "00" * 64), ("{}", "no hex")):
        assert not registry.privacy.check(statement, signature).genuine


async def test_the_audit_chain_stays_verifiable_and_names_nobody_any_more(
    registry: Registry, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(registry.database)
    await registry.member(tenant, ANN)
    async with registry.database.transaction(tenant) as tx:
        await record_change(
            tx,
            actor=ANN,
            action="fund.create",
            subject="momentum",
            before=None,
            after={"contact": ANN},
            at=registry.clock.now(),
        )
    async with registry.database.transaction(tenant) as tx:
        assert [found.event.actor for found in await audit.list_events(tx)] == [ANN]
    await registry.privacy.erase_tenant(tenant, reason="asked", actor=ANN)
    async with registry.database.transaction(tenant) as tx:
        [found] = await audit.list_events(tx)
        assert (found.event.actor, found.event.changes["contact"]["after"]) == (ERASED, ERASED)
        await verify(tx)
    async with registry.database.transaction(UUID(int=0)) as tx:
        texts = [str(found.event) for found in await audit.list_events(tx)]
    assert len(texts) == 2
    assert not any(ANN in text for text in texts)


async def test_a_tenant_that_the_ledger_does_not_name_cannot_be_erased_even_by_the_function(
    registry: Registry, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(registry.database)
    for statement in ("SELECT app.erase_rows('funds', 10)", "SELECT app.erase_tenant()"):
        with pytest.raises(Defect, match="not in the ledger"):
            async with registry.database.transaction(tenant) as tx:
                await tx.one(statement)
    with pytest.raises(Defect, match="not in the ledger"):
        async with registry.database.user(USERS[A]) as tx:
            await tx.one("SELECT app.erase_user(true)")


async def test_who_was_never_here_cannot_be_erased(registry: Registry) -> None:
    with pytest.raises(NotFound):
        await registry.privacy.erase_tenant(uuid4(), reason="asked", actor="lifecycle")
    assert not registry.ledger_file.exists()


async def test_erasing_again_gives_the_same_certificate(registry: Registry, make_tenant: MakeTenant) -> None:
    tenant = await make_tenant(registry.database)
    signed = await registry.privacy.erase_tenant(tenant, reason="asked", actor="lifecycle")
    assert await registry.privacy.erase_tenant(tenant, reason="asked", actor="lifecycle") == signed
    assert len(erasure_ledger.read_file(registry.ledger_file)) == 1


async def test_a_place_that_cannot_be_emptied_stops_the_erasure_and_the_next_attempt_ends_it(
    registry: Registry, make_tenant: MakeTenant, tmp_path: Path
) -> None:
    tenant = await make_tenant(registry.database)
    (tmp_path / "secrets").write_text("a file where the folder belongs", encoding="utf-8")
    with pytest.raises(AlphaPulseError, match="secrets"):
        await registry.privacy.erase_tenant(tenant, reason="asked", actor="lifecycle")
    assert "tenants" in left_of(registry.urls, tenant), "no row goes before the places outside"
    assert [entry.erased_id for entry in erasure_ledger.read_file(registry.ledger_file)] == [tenant]
    (tmp_path / "secrets").unlink()
    assert await registry.privacy.resume() == 1
    assert left_of(registry.urls, tenant) <= set(AUDIT_TABLES)
    assert await registry.privacy.resume() == 0


@pytest.mark.parametrize("committed", [False, True])
async def test_a_crash_at_any_transaction_loses_nothing_and_the_next_attempt_ends_it(
    registry: Registry, committed: bool
) -> None:
    fill_every_table(registry.urls, A, B)
    deaths = 0
    for dies_at in (1, 2, 3, 5, 8, 13, 21, 34):
        fragile = FragileDatabase(registry.database, dies_at=dies_at, committed=committed)
        with suppress(Crash):
            await registry.privacy_on(fragile).erase_tenant(A, reason="asked", actor="lifecycle")
            continue
        deaths += 1
    await registry.privacy.resume()
    assert left_of(registry.urls, A) <= set(AUDIT_TABLES)
    signed = await registry.privacy.erase_tenant(A, reason="asked", actor="lifecycle")
    certificate = registry.privacy.check(signed.statement, signed.signature).certificate
    assert certificate is not None
    amounts = {each.what: each.amount for each in certificate.erased}
    assert {amounts[table] for table in ERASED_TABLES} == {1}, "each row is counted once"
    assert deaths > 3


async def test_the_ledger_lies_outside_of_the_database_too_and_names_nobody(
    registry: Registry, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(registry.database)
    ann = await registry.member(tenant, ANN)
    await registry.privacy.erase_tenant(tenant, reason="asked", actor="lifecycle")
    assert registry.ledger_file.stat().st_mode & 0o777 == 0o600
    text = registry.ledger_file.read_text(encoding="utf-8")
    assert "acme" not in text
    entries = erasure_ledger.read_file(registry.ledger_file)
    assert [(entry.kind, entry.erased_id) for entry in entries] == [
        (ErasedKind.TENANT, tenant),
        (ErasedKind.USER, ann),
    ]


async def test_what_a_restored_database_brings_back_is_erased_again(
    registry: Registry, urls: DatabaseUrls, tmp_path: Path
) -> None:
    fill_every_table(urls, A, B)
    entries = [
        ErasureEntry(A, ErasedKind.TENANT, registry.clock.now()),
        ErasureEntry(USERS[A], ErasedKind.USER, registry.clock.now()),
        ErasureEntry(uuid4(), ErasedKind.TENANT, registry.clock.now()),
    ]
    before = left_of(urls, B)
    assert await replay_erasures(registry.privacy, entries) == 1
    assert left_of(urls, A) <= set(AUDIT_TABLES)
    assert left_of(urls, B) == before
    assert await registry.deliver() == 0, "nobody is told a second time"
    assert await replay_erasures(registry.privacy, entries) == 0
    assert await registry.privacy.resume() == 0


async def test_a_user_of_the_ledger_goes_although_the_restored_database_knows_a_membership(
    registry: Registry, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(registry.database)
    ann = await registry.member(tenant, ANN)
    assert await replay_erasures(registry.privacy, [ErasureEntry(ann, ErasedKind.USER, registry.clock.now())]) == 1
    assert ANN not in registry.users()


def test_a_ledger_line_is_read_as_it_was_written_and_anything_else_is_refused(tmp_path: Path) -> None:
    entry = ErasureEntry(uuid4(), ErasedKind.TENANT, SystemClock().now())
    path = tmp_path / "erasures.jsonl"
    erasure_ledger.append(path, [entry])
    erasure_ledger.append(path, [entry])
    assert erasure_ledger.read_file(path) == [entry]
    path.write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="nonsense"):
        erasure_ledger.read_file(path)
