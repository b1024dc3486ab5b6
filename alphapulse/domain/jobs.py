"""Background jobs as their operators see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class JobState(StrEnum):
    QUEUED = "queued"  # waits for a worker, for the first time or for another attempt
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # given up; stays until somebody retries it


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job. tenant_id None: a job of the platform. attempts: how often a worker began it.

    error: what the last attempt failed with, empty when none did. arguments: ids and ISO times only.
    """

    id: UUID
    name: str
    state: JobState
    attempts: int
    error: str
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    tenant_id: UUID | None = None
    arguments: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """One line of the schedule. cron: five fields, in UTC. next_at: when it fires next, paused or not."""

    name: str
    cron: str
    meaning: str
    paused: bool
    next_at: datetime
