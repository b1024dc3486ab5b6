"""Jobs that some worker runs at least once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto
from typing import Protocol
from uuid import UUID

from alphapulse.ports.database import Transaction


class Turn(Enum):
    """How a job's function ends when it does not fail."""

    OVER = auto()
    #: There is more to do, and it can wait: the job goes behind every other that waits.
    AGAIN = auto()


#: A job's function: takes its arguments (ids and ISO times only), may be run more than once. None is Turn.OVER.
JobFunction = Callable[[Mapping[str, str]], Awaitable[Turn | None]]


class Queue(Protocol):
    async def enqueue(
        self,
        tx: Transaction,
        name: str,
        arguments: Mapping[str, str],
        *,
        tenant_id: UUID | None = None,
        urgent: bool = False,
        patient: bool = False,
    ) -> UUID:
        """Add a job in the transaction of what caused it: no commit, no job. Returns the id of ``jobs list``.

        urgent: before all that wait. patient: behind all that wait, and behind what comes later and is not patient.
        """
        ...

    async def requeue(self, tx: Transaction, job_id: UUID) -> None:
        """Put a failed job back in line under the same id, its attempts counted anew, in this transaction.

        Raises NotFound when the transaction does not see the job, Conflict unless it has failed.
        """
        ...
