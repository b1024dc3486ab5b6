"""A fund's orders as a simulated venue must know them: it has no books of its own."""

from __future__ import annotations

from alphapulse.domain.funds import Fund
from alphapulse.ports.database import Database
from alphapulse.ports.exchange import AccountOrders
from alphapulse.trading import order_store


async def orders_of_account(database: Database, fund: Fund) -> AccountOrders:
    """Live orders before fills: one that is settled in between is seen with its fills, never without."""
    async with database.transaction(fund.tenant_id) as tx:
        live = await order_store.live(tx, fund.id)
        fills = await order_store.competing(tx, fund.id) if live else []
    return AccountOrders(tuple(each.order for each in live), tuple(fills))
