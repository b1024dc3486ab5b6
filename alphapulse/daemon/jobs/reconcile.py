"""Start-up is reconciliation: live orders are settled, interrupted replays go on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from alphapulse.daemon.jobs import store
from alphapulse.daemon.jobs.replay import NAME as REPLAY
from alphapulse.daemon.jobs.replay import enqueue_replay
from alphapulse.domain.funds import Fund, FundState
from alphapulse.errors import AlphaPulseError, Refused, Unavailable
from alphapulse.market.service import Market
from alphapulse.ports.database import Database
from alphapulse.ports.queue import Queue
from alphapulse.trading.desk import Desk
from alphapulse.trading.funds import Funds

NAME = "reconcile"

_log = logging.getLogger(__name__)


class ReconcileJob:
    def __init__(self, *, database: Database, funds: Funds, desk: Desk, market: Market) -> None:
        self._database = database
        self._funds = funds
        self._desk = desk
        self._market = market

    async def run(self, arguments: Mapping[str, str]) -> None:  # noqa: ARG002 -- every job takes arguments
        """Ask the venue about every order that is not final. Raises Unavailable when repeating may help."""
        async with self._database.shared() as tx:
            rows = await store.funds_with_live_orders(tx)
        failures: list[AlphaPulseError] = []
        for tenant_id, fund_id in rows:
            try:
                await self._settle(tenant_id, fund_id)
            except AlphaPulseError as error:
                _log.error("a fund's orders could not be settled", extra={"fund": str(fund_id), "error": str(error)})
                failures.append(error)
        if failures:
            text = f"the orders of {len(failures)} of {len(rows)} funds could not be settled, the first: {failures[0]}"
            raise Refused(text) if all(isinstance(error, Refused) for error in failures) else Unavailable(text)

    async def _settle(self, tenant_id: UUID, fund_id: UUID) -> None:
        funds = await self._funds.many(tenant_id, [fund_id])
        async with self._database.transaction(tenant_id) as tx:
            replayed = await store.has_running_replay(tx, fund_id)
            reached = await store.reached(tx, fund_id)
        if not funds or replayed or reached is None:
            return  # a replay settles its own orders, at its own time
        await self._desk.settle(funds[0], await self._as_of(funds[0], reached))

    async def _as_of(self, fund: Fund, reached: datetime) -> datetime:
        """The present for a running fund. A stopped one stays where it is: its history may lie in the past."""
        if fund.state is not FundState.RUNNING:
            return reached
        config = fund.config
        return max(reached, await self._market.now(config.venue, config.universe, config.timeframe))


async def recover(database: Database, queue: Queue) -> None:
    """Queue what a start owes: reconciliation, and every running replay that no job carries on. Safe beside others."""
    async with database.shared() as tx:
        replays = await store.running_replays(tx)
        if not await store.pending_any(tx, NAME):
            await queue.enqueue(tx, NAME, {}, urgent=True)
    for tenant_id, replay_id in replays:
        async with database.transaction(tenant_id) as tx:
            if await store.lock_running_replay(tx, replay_id) and not await store.pending(
                tx, REPLAY, "replay_id", str(replay_id)
            ):
                await enqueue_replay(queue, tx, tenant_id, replay_id)
                _log.info("a replay goes on", extra={"replay": str(replay_id)})
