"""The values that completion offers: fixed ones, those of the context file, and names that the daemon knows.

A daemon is asked once, for a moment; whatever goes wrong then means that nothing is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from alphapulse.errors import AlphaPulseError

#: Seconds that a person who pressed Tab waits for the daemon.
_PATIENCE = 0.7
_FORMATS = ("table", "json", "jsonl", "csv")

#: What stands behind an option.
OPTIONS = {
    "--context": "context",
    "--fund": "fund",
    "--output": "format",
    "-o": "format",
    "--role": "role",
    "--scope": "scope",
    "--state": "state",
    "--status": "status",
    "--tenant": "tenant",
    "--tier": "tier",
    "--timeframe": "timeframe",
    "--agent": "agent",
}
#: What stands behind a command, word by word.
ARGUMENTS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("agents", "configure"): ("agent",),
    ("agents", "disable"): ("agent",),
    ("agents", "enable"): ("agent",),
    ("agents", "show"): ("agent",),
    ("completion",): ("shell",),
    ("context", "remove"): ("context",),
    ("context", "use"): ("context",),
    ("funds", "config", "diff"): ("fund",),
    ("funds", "config", "rollback"): ("fund",),
    ("funds", "config", "set"): ("fund",),
    ("funds", "config", "show"): ("fund",),
    ("funds", "show"): ("fund",),
    ("funds", "start"): ("fund",),
    ("funds", "stop"): ("fund",),
    ("jobs", "pause"): ("job",),
    ("jobs", "resume"): ("job",),
    ("jobs", "run"): ("job",),
    ("market", "candles"): ("symbol",),
    ("market", "gaps"): ("symbol",),
    ("members", "remove"): ("member",),
    ("members", "role"): ("member", "role"),
    ("members", "transfer"): ("member",),
    ("members", "withdraw"): ("invited",),
    ("orders", "place"): ("symbol", "side"),
    ("positions", "close"): ("symbol",),
    ("tenants", "cancel"): ("tenant",),
    ("tenants", "change-tier"): ("tenant", "tier"),
    ("tenants", "delete"): ("tenant",),
    ("tenants", "override"): ("tenant",),
    ("tenants", "plan"): ("tenant",),
    ("tenants", "restore"): ("tenant",),
    ("tenants", "resume"): ("tenant",),
    ("tenants", "retry"): ("tenant",),
    ("tenants", "show"): ("tenant",),
    ("tenants", "status"): ("tenant",),
    ("tenants", "suspend"): ("tenant",),
}
_ASKED: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "agent": ("/agents", lambda item: [item["name"]]),
    "fund": ("/funds", lambda item: [item["name"]]),
    "job": ("/jobs/schedule", lambda item: [item["name"]]),
    "invited": ("/members/invitations", lambda item: [item["email"]]),
    "member": ("/members", lambda item: [item["email"]]),
    "symbol": ("/funds", lambda item: item["config"]["universe"]),
    "tenant": ("/tenants", lambda item: [item["slug"]]),
}


def values(kind: str, environment: Mapping[str, str], context: str = "", tenant: str = "") -> list[str]:
    """Everything of ``kind`` there is. context, tenant: as named earlier in the same line."""
    if kind in _ASKED:
        return _asked(kind, environment, context, tenant)
    if kind == "context":
        return _contexts(environment)
    return _fixed(kind)


def _fixed(kind: str) -> list[str]:
    match kind:
        case "format":
            return list(_FORMATS)
        case "shell":
            return ["bash", "zsh", "fish"]
        case "side":
            return ["buy", "sell"]
        case "scope":
            return ["fund", "tenant", "platform"]
        case "role":
            from alphapulse.domain.tenancy import Role

            return [role.value for role in Role if role is not Role.PLATFORM_ADMIN]
        case "state":
            from alphapulse.domain.jobs import JobState

            return [state.value for state in JobState]
        case "status":
            from alphapulse.domain.orders import OrderStatus

            return [*(status.value for status in OrderStatus), "live"]
        case "tier":
            from alphapulse.domain.plans import Tier

            return [tier.value for tier in Tier]
        case "timeframe":
            from alphapulse.domain.market import Timeframe

            return [timeframe.value for timeframe in Timeframe]
        case _:
            return []


def _contexts(environment: Mapping[str, str]) -> list[str]:
    from alphapulse.cli.context import contexts_file, load

    try:
        return sorted(load(contexts_file(environment)).named)
    except AlphaPulseError:
        return []


def _asked(kind: str, environment: Mapping[str, str], context: str, tenant: str) -> list[str]:
    from alphapulse.cli.context import choose, contexts_file, load
    from alphapulse.client.connection import Connection

    path, names = _ASKED[kind]
    try:
        chosen = choose(load(contexts_file(environment)), environment, context or None)
        connection = Connection(chosen.target(tenant or None))
        try:
            answer = cast("dict[str, Any]", connection.get(path, timeout=_PATIENCE))
        finally:
            connection.close()
        return sorted({name for item in answer["items"] for name in names(item)})
    except (AlphaPulseError, LookupError, TypeError):  # an answer of another shape is no answer
        return []
