"""How often who may ask what: each request spends from the budgets of its kind, before it is worked on.

What reduces risk (cancel, halt, close, stop, a sale) has a budget of its own in each process and asks nobody else.
Without the shared counts reads pass, changes and orders fall to a small local budget, and log-ins are refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network
from typing import cast
from uuid import UUID

from starlette.types import ASGIApp, Receive, Scope, Send

from alphapulse.daemon.facts import facts_of
from alphapulse.domain.cache_keys import shared_key, tenant_key
from alphapulse.domain.rates import Budget, RateVerdict
from alphapulse.domain.tenancy import Caller, Role
from alphapulse.errors import TooManyRequests, Unauthenticated, Unavailable
from alphapulse.ports.limits import RateLimiter
from alphapulse.ports.telemetry import Telemetry

#: The requests per minute of a tenant's tier; None: as many as it likes.
RateOf = Callable[[UUID], Awaitable[int | None]]


class Kind(StrEnum):
    """RESERVED reduces risk. LOGIN proves who somebody is. PROBE is asked by machines. STRANGER: any other without a
    login.
    """

    RESERVED = "reserved"
    ORDER = "order"
    READ = "read"
    WRITE = "write"
    LOGIN = "login"
    PROBE = "probe"
    STRANGER = "stranger"


#: Routes that only ever reduce risk.
RESERVED = frozenset(
    {
        ("POST", "/orders/{order_id}/cancel"),
        ("POST", "/positions/close"),
        ("POST", "/risk/halt"),
        ("POST", "/funds/{fund}/stop"),
    }
)
#: Whether it reduces is in the body: the route decides once it has read it.
ORDERS = frozenset({("POST", "/trades")})
_PROBES = frozenset({"/health/live", "/health/ready", "/metrics", "/version"})
#: Half of an IPv6 address belongs to whoever rents the line.
_LINE = 64
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests per minute. tenant: of every tenant, whatever its tier says; None: as its tier says. together: of all
    tenants. platform: of the platform's admins. address, login, probe: of one network address without a login.
    reserved: of one tenant and one kind of request that reduces risk, in each process. local: changes and orders of
    one tenant in each process while the shared counts are out of reach.
    """

    tenant: int | None
    together: int
    platform: int
    address: int
    login: int
    probe: int
    reserved: int
    local: int


def kind_of(method: str, path: str) -> Kind:
    """Of a route that asks who is calling. path: its template, as in ``/orders/{order_id}``."""
    if (method, path) in RESERVED:
        return Kind.RESERVED
    if (method, path) in ORDERS:
        return Kind.ORDER
    return Kind.READ if method in {"GET", "HEAD"} else Kind.WRITE


def kind_of_stranger(method: str, path: str, *, public: bool) -> Kind:
    """Of a request without a login. public: whether the route is for everybody; only those can be log-ins."""
    if public and method == "POST":
        return Kind.LOGIN
    return Kind.PROBE if public and path in _PROBES else Kind.STRANGER


