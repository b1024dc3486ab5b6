"""Copies of a tenant's data, and its erasure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alphapulse.daemon.assembly.tenants import Tenants
from alphapulse.ports.cache import Cache
from alphapulse.tenancy.exports import Exports
from alphapulse.tenancy.privacy import Privacy

if TYPE_CHECKING:
    from alphapulse.daemon.assembly.services import Parts
    from alphapulse.settings import Settings


def export_directory(settings: Settings) -> Path:
    return settings.export_directory or settings.data_directory / "exports"


def ledger_file(settings: Settings) -> Path:
    """The copy of the erasure ledger outside of the database."""
    return settings.data_directory / "erasures.jsonl"


def build_exports(settings: Settings, parts: Parts) -> Exports:
    return Exports(
        database=parts.database,
        snapshots=parts.snapshots,
        queue=parts.queue,
        clock=parts.clock,
        seal=parts.seal,
        directory=export_directory(settings),
        public_url=settings.public_url,
    )


def build_privacy(settings: Settings, parts: Parts, cache: Cache, tenants: Tenants) -> Privacy:
    return Privacy(
        database=parts.database,
        clock=parts.clock,
        seal=parts.seal,
        secrets=tenants.secrets,
        cache=cache,
        billing=tenants.billing,
        mailer=parts.mailer,
        exports_directory=export_directory(settings),
        ledger_file=ledger_file(settings),
    )
