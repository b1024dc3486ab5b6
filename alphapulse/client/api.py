"""Everything a daemon can be asked, by noun: ``client.orders.place(...)``, ``client.portfolio.summary()``.

One method per route, in the file of its noun. A noun is imported when it is first used, so that a command
pays for its own types and not for all of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from alphapulse.client.connection import Connection, OnWait, Target

if TYPE_CHECKING:
    from types import TracebackType

    from alphapulse.client.access import AccessCalls
    from alphapulse.client.agents import AgentCalls
    from alphapulse.client.cache import CacheCalls
    from alphapulse.client.funds import FundCalls
    from alphapulse.client.jobs import JobCalls
    from alphapulse.client.journal import JournalCalls
    from alphapulse.client.keys import KeyCalls
    from alphapulse.client.market import MarketCalls
    from alphapulse.client.orders import OrderCalls
    from alphapulse.client.people import PeopleCalls
    from alphapulse.client.portfolio import PortfolioCalls
    from alphapulse.client.privacy import PrivacyCalls
    from alphapulse.client.risk import RiskCalls
    from alphapulse.client.support import SupportCalls
    from alphapulse.client.tenants import TenantCalls


class Client:
    """A client of one daemon. May be shared by threads; close it, or use it as a context manager.

    Every method raises the errors of ``alphapulse.errors``, as the daemon raised them.
    """

    def __init__(self, target: Target, *, on_wait: OnWait | None = None) -> None:
        """on_wait: told how long, and then a rate limit is waited for; without it TooManyRequests is raised."""
        self.target = target
        self._connection = Connection(target, on_wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @cached_property
    def access(self) -> AccessCalls:
        """Login, who am I, health."""
        from alphapulse.client.access import AccessCalls

        return AccessCalls(self._connection)

    @cached_property
    def keys(self) -> KeyCalls:
        """API keys, and the keys that tokens are signed with."""
        from alphapulse.client.keys import KeyCalls

        return KeyCalls(self._connection)

    @cached_property
    def tenants(self) -> TenantCalls:
        """Tenants of the platform, and plans."""
        from alphapulse.client.tenants import TenantCalls

        return TenantCalls(self._connection)

    @cached_property
    def people(self) -> PeopleCalls:
        """Members, invitations, one's own account."""
        from alphapulse.client.people import PeopleCalls

        return PeopleCalls(self._connection)

    @cached_property
    def privacy(self) -> PrivacyCalls:
        """Copies of everything, and the tenant's end."""
        from alphapulse.client.privacy import PrivacyCalls

        return PrivacyCalls(self._connection)

    @cached_property
    def cache(self) -> CacheCalls:
        from alphapulse.client.cache import CacheCalls

        return CacheCalls(self._connection)

    @cached_property
    def market(self) -> MarketCalls:
        from alphapulse.client.market import MarketCalls

        return MarketCalls(self._connection)

    @cached_property
    def agents(self) -> AgentCalls:
        from alphapulse.client.agents import AgentCalls

        return AgentCalls(self._connection)

    @cached_property
    def funds(self) -> FundCalls:
        """Funds, their configurations, replays."""
        from alphapulse.client.funds import FundCalls

        return FundCalls(self._connection)

    @cached_property
    def portfolio(self) -> PortfolioCalls:
        """Books as shown: summary, history, plan, performance, positions, fills, decisions."""
        from alphapulse.client.portfolio import PortfolioCalls

        return PortfolioCalls(self._connection)

    @cached_property
    def orders(self) -> OrderCalls:
        from alphapulse.client.orders import OrderCalls

        return OrderCalls(self._connection)

    @cached_property
    def risk(self) -> RiskCalls:
        from alphapulse.client.risk import RiskCalls

        return RiskCalls(self._connection)

    @cached_property
    def journal(self) -> JournalCalls:
        """The audit log and the events."""
        from alphapulse.client.journal import JournalCalls

        return JournalCalls(self._connection)

    @cached_property
    def jobs(self) -> JobCalls:
        """Jobs, the schedule, the effective configuration."""
        from alphapulse.client.jobs import JobCalls

        return JobCalls(self._connection)

    @cached_property
    def support(self) -> SupportCalls:
        from alphapulse.client.support import SupportCalls

        return SupportCalls(self._connection)
