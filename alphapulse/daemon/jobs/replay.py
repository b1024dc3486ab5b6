"""The replay job: one stored run over history, a turn at a time, resumed from its cursor."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from alphapulse.domain.funds import ReplayState
from alphapulse.errors import AlphaPulseError, Refused, StorageFull, TryAgain
from alphapulse.ports.database import Transaction
from alphapulse.ports.queue import Queue, Turn
from alphapulse.trading.replay import Replays

NAME = "replay"
#: How long a replay keeps a worker's slot before the other jobs get theirs.
TURN = timedelta(seconds=2)


class ReplayJob:
    """turn: how long one run of the job may last; the bar that is under way is still done, and at least one is."""

    def __init__(self, *, replays: Replays, turn: timedelta = TURN) -> None:
        self._replays = replays
        self._turn = turn

    async def run(self, arguments: Mapping[str, str]) -> Turn:
        """arguments: tenant_id, replay_id. What may pass (TryAgain, a full disk) is raised, so that the queue repeats
        the job; anything else would happen again at the same bar, so the replay is marked failed and the job given up.
        """
        tenant_id, replay_id = UUID(arguments["tenant_id"]), UUID(arguments["replay_id"])
        try:
            replay = await self._replays.run(tenant_id, replay_id, lasting=self._turn)
        except (TryAgain, StorageFull):
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, AlphaPulseError) else f"{type(error).__name__}: {error}"
            await self._replays.fail(tenant_id, replay_id, reason)
            raise Refused(reason) from error
        return Turn.AGAIN if replay.state is ReplayState.RUNNING else Turn.OVER


async def enqueue_replay(queue: Queue, tx: Transaction, tenant_id: UUID, replay_id: UUID) -> None:
    """In the transaction that stores or finds the replay. Everything else goes before it."""
    arguments = {"tenant_id": str(tenant_id), "replay_id": str(replay_id)}
    await queue.enqueue(tx, NAME, arguments, tenant_id=tenant_id, patient=True)
