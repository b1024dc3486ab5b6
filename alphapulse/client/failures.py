"""An answer that is not a success, back into the error the daemon raised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from alphapulse import errors
from alphapulse.errors import AlphaPulseError

#: For answers without our ``code``: from a proxy, or from a daemon newer than this client.
_BY_STATUS: dict[int, type[AlphaPulseError]] = {
    400: errors.InvalidInput,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.PayloadTooLarge,
    422: errors.InvalidInput,
    429: errors.TooManyRequests,
    500: errors.Defect,
    507: errors.StorageFull,
}


def failure(status: int, body: Any, headers: Mapping[str, str]) -> AlphaPulseError:
    """The error of the tree that an answer stands for. body: decoded JSON, or None when it was not JSON."""
    problem = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    kind = _by_code(str(problem.get("code", ""))) or _by_status(status)
    message = str(problem.get("detail") or problem.get("title") or f"the daemon answered {status}")
    known: dict[str, Any] = {
        "fix": str(problem.get("fix") or ""),
        "request_id": str(problem.get("request_id") or headers.get("x-request-id", "")),
    }
    if issubclass(kind, errors.InvalidInput):
        known["field"] = str(problem.get("field") or "")
    if issubclass(kind, errors.LimitBreached):
        known["denials"] = tuple(str(line) for line in problem.get("denials") or ())
    if issubclass(kind, errors.TooManyRequests):
        known["retry_after"] = timedelta(seconds=_seconds(headers.get("retry-after", "0")))
    if issubclass(kind, errors.Unauthenticated) and not known["fix"]:
        known["fix"] = "Log in with `alphapulse login`, or set ALPHAPULSE_API_KEY."
    return kind(message, **known)


def _by_code(code: str) -> type[AlphaPulseError] | None:
    rungs = [AlphaPulseError]
    for rung in rungs:
        if rung.code == code:
            return rung
        rungs.extend(rung.__subclasses__())
    return None


def _by_status(status: int) -> type[AlphaPulseError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return errors.Unavailable if status >= 500 else errors.Refused


def _seconds(text: str) -> float:
    """The header's delay; zero where it is not said, and a date or nonsense counts as one second."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return 1.0
