"""One example of each thing on the wire, for the API's description."""

from __future__ import annotations

from typing import Any

_FUND_ID = "0b2f6c1e-8d4a-4c55-9a53-3d0b6a6f2c11"
_ORDER_ID = "5f0c2a7e-41d5-5b7d-8f0e-6f1c6a522c11"
_TENANT_ID = "a1c6a52f-0e8f-4b7d-9a53-2c116f1c3d0b"
_USER_ID = "7d9a533d-0b6a-4f2c-8f0e-1c6a525b7d11"
_TOKEN = "inv_" + "x" * 43
_CLOSE = "2026-03-01T12:00:00Z"
_CONFIG: dict[str, Any] = {
    "venue": "binance",
    "timeframe": "4h",
    "base_currency": "USDT",
    "universe": ["BTC/USDT", "ETH/USDT"],
    "agents": [{"name": "trend", "parameters": {"fast": 12, "slow": 48}, "weight": 1.0, "enabled": True}],
    "limits": {"max_order_notional": "25000", "max_position_fraction": "0.4", "max_gross_exposure": "0.9"},
    "allocator": "inverse_volatility",
}
_REQUEST: dict[str, Any] = {
    "venue": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "type": "limit",
    "quantity": "0.1",
    "limit_price": "60000",
    "leg": "",
}


def examples() -> dict[str, Any]:
    """By the name of the schema."""
    return {**_requests(), **_answers(), **_books()}


def _requests() -> dict[str, Any]:
    return {
        "Credentials": {"email": "ada@acme.example", "password": "correct horse battery"},
        "NewTenant": {
            "slug": "acme",
            "name": "Acme Capital",
            "tier": "starter",
            "admin_email": "ada@acme.example",
        },
        "NewInvitation": {"email": "tom@acme.example", "role": "trader"},
        "NewRole": {"role": "viewer"},
        "Transfer": {"to": "tom@acme.example", "role": "trader"},
        "InvitationToken": {"token": _TOKEN},
        "Acceptance": {"token": _TOKEN, "password": "another long secret", "policy_version": "2026-11-01"},
        "SignUp": {
            "email": "eve@newco.example",
            "slug": "newco",
            "name": "New Co",
            "tier": "starter",
            "policy_version": "2026-11-01",
        },
        "NewPassword": {"token": "rst_" + "x" * 43, "password": "another long secret"},
        "NewKey": {"name": "nightly report", "role": "viewer", "scopes": ["orders.read", "funds.read"]},
        "KeyRotation": {"overlap_s": 3600},
        "Refresh": {"refresh_token": "apr_c2VhbGVkLWJ5LXRoZS1kYWVtb24tYW5kLWdvb2Qtb25jZQ"},
        "PasswordAndCode": {"password": "correct horse battery", "code": "287082"},
        "AgentSettings": {"fund": "momentum", "agent": "trend", "weight": 2.0},
        "NewFund": {"name": "momentum", "mode": "paper", "capital": "100000", "config": _CONFIG},
        "FundConfig": _CONFIG,
        "Rollback": {"version": 1},
        "NewReplay": {"bars": 500},
        "NewOrder": {
            "fund": "momentum",
            "symbol": "BTC/USDT",
            "side": "buy",
            "quantity": "0.1",
            "limit_price": "60000",
        },
        "Closing": {"fund": "momentum", "symbol": "BTC/USDT"},
        "HaltOrder": {"scope": "fund", "fund": "momentum", "reason": "volatility"},
    }


def _answers() -> dict[str, Any]:
    return {
        "Problem": {
            "type": "urn:alphapulse:problem:limit_breached",
            "title": "limit breached",
            "status": 409,
            "code": "limit_breached",
            "detail": "the order was denied",
            "fix": f"See `alphapulse orders explain {_ORDER_ID}`.",
            "denials": ["NOTIONAL_EXCEEDS_FREE_BALANCE: needed=60300 free=41250.5"],
            "retryable": False,
            "request_id": "4f7c2b1d9e604c1ab0d6a1e2c3f40512",
        },
        "Token": {
            "token": "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJhbHBoYXB1bHNlIn0.c2ln",
            "expires_at": "2026-03-01T13:00:00Z",
            "tenant": "acme",
            "role": "trader",
            "refresh_token": "apr_c2VhbGVkLWJ5LXRoZS1kYWVtb24tYW5kLWdvb2Qtb25jZQ",
            "refresh_until": "2026-03-08T12:00:00Z",
            "device": "apd_c2VhbGVkLWJ5LXRoZS1kYWVtb24tZm9yLXRoaXMtbWFjaGluZQ",
        },
        "Whoami": {
            "actor": "tom@acme.example",
            "role": "trader",
            "tenant": "acme",
            "tenant_id": _TENANT_ID,
            "user_id": _USER_ID,
            "expires_at": "2026-03-01T13:00:00Z",
        },
        "Tenant": {
            "id": _TENANT_ID,
            "slug": "acme",
            "name": "Acme Capital",
            "tier": "starter",
            "state": "active",
            "created_at": _CLOSE,
        },
        "Member": {
            "user_id": _USER_ID,
            "tenant_id": _TENANT_ID,
            "email": "tom@acme.example",
            "role": "trader",
            "created_at": _CLOSE,
        },
    }


def _books() -> dict[str, Any]:
    return {
        "Order": {
            "id": _ORDER_ID,
            "fund_id": _FUND_ID,
            "client_order_id": "c0a8012e-5b7d-5f0e-9a53-6f1c6a522c11",
            "request": _REQUEST,
            "status": "open",
            "at": _CLOSE,
            "filled_quantity": "0",
            "average_price": None,
        },
        "PortfolioSummary": {
            "fund_id": _FUND_ID,
            "name": "momentum",
            "base_currency": "USDT",
            "equity": "103211.75",
            "cash": "61800.5",
            "gross_exposure": "41411.25",
            "unrealised": "2811.25",
            "realised": "460.1",
            "fees": "59.6",
            "positions": [],
            "unpriced": [],
            "as_of": _CLOSE,
        },
        "Event": {
            "tenant_id": _TENANT_ID,
            "sequence": 42,
            "kind": "order.changed",
            "subject": _ORDER_ID,
            "at": _CLOSE,
            "recorded_at": "2026-03-01T12:00:10.5Z",
            "payload": {"status": "filled"},
        },
    }
