"""The replay job: one stored run over history, resumed from its cursor."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from alphapulse.errors import AlphaPulseError, Refused, TryAgain
from alphapulse.ports.database import Transaction
from alphapulse.ports.queue import Queue
from alphapulse.trading.replay import Replays

NAME = "replay"


class ReplayJob:
    def __init__(self, *, replays: Replays) -> None:
        self._replays = replays

    async def run(self, arguments: Mapping[str, str]) -> None:
        """arguments: tenant_id, replay_id. What may pass (TryAgain) is raised, so that the queue repeats the job;
        anything else would happen again at the same bar, so the replay is marked failed and the job given up.
        """
        tenant_id, replay_id = UUID(arguments["tenant_id"]), UUID(arguments["replay_id"])
        try:
            await self._replays.run(tenant_id, replay_id)
        except TryAgain:
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, AlphaPulseError) else f"{type(error).__name__}: {error}"
            await self._replays.fail(tenant_id, replay_id, reason)
            raise Refused(reason) from error


async def enqueue_replay(queue: Queue, tx: Transaction, tenant_id: UUID, replay_id: UUID) -> None:
    """In the transaction that stores or finds the replay."""
    arguments = {"tenant_id": str(tenant_id), "replay_id": str(replay_id)}
    await queue.enqueue(tx, NAME, arguments, tenant_id=tenant_id)
