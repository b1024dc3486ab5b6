"""What there is to say of a backup, and of one that was put back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class BackupFile:
    """file: its path. size: bytes on disk. server: PostgreSQL's major version. schema: of our schema.

    key: the name of the master key that opens it (not the key).
    """

    file: str
    created_at: datetime
    size: int
    server: int
    schema: str
    key: str


@dataclass(frozen=True, slots=True)
class Retention:
    """A backup that is older than ``keep`` goes, but never one of the newest ``keep_least``."""

    keep: timedelta
    keep_least: int


@dataclass(frozen=True, slots=True)
class RestoreProof:
    """What was looked at in a restored database, and every difference that was found; none when it is sound.

    rows: in all tables. events: in all audit chains. erased: how many erasures were carried out again. candles: files
    of the catalogue's list that are not there, or are not what they were.
    """

    rows: int
    tenants: int
    funds: int
    chains: int
    events: int
    erased: int
    problems: tuple[str, ...]
    candles: tuple[str, ...] = ()
