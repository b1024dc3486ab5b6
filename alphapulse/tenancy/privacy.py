"""Erasure: a tenant goes from every place that knows it, for good, and a signed certificate says so.

The order makes a crash at any instant harmless. First the ledger names the tenant, in the database and outside of it;
then the places outside of the database are emptied, then the tables, each batch with its count, then the people who
belong nowhere else; last the certificate is signed and mailed. Every step may be repeated.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from alphapulse.alerts import store as mails
from alphapulse.alerts.outbox import enqueue_mail
from alphapulse.audit.changes import record_change
from alphapulse.audit.key_store import forget_chain, forget_subject
from alphapulse.clock import Clock
from alphapulse.domain import wire
from alphapulse.domain.lifecycle import TenantState
from alphapulse.domain.mail import MailTemplate
from alphapulse.domain.privacy import (
    AccountStanding,
    Certificate,
    CertificateCheck,
    ErasedKind,
    ErasureEntry,
    Export,
    Kept,
    Removed,
    SignedCertificate,
)
from alphapulse.domain.tenancy import PLATFORM
from alphapulse.errors import NotFound, TryAgain
from alphapulse.ports.billing import Billing
from alphapulse.ports.cache import Cache
from alphapulse.ports.database import Database, Row, Transaction
from alphapulse.ports.mail import Mailer
from alphapulse.ports.secrets import Secrets
from alphapulse.sealing import Seal
from alphapulse.tables import METADATA, TENANT_TABLES
from alphapulse.tenancy import erasure_ledger, tenants_store
from alphapulse.tenancy import privacy_store as store
from alphapulse.tenancy.certificates import Certificates, written
from alphapulse.tenancy.exportable import AUDIT_TABLES

_ACTOR = "erasure"
_BATCH = 5_000
#: Child tables first, so that a batch takes no more rows along than it counts.
ERASED_TABLES = tuple(
    table.name
    for table in reversed(METADATA.sorted_tables)
    if table.name in TENANT_TABLES and table.name not in AUDIT_TABLES
)
KEPT = (
    Kept(
        "audit log",
        "It proves to auditors what was done, and stays verifiable as a whole. Names, addresses and everything else"
        " that is personal in it was sealed with keys of this tenant, which are destroyed: it cannot be read any more.",
    ),
    Kept("erasure ledger", "The id of the tenant, so that a restored backup is erased again."),
    Kept("backups", "They are encrypted and deleted when their retention ends; a restored one is erased again."),
    Kept("market data and signals", "They are public and belong to no tenant."),
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Notice:
    """Whom the certificate goes to, and what must be known after the rows are gone. Stored sealed."""

    name: str
    admins: tuple[str, ...]
    people: dict[str, str]
    billing_reference: str | None
    requested_at: datetime


class Privacy:
    """ledger_file: the ledger's copy outside of the database; None in a drill. exports_directory: see Exports."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        seal: Seal,
        secrets: Secrets,
        cache: Cache,
        billing: Billing,
        mailer: Mailer,
        exports_directory: Path,
        ledger_file: Path | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._seal = seal
        self._secrets = secrets
        self._cache = cache
        self._billing = billing
        self._mailer = mailer
        self._exports = exports_directory
        self._ledger_file = ledger_file
        self._certificates = Certificates(seal)

    async def erase_tenant(self, tenant_id: UUID, *, reason: str, actor: str) -> SignedCertificate:
        """Erase the tenant, or go on where an attempt before ended. reason: without personal data; it is kept.

        Raises NotFound when neither the tenant nor its erasure is known, TryAgain when a part is away: repeat it.
        """
        entry, notice = await self._begin(tenant_id, reason, actor)
        if notice is None:
            return await self._certificate(tenant_id)
        await self._write_down([entry])
        await self._empty(entry, notice)
        return await self._finish(entry, notice)

    async def resume(self) -> int:
        """Go on with every erasure that did not end; how many. Raises TryAgain when a part is away."""
        async with self._database.shared() as tx:
            begun = await store.unfinished(tx)
        for tenant_id in begun:
            await self.erase_tenant(tenant_id, reason="resumed", actor=_ACTOR)
        return len(begun)

    async def erase_again(self, entry: ErasureEntry) -> bool:
        """Of a restored database: whether anything of this entry had come back. Nobody is written to."""
        if entry.kind is ErasedKind.USER:
            return await self._erase_user(entry, anyway=True) is not None
        async with self._database.transaction(entry.erased_id) as tx:
            row = await store.tenant_row(tx)
            notice = None if row is None else await self._notice(tx, row)
            await store.insert(tx, entry, reason="restored", sealed_notice=None, finished=True)
        await self._write_down([entry])
        if notice is None:
            # Nothing but perhaps what lies outside of the database, restored by other means.
            await self._empty_places(entry, None)
            return False
        await self._empty(entry, notice)
        return True

    async def standing(self, tenant_id: UUID, export: Export | None) -> AccountStanding:
        """export: the newest one. Raises NotFound."""
        async with self._database.glance(tenant_id) as tx:
            row = await store.standing(tx)
        if row is None:
            raise NotFound("no such tenant")
        return AccountStanding(
            slug=row["slug"],
            name=row["name"],
            state=TenantState(row["state"]),
            erased_at=row["purge_at"],
            export=export,
        )

    def check(self, statement: str, signature: str) -> CertificateCheck:
        return self._certificates.check(statement, signature)

    async def _begin(self, tenant_id: UUID, reason: str, actor: str) -> tuple[ErasureEntry, _Notice | None]:
        """The ledger's entry, made when there is none; no notice when the erasure is over."""
        now = self._clock.now()
        async with self._database.transaction(tenant_id) as tx:
            known = await store.get(tx, tenant_id)
            row = await store.tenant_row(tx)
            if known is None and row is None:
                raise NotFound(f"no tenant {tenant_id}, and none of this id was erased")
            entry = ErasureEntry(tenant_id, ErasedKind.TENANT, now if known is None else known["begun_at"])
            if known is not None and known["sealed_notice"] is not None:
                return entry, self._opened(entry, known["sealed_notice"])
            if row is None:
                return entry, None
            notice = await self._notice(tx, row)
            await store.insert(tx, entry, reason=reason, sealed_notice=self._sealed(entry, notice))
            await record_change(
                tx,
                actor=actor,
                action="account.erase",
                subject=str(tenant_id),
                before=None,
                after={"begun_at": now},
                at=now,
                reason=reason,
                tenant_id=PLATFORM,
            )
        return entry, notice

    async def _notice(self, tx: Transaction, row: Row) -> _Notice:
        assert tx.tenant_id is not None
        people = {str(user_id): email for user_id, email in await store.people(tx)}
        admins = tuple(await tenants_store.admins(tx, tx.tenant_id))
        asked = row["state_changed_at"] or self._clock.now()
        return _Notice(row["name"], admins, people, row["billing_reference"], asked)

    async def _write_down(self, entries: Sequence[ErasureEntry]) -> None:
        if self._ledger_file is not None:
            await asyncio.to_thread(erasure_ledger.append, self._ledger_file, entries)

    async def _empty(self, entry: ErasureEntry, notice: _Notice) -> None:
        await self._empty_places(entry, notice.billing_reference)
        for table in ERASED_TABLES:
            await self._empty_table(entry.erased_id, table)
        async with self._database.transaction(entry.erased_id) as tx:
            keys = await forget_chain(tx)
            gone = await store.erase_tenant(tx)
            await store.note_removed(tx, entry.erased_id, "audit log: keys of personal fields", keys)
            await store.note_removed(tx, entry.erased_id, "tenants", int(gone))
        for user_id in notice.people:
            person = ErasureEntry(UUID(user_id), ErasedKind.USER, self._clock.now())
            if await self._erase_user(person, anyway=False) is not None:
                async with self._database.shared() as tx:
                    await store.note_removed(tx, entry.erased_id, "users", 1)

    async def _empty_places(self, entry: ErasureEntry, billing_reference: str | None) -> None:
        """Everything of the tenant that is not in the database."""
        tenant_id = entry.erased_id
        async with self._database.transaction(tenant_id) as tx:
            letters = await mails.ids_of_tenant(tx)
        await self._note(tenant_id, "mail log: copies of mails", await self._mailer.forget(letters))
        await self._note(tenant_id, "cache: values", await self._cache.flush_tenant(tenant_id))
        await self._secrets.erase(tenant_id)
        await self._note(tenant_id, "secrets store: namespace", 1)
        if billing_reference is not None:
            await self._billing.close_account(billing_reference)
        await self._note(tenant_id, "billing provider: account", int(billing_reference is not None))
        await self._note(
            tenant_id, "exports: files", await asyncio.to_thread(_remove_folder, self._exports / str(tenant_id))
        )

    async def _empty_table(self, tenant_id: UUID, table: str) -> None:
        """In batches, so that a large tenant holds no locks for long."""
        while True:
            async with self._database.transaction(tenant_id) as tx:
                gone = await store.erase_rows(tx, table, _BATCH)
                await store.note_removed(tx, tenant_id, table, gone)
            if gone < _BATCH:
                return

    async def _erase_user(self, person: ErasureEntry, *, anyway: bool) -> str | None:
        """Their address when they are gone with this; None when they stay, or were not there."""
        async with self._database.user(person.erased_id) as tx:
            email = await store.email_of(tx)
            if email is None:
                return None
            if not anyway and await store.belongs(tx):
                return None
            await store.insert(tx, person, reason="belongs to no tenant", sealed_notice=None, finished=True)
            await forget_subject(tx, person.erased_id, email)
            letters = await mails.delete_to(tx, email)
            if not await store.erase_user(tx, anyway=anyway):
                raise TryAgain(f"user {person.erased_id} joined a tenant while it was to be erased")
        await self._mailer.forget(letters)
        return email

    async def _finish(self, entry: ErasureEntry, notice: _Notice) -> SignedCertificate:
        now = self._clock.now()
        tenant_id = entry.erased_id
        async with self._database.shared() as tx:
            ledger = await store.read_ledger(tx)
        await self._write_down(ledger)  # with the people, who are only known to be erased once they are
        async with self._database.shared() as tx:
            row = await store.get(tx, tenant_id)
            assert row is not None
            removed = tuple(Removed(what, amount) for what, amount in sorted(row["removed"].items()))
            signed = self._certificates.sign(
                Certificate(
                    tenant_id=tenant_id, requested_at=notice.requested_at, erased_at=now, erased=removed, kept=KEPT
                )
            )
            await store.finish(tx, tenant_id, wire.encode(signed), now)
            for address in notice.admins:
                await self._send(tx, tenant_id, notice.name, address, signed, now)
            await record_change(
                tx,
                actor=_ACTOR,  # never a person: nobody's key is made again
                action="account.erased",
                subject=str(tenant_id),
                before=None,
                after={"finished_at": now},
                at=now,
                tenant_id=PLATFORM,
            )
        _log.info("a tenant is erased", extra={"tenant": str(tenant_id)})
        return signed

    async def _send(
        self, tx: Transaction, tenant_id: UUID, name: str, address: str, signed: SignedCertificate, at: datetime
    ) -> None:
        await enqueue_mail(
            tx,
            self._seal,
            tenant_id=None,
            to=address,
            template=MailTemplate.ACCOUNT_DELETED,
            values={"tenant": name, "erased_at": wire.write_time(at), "certificate": written(signed)},
            at=at,
            key=f"erased:{tenant_id}:{address}",
        )

    async def _certificate(self, tenant_id: UUID) -> SignedCertificate:
        async with self._database.shared() as tx:
            row = await store.get(tx, tenant_id)
        if row is None or row["certificate"] is None:
            raise NotFound(f"the erasure of {tenant_id} has no certificate")
        return wire.decode(SignedCertificate, row["certificate"])

    async def _note(self, erased_id: UUID, what: str, amount: int) -> None:
        async with self._database.shared() as tx:
            await store.note_place(tx, erased_id, what, amount)

    def _sealed(self, entry: ErasureEntry, notice: _Notice) -> bytes:
        return self._seal.seal(json.dumps(wire.encode(notice)).encode(), f"erasure:{entry.erased_id}")

    def _opened(self, entry: ErasureEntry, sealed: bytes) -> _Notice:
        return wire.decode(_Notice, json.loads(self._seal.open(bytes(sealed), f"erasure:{entry.erased_id}")))


async def replay_erasures(privacy: Privacy, entries: Sequence[ErasureEntry]) -> int:
    """Erase again what a restored database brought back; of how many entries anything had come back.

    Tenants first: their people may belong nowhere after that, and are named by entries of their own.
    """
    ordered = sorted(entries, key=lambda entry: (entry.kind is ErasedKind.USER, entry.at))
    return sum([await privacy.erase_again(entry) for entry in ordered])


def _remove_folder(folder: Path) -> int:
    files = sum(1 for path in folder.glob("*") if path.is_file())
    if folder.exists():
        shutil.rmtree(folder)
    return files
