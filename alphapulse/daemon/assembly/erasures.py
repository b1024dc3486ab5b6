"""The erasures that a restored database does not know of, carried out again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from alphapulse.adapters.billing.none import NoBilling
from alphapulse.adapters.cache.memory import MemoryCache
from alphapulse.adapters.database import migrations
from alphapulse.adapters.database.postgres import PostgresDatabase
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.adapters.mail.console import ConsoleMail
from alphapulse.adapters.secrets.file import FileSecrets
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.clock import SystemClock
from alphapulse.daemon.assembly.privacy import export_directory, ledger_file
from alphapulse.domain.privacy import ErasureEntry
from alphapulse.errors import NotFound
from alphapulse.ports.database import Database
from alphapulse.sealing import Seal
from alphapulse.tenancy import privacy_store
from alphapulse.tenancy.erasure_ledger import read_file
from alphapulse.tenancy.privacy import Privacy, replay_erasures

if TYPE_CHECKING:
    from alphapulse.settings import Settings

#: Who would get mails, were there any: an erasure that is carried out again writes to nobody.
_SENDER = "alphapulse@localhost"


def known_erasures(settings: Settings, urls: DatabaseUrls | None, named: Path | None = None) -> list[ErasureEntry]:
    """From this machine's file, from a further file that is named, and from a database that knows them, each once.

    Raises NotFound when the named file is not there. Blocks.
    """
    if named is not None and not named.exists():
        raise NotFound(f"there is no file {named}", fix="Name the erasure ledger of the daemon that was lost.")
    entries = [*read_file(ledger_file(settings)), *(read_file(named) if named is not None else [])]
    if urls is not None and migrations.current(urls.admin or urls.app) == migrations.HEAD:
        entries += asyncio.run(_of_database(urls))
    return list({(entry.kind, entry.erased_id): entry for entry in entries}.values())


async def replay_beside(database: Database, seal: Seal, entries: Sequence[ErasureEntry], folder: Path) -> int:
    """On a database that nobody serves from yet, whose secrets lie in ``folder``; how many had come back."""
    privacy = Privacy(
        database=database,
        clock=SystemClock(),
        seal=seal,
        secrets=FileSecrets(folder / "secrets"),
        cache=MemoryCache(_no_quota, NoTelemetry()),
        billing=NoBilling(),
        mailer=ConsoleMail(folder / "mail", sender=_SENDER),
        exports_directory=folder / "exports",
        ledger_file=None,
    )
    return await replay_erasures(privacy, entries)


async def replay_here(settings: Settings, database: Database, seal: Seal, entries: Sequence[ErasureEntry]) -> int:
    """On the database that is served from, with this machine's secrets, mails and exports."""
    data = settings.data_directory
    privacy = Privacy(
        database=database,
        clock=SystemClock(),
        seal=seal,
        secrets=FileSecrets(data / "secrets"),
        cache=MemoryCache(_no_quota, NoTelemetry()),
        billing=NoBilling(),
        mailer=ConsoleMail(data / "mail", sender=_SENDER),
        exports_directory=export_directory(settings),
        ledger_file=ledger_file(settings),
    )
    return await replay_erasures(privacy, entries)


async def _of_database(urls: DatabaseUrls) -> list[ErasureEntry]:
    database = await PostgresDatabase.open(urls.app)
    try:
        async with database.shared() as tx:
            return await privacy_store.read_ledger(tx)
    finally:
        await database.close()


async def _no_quota(_: UUID) -> int:
    return 0
