"""Jobs, what runs when, and the settings in force."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote

from alphapulse.client.connection import Connection, Page, read
from alphapulse.domain.jobs import JobRecord, ScheduleEntry


class JobCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, state: str | None = None, limit: int = 50) -> Page[JobRecord]:
        """Newest first. state: queued, running, done or failed."""
        return self._connection.page(JobRecord, "/jobs", state=state, limit=limit)

    def schedule(self) -> Page[ScheduleEntry]:
        return self._connection.page(ScheduleEntry, "/jobs/schedule")

    def run(self, name: str) -> JobRecord:
        """Queues the newest slot of a scheduled job at once."""
        return read(JobRecord, self._connection.post(f"/jobs/{quote(name, safe='')}/run"))

    def pause(self, name: str) -> ScheduleEntry:
        return read(ScheduleEntry, self._connection.post(f"/jobs/{quote(name, safe='')}/pause"))

    def resume(self, name: str) -> ScheduleEntry:
        return read(ScheduleEntry, self._connection.post(f"/jobs/{quote(name, safe='')}/resume"))

    def retry(self, job_id: str) -> JobRecord:
        """Queues a failed job again."""
        return read(JobRecord, self._connection.post(f"/jobs/{quote(job_id, safe='')}/retry"))

    def config(self) -> dict[str, Any]:
        """The daemon's settings in force, secrets masked."""
        return cast("dict[str, Any]", self._connection.get("/config"))
