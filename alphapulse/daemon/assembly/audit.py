"""The audit log's parts: where its heads are published, and how long it is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from alphapulse.audit.heads import HeadFiles
from alphapulse.audit.retention import LogKeeper

if TYPE_CHECKING:
    from alphapulse.clock import Clock
    from alphapulse.daemon.services import Services
    from alphapulse.settings import Settings


def build_head_files(settings: Settings) -> HeadFiles:
    return HeadFiles(settings.audit_heads_directory or settings.data_directory / "audit-heads")


def build_retention(settings: Settings, services: Services, clock: Clock) -> LogKeeper:
    keep = timedelta(days=settings.audit_retention_days)
    return LogKeeper(database=services.database, files=services.head_files, clock=clock, keep=keep)
