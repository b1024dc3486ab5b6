"""Jobs that some worker runs at least once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from uuid import UUID

from alphapulse.ports.database import Transaction

#: A job's function: takes its arguments (ids and ISO times only), may be run more than once.
JobFunction = Callable[[Mapping[str, str]], Awaitable[None]]


class Queue(Protocol):
    async def enqueue(
        self,
        tx: Transaction,
        name: str,
        arguments: Mapping[str, str],
        *,
        tenant_id: UUID | None = None,
        urgent: bool = False,
    ) -> UUID:
        """Add a job in the transaction of what caused it: no commit, no job. Returns the id that ``jobs list`` shows."""
        ...
