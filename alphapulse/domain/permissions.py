"""Roles, permissions, and the one table of who may do what."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    PLATFORM_ADMIN = "platform_admin"
    TENANT_ADMIN = "tenant_admin"
    TRADER = "trader"
    VIEWER = "viewer"


class Permission(StrEnum):
    TENANTS_READ = "tenants.read"
    TENANTS_WRITE = "tenants.write"
    MEMBERS_READ = "members.read"
    MEMBERS_WRITE = "members.write"
    PLAN_WRITE = "plan.write"
    ACCOUNT_EXPORT = "account.export"
    ACCOUNT_DELETE = "account.delete"
    FUNDS_READ = "funds.read"
    FUNDS_WRITE = "funds.write"
    FUNDS_STOP = "funds.stop"
    AGENTS_READ = "agents.read"
    AGENTS_WRITE = "agents.write"
    ORDERS_READ = "orders.read"
    ORDERS_WRITE = "orders.write"
    RISK_READ = "risk.read"
    RISK_HALT = "risk.halt"
    RISK_RESUME = "risk.resume"
    MARKET_READ = "market.read"
    MARKET_WRITE = "market.write"
    AUDIT_READ = "audit.read"
    EVENTS_READ = "events.read"
    JOBS_READ = "jobs.read"
    CACHE_READ = "cache.read"
    CACHE_FLUSH = "cache.flush"
    PLATFORM_READ = "platform.read"
    PLATFORM_WRITE = "platform.write"


_P = Permission
_READS = frozenset({_P.FUNDS_READ, _P.AGENTS_READ, _P.ORDERS_READ, _P.RISK_READ, _P.MARKET_READ, _P.EVENTS_READ})
_TRADES = _READS | {_P.ORDERS_WRITE, _P.AGENTS_WRITE, _P.FUNDS_WRITE, _P.FUNDS_STOP, _P.RISK_HALT}
_ADMINISTERS = _TRADES | {
    _P.MEMBERS_READ,
    _P.MEMBERS_WRITE,
    _P.PLAN_WRITE,
    _P.ACCOUNT_EXPORT,
    _P.ACCOUNT_DELETE,
    _P.RISK_RESUME,
    _P.AUDIT_READ,
    _P.JOBS_READ,
    _P.CACHE_READ,
    _P.CACHE_FLUSH,
    _P.TENANTS_READ,
}

#: Who may do what. Nothing outside this table grants anything; what a tenant's state leaves of it: lifecycle.py.
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _READS,
    Role.TRADER: _TRADES,
    Role.TENANT_ADMIN: _ADMINISTERS,
    Role.PLATFORM_ADMIN: frozenset(Permission),
}

#: What the platform may do in a tenant without an open support session: look, do its own work there, and stop trading.
#: Whatever is not named here changes the tenant.
WITHOUT_SUPPORT = frozenset(
    {
        _P.TENANTS_READ,
        _P.TENANTS_WRITE,
        _P.MEMBERS_READ,
        _P.FUNDS_READ,
        _P.AGENTS_READ,
        _P.ORDERS_READ,
        _P.RISK_READ,
        _P.RISK_HALT,
        _P.MARKET_READ,
        _P.MARKET_WRITE,
        _P.AUDIT_READ,
        _P.CACHE_READ,
        _P.CACHE_FLUSH,
        _P.EVENTS_READ,
        _P.JOBS_READ,
        _P.PLATFORM_READ,
        _P.PLATFORM_WRITE,
    }
)
