"""What a tenant may ask about its data: a copy of everything, and that it be erased."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from alphapulse.domain import wire
from alphapulse.domain.lifecycle import TenantState
from alphapulse.errors import InvalidInput

#: How long a finished export can be fetched; after that its file is deleted.
EXPORT_KEPT = timedelta(days=7)


class ExportState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"  # its file is deleted, because of its age or for a newer one


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A copy of everything a tenant holds, as one zip. tables, rows: how far it is; of tables_total in the end.

    size: of the zip, bytes. sha256: of the zip, hexadecimal. expires_at: until when it can be fetched. link: where,
    for those who are logged in; empty unless it is ready.
    """

    id: UUID
    state: ExportState
    requested_by: str
    requested_at: datetime
    tables: int = 0
    tables_total: int = 0
    rows: int = 0
    size: int = 0
    sha256: str = ""
    error: str = ""
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStanding:
    """erased_at: when everything is erased, for a deleted tenant. export: the newest, if there is one."""

    slug: str
    name: str
    state: TenantState
    erased_at: datetime | None
    export: Export | None


class ErasedKind(StrEnum):
    TENANT = "tenant"
    USER = "user"


@dataclass(frozen=True, slots=True)
class ErasureEntry:
    """One line of the erasure ledger: this id shall hold no data any more. It names nobody by more than the id."""

    erased_id: UUID
    kind: ErasedKind
    at: datetime

    def line(self) -> str:
        return json.dumps(wire.encode(self))

    @classmethod
    def parse(cls, line: str) -> ErasureEntry:
        """Raises InvalidInput."""
        try:
            data = json.loads(line)
        except ValueError:
            raise InvalidInput(f"not a line of an erasure ledger: {line[:60]!r}") from None
        return wire.decode(cls, data)


@dataclass(frozen=True, slots=True)
class Removed:
    """what: a table, or a place outside the database. amount: rows, files, values; 0 where nothing was there."""

    what: str
    amount: int


@dataclass(frozen=True, slots=True)
class Kept:
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was erased of a tenant, and what is kept and why. It holds no personal data itself."""

    tenant_id: UUID
    requested_at: datetime
    erased_at: datetime
    erased: tuple[Removed, ...]
    kept: tuple[Kept, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCertificate:
    """signature: Ed25519 (RFC 8032) over ``statement``, as hexadecimal as the key. statement: the certificate, JSON."""

    statement: str
    signature: str
    public_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateCheck:
    """certificate: what the statement says; None when it is not genuine."""

    genuine: bool
    certificate: Certificate | None = field(default=None)
