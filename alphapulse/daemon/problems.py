"""Errors as answers: application/problem+json (RFC 9457) with our stable ``code``."""

from __future__ import annotations

import math
import re
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alphapulse import errors
from alphapulse.daemon.answers import to_json
from alphapulse.daemon.facts import facts_of
from alphapulse.daemon.limits import Kind, address_of, has_credential
from alphapulse.errors import AlphaPulseError, Defect, InvalidInput, NotFound, Refused, TooManyRequests, TryAgain

#: Status of each error; a class that is not here has that of its nearest ancestor.
HTTP_STATUS: dict[type[AlphaPulseError], int] = {
    errors.AlphaPulseError: 500,
    errors.Refused: 400,
    errors.InvalidInput: 422,
    errors.PayloadTooLarge: 413,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.LimitBreached: 409,
    errors.TierLimitReached: 402,
    errors.TryAgain: 503,
    errors.TooManyRequests: 429,
    errors.UnknownOutcome: 502,
    errors.Misconfigured: 500,
    errors.StorageFull: 507,
    errors.DriftFound: 409,
    errors.Defect: 500,
}
#: What the framework's checks of one value find, in our words; ``{given}`` is the value, the rest the check's bounds.
_SAID: dict[str, tuple[str, str]] = {
    "uuid_parsing": ("{given} is not an id", "Give the whole id of 36 characters, as lists show it."),
    "uuid_type": ("{given} is not an id", "Give the whole id of 36 characters, as lists show it."),
    "int_parsing": ("{given} is not a whole number", "Write it in digits, for example 20."),
    "int_parsing_size": ("{given} is out of range", "Write a smaller number."),
    "int_type": ("{given} is not a whole number", "Write it in digits and without quotes, for example 20."),
    "int_from_float": ("{given} is not a whole number", "Write it without a fraction."),
    "float_type": ("{given} is not a number", "Write it without quotes, for example 0.5."),
    "bool_type": ("{given} is neither true nor false", "Write true or false, without quotes."),
    "string_type": ("{given} is not text", "Write it as text in quotes."),
    "string_too_long": ("longer than {max_length} characters", "Shorten it."),
    "string_too_short": ("shorter than {min_length} characters", "Write at least {min_length} characters."),
    "greater_than_equal": ("{given} is below {ge}", "Use {ge} or more."),
    "greater_than": ("{given} is not above {gt}", "Use more than {gt}."),
    "less_than_equal": ("{given} is above {le}", "Use {le} or less."),
    "less_than": ("{given} is not below {lt}", "Use less than {lt}."),
    "dict_type": ("not an object", "Write it as a JSON object."),
    "model_attributes_type": ("not an object", "Write it as a JSON object."),
    "model_type": ("not an object", "Write it as a JSON object."),
    "list_type": ("not a list", "Write it as a JSON array."),
    "tuple_type": ("not a list", "Write it as a JSON array."),
}
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def status_of(error: AlphaPulseError) -> int:
    return next(HTTP_STATUS[rung] for rung in type(error).__mro__ if rung in HTTP_STATUS)


def problem(error: AlphaPulseError, request_id: str, status: int) -> dict[str, Any]:
    """The body of the answer; fields that do not apply are left out."""
    body: dict[str, Any] = {
        "type": f"urn:alphapulse:problem:{error.code}",
        "title": _WORDS.sub(" ", type(error).__name__).lower(),
        "status": status,
        "code": error.code,
        "detail": error.message,
        "retryable": error.retryable,
        "request_id": request_id,
    }
    if error.fix:
        body["fix"] = error.fix
    if isinstance(error, InvalidInput) and error.field:
        body["field"] = error.field
    if isinstance(error, errors.LimitBreached):
        body["denials"] = list(error.denials)
    return body


def problem_answer(error: AlphaPulseError, request_id: str, status: int | None = None) -> Response:
    status = status_of(error) if status is None else status
    headers: dict[str, str] = {}
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after.total_seconds())))
    elif isinstance(error, TryAgain):
        headers["Retry-After"] = "1"
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.PayloadTooLarge):
        headers["Connection"] = "close"  # what is left of the body is not read
    body = to_json(problem(error, request_id, status))
    return Response(body, status, headers, media_type="application/problem+json")


