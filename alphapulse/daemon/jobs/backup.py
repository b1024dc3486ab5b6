"""The nightly backup, and the weekly attempt to restore the newest one."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime

from alphapulse.daemon import schedule_store
from alphapulse.domain.backups import BackupFile, RestoreProof
from alphapulse.domain.wire import parse_time
from alphapulse.errors import DriftFound
from alphapulse.ports.database import Database
from alphapulse.ports.telemetry import Telemetry

_log = logging.getLogger(__name__)

#: Makes one and lets old ones go; asks now and then whether to stop. Blocks.
Make = Callable[[Callable[[], bool]], tuple[BackupFile, list[BackupFile]]]
#: Restores the newest one into a scratch database; None when there is none yet. Blocks.
Drill = Callable[[], tuple[BackupFile, RestoreProof] | None]


class BackupJob:
    """daily: whether the schedule makes backups; when somebody asks for one it is made in any case."""

    def __init__(self, *, database: Database, telemetry: Telemetry, make: Make, daily: bool) -> None:
        self._database = database
        self._telemetry = telemetry
        self._make = make
        self._daily = daily

    async def run(self, arguments: Mapping[str, str]) -> None:
        """The first slot of a database is passed over: it has just been made, and the night is not far."""
        if "asked" not in arguments:
            slot = parse_time(arguments["slot"], "slot")
            if not self._daily or not await self._fired_before("backup", slot):
                return
        stop = threading.Event()
        try:
            made, gone = await asyncio.to_thread(self._make, stop.is_set)
        finally:
            stop.set()  # a thread cannot be cancelled; it looks at this
        self._telemetry.gauge("backup_made_timestamp", made.created_at.timestamp())
        self._telemetry.gauge("backup_bytes", made.size)
        _log.info("backup made", extra={"file": made.file, "bytes": made.size, "deleted": len(gone)})

    async def _fired_before(self, entry: str, slot: datetime) -> bool:
        async with self._database.shared() as tx:
            return await schedule_store.fired_before(tx, entry, slot)


class DrillJob:
    def __init__(self, *, telemetry: Telemetry, drill: Drill, weekly: bool) -> None:
        self._telemetry = telemetry
        self._drill = drill
        self._weekly = weekly

    async def run(self, arguments: Mapping[str, str]) -> None:
        """Raises DriftFound when what came back is not what was kept."""
        if "asked" not in arguments and not self._weekly:
            return
        tried = await asyncio.to_thread(self._drill)
        if tried is None:
            return
        backup, proof = tried
        self._telemetry.gauge("backup_problems", len(proof.problems))
        if proof.problems:
            raise DriftFound(f"the backup {backup.file} does not come back as it was: {proof.problems[0]}")
        _log.info("a backup was restored on trial", extra={"file": backup.file, **asdict(proof)})
