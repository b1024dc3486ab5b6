"""What is known of one request while it passes through: read by the audit, the metrics and the problem answers."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import uuid4

from alphapulse.domain.rates import RateVerdict
from alphapulse.domain.tenancy import Caller

_KEY = "alphapulse.facts"


@dataclass(slots=True)
class Facts:
    """started: of time.perf_counter. outcome: the error's code once there is one. caller: once admitted.

    claimed: e-mail address that a public route was asked for; the audit names it when the request succeeded.
    verdict: what the rate limits said; None where nobody counted.
    """

    request_id: str
    at: datetime
    started: float
    caller: Caller | None = None
    outcome: str = ""
    claimed: str = ""
    verdict: RateVerdict | None = None


def begin(scope: MutableMapping[str, Any], at: datetime, started: float) -> Facts:
    facts = Facts(uuid4().hex, at, started)
    scope[_KEY] = facts
    return facts


def facts_of(scope: MutableMapping[str, Any]) -> Facts:
    """Of a request that passed the envelope; every request does."""
    return cast("Facts", scope[_KEY])


def route_of(scope: MutableMapping[str, Any]) -> tuple[str, str]:
    """Name (``noun.verb``) and path template of the route that took the request; both ``unrouted`` when none did."""
    if scope["type"] == "websocket":
        return "stream.open", str(scope["path"])
    route = scope.get("route")
    if route is None:
        return "unrouted", "unrouted"
    return str(route.name), str(route.path)