def from_framework(error: HTTPException | RequestValidationError) -> tuple[AlphaPulseError, int | None]:
    """What FastAPI itself refuses, as one of ours; and the status, where ours has another."""
    if isinstance(error, RequestValidationError):
        return _invalid(error), None
    match error.status_code:
        case 404:
            return NotFound("no such path", fix="See /openapi.json for what there is."), None
        case 405:
            allowed = (error.headers or {}).get("Allow", "")
            return Refused("this path does not take this method", fix=f"It takes {allowed}." if allowed else ""), 405
        case status if status < 500:
            return Refused(str(error.detail)), status
        case _:
            return Defect("the daemon failed"), None


def _invalid(error: RequestValidationError) -> InvalidInput:
    first = error.errors()[0]
    where, *path = [str(part) for part in first["loc"]]
    field = ".".join(path)
    if first["type"] == "extra_forbidden":
        return InvalidInput(f"{field}: unknown key", field=field, fix="Remove it, or see /openapi.json for the keys.")
    if first["type"] == "missing":
        kind = "" if where == "body" else f" ({where})"
        return InvalidInput(f"{field or 'body'}: missing{kind}", field=field, fix="Add it.")
    context = first.get("ctx", {})
    refusal = context.get("error")
    if isinstance(refusal, ValueError):
        return InvalidInput(f"{field or where}: {refusal}", field=field, fix=getattr(refusal, "fix", ""))
    problem, fix = _SAID.get(str(first["type"]), (str(first["msg"]), "See /openapi.json for what is taken."))
    given = first.get("input")
    shown = repr(given[:40]) if isinstance(given, str) else str(given)[:40]
    values = {"given": shown, **{name: value for name, value in context.items() if name != "given"}}
    return InvalidInput(f"{field or where}: {problem.format(**values)}", field=field, fix=fix.format(**values))


async def framework_problem(request: Request, error: Exception) -> Response:
    """FastAPI's handler for the two kinds of errors that it raises itself."""
    assert isinstance(error, HTTPException | RequestValidationError)
    allowed: dict[str, str] = {}
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = {"Allow": ", ".join(_taken(request))}  # RFC 9110, 15.5.6
        error = HTTPException(405, headers=allowed)
    found, status = from_framework(error)
    facts = facts_of(request.scope)
    if facts.caller is None and has_credential(request.scope):
        # Nobody looked at the credential on the way to a path that is none: it buys no free questions.
        try:
            await request.app.state.services.limits.admit_stranger(address_of(request.scope), Kind.STRANGER)
        except TooManyRequests as refused:
            found, status = refused, None
    facts.outcome = found.code
    response = problem_answer(found, facts.request_id, status)
    response.headers.update(allowed)
    return response


def _taken(request: Request) -> list[str]:
    """The methods that the path takes, by the most literal template that fits; the framework names one route's."""
    matching = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    template = min((getattr(route, "path", "") for route in matching), key=lambda path: path.count("{"), default="")
    same = [route for route in matching if getattr(route, "path", "") == template]
    return sorted({method for route in same for method in getattr(route, "methods", None) or ()})


class Problems:
    """The outermost loop of a request: whatever was raised becomes an answer. What is not ours is logged in full."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = structlog.get_logger("alphapulse.daemon")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except AlphaPulseError as raised:
            error = raised
        except ClientDisconnect:
            # Nobody is there to read it; it is counted and written down like any other refusal.
            error = Refused("the connection ended before the request had come whole")
            self._log.debug("the client went away amid its request")
        except Exception as raised:
            error = self._defect(raised)
            if started:  # half an answer is out: end the connection, so that it is not taken for a whole one
                raise
        else:
            return
        facts = facts_of(scope)
        if status_of(error) >= 500:
            self._log.warning("request failed", code=error.code, detail=error.message)
        facts.outcome = error.code
        if not started:
            await problem_answer(error, facts.request_id)(scope, receive, send)

    def _defect(self, raised: Exception) -> Defect:
        self._log.exception("request raised what it should not", error=type(raised).__name__)
        return Defect("a bug of ours stopped this request", fix="Report it with the request id.")