class RateLimits:
    """limiter: the counts that all replicas share. local: those of this process."""

    def __init__(
        self, *, limiter: RateLimiter, local: RateLimiter, rates: Rates, rate_of: RateOf, telemetry: Telemetry
    ) -> None:
        self._limiter = limiter
        self._local = local
        self._rates = rates
        self._rate_of = rate_of
        self._telemetry = telemetry
        self._platform = Budget(shared_key("rate", "platform"), rates.platform)
        self._together = Budget(shared_key("rate", "together"), rates.together)
        #: Budgets by tenant, and the rate that they were made for: making keys costs more than counting.
        self._known: dict[UUID, tuple[int | None, list[Budget]]] = {}

    async def admit(self, caller: Caller, kind: Kind, route: str = "") -> RateVerdict | None:
        """Of somebody who is logged in. None: nobody counted, and it may pass. route: what a reserved budget is for.

        Raises TooManyRequests.
        """
        if kind is Kind.RESERVED:
            own = Budget(tenant_key(caller.tenant_id or caller.user_id, "rate", route), self._rates.reserved)
            return await self._spend(self._local, [own], kind)
        try:
            return await self._spend(self._limiter, await self._budgets(caller), kind)
        except Unavailable:
            self._telemetry.count("limits_local_total", kind=kind.value)
            if kind is Kind.READ:
                return None
            own = Budget(tenant_key(caller.tenant_id or caller.user_id, "rate", "local"), self._rates.local)
            return await self._spend(self._local, [own], kind)

    async def admit_stranger(self, address: str, kind: Kind) -> RateVerdict:
        """Of somebody who is not logged in, by network address.

        Raises TooManyRequests; Unavailable for a log-in that cannot be counted, since guesses must be.
        """
        rate = {Kind.LOGIN: self._rates.login, Kind.PROBE: self._rates.probe}.get(kind, self._rates.address)
        budget = Budget(shared_key("rate", kind.value, line_of(address)), rate)
        if kind is Kind.PROBE:
            return await self._spend(self._local, [budget], kind)
        try:
            return await self._spend(self._limiter, [budget], kind)
        except Unavailable as error:
            self._telemetry.count("limits_local_total", kind=kind.value)
            if kind is Kind.LOGIN:
                raise Unavailable(
                    "nobody can log in: attempts cannot be counted just now",
                    fix="Try again; who is logged in stays so.",
                ) from error
            return await self._spend(self._local, [budget], kind)

    async def _budgets(self, caller: Caller) -> list[Budget]:
        if caller.role is Role.PLATFORM_ADMIN or caller.tenant_id is None:
            return [self._platform]
        rate = self._rates.tenant or await self._rate_of(caller.tenant_id)
        known = self._known.get(caller.tenant_id)
        if known is None or known[0] != rate:
            own = [] if rate is None else [Budget(tenant_key(caller.tenant_id, "rate"), rate)]
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[caller.tenant_id] = (rate, [*own, self._together])
        return known[1]

    async def _spend(self, limiter: RateLimiter, budgets: Sequence[Budget], kind: Kind) -> RateVerdict:
        verdict = await limiter.take(budgets)
        if not verdict.allowed:
            self._telemetry.count("limited_total", kind=kind.value)
            raise Limited(verdict, kind)
        return verdict


class Limited(TooManyRequests):
    """verdict: for the answer's headers."""

    def __init__(self, verdict: RateVerdict, kind: Kind) -> None:
        whose = "of your tenant" if kind in {Kind.READ, Kind.WRITE, Kind.ORDER, Kind.RESERVED} else "from your address"
        super().__init__(
            f"more than {verdict.limit} requests a minute {whose}",
            retry_after=verdict.retry_after,
            fix="Wait as long as Retry-After says; the same request passes then.",
        )
        self.verdict = verdict


class Strangers:
    """Requests without a login, and those whose login is refused, by network address.

    public: method and path of the routes that ask nobody who they are. Streams look after themselves.
    """

    def __init__(self, app: ASGIApp, limits: RateLimits, public: frozenset[tuple[str, str]]) -> None:
        self._app = app
        self._limits = limits
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        public = (method, path) in self._public
        if public or not has_credential(scope):
            await self._count(scope, kind_of_stranger(method, path, public=public))
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Unauthenticated:
            await self._count(scope, Kind.STRANGER)
            raise

    async def _count(self, scope: Scope, kind: Kind) -> None:
        facts = facts_of(scope)
        try:
            facts.verdict = await self._limits.admit_stranger(address_of(scope), kind)
        except Limited as error:
            facts.verdict = error.verdict
            raise


def has_credential(scope: Scope) -> bool:
    return any(name == b"authorization" for name, _ in scope["headers"])


def address_of(scope: Scope) -> str:
    """Of the client as far as the trusted proxies know it; empty for a socket without addresses."""
    client = cast("tuple[str, int] | None", scope.get("client"))
    return client[0] if client else ""


def line_of(address: str) -> str:
    """The address, or for IPv6 the network that one subscriber has as a whole."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, _LINE), strict=False).network_address)
