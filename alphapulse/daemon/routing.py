"""How routes are declared: admission first, then a strict reading of query and body, then the function."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic.fields import FieldInfo
from starlette.types import ASGIApp, Receive, Scope, Send

from alphapulse.daemon.access import guard_of
from alphapulse.errors import InvalidInput

Endpoint = Callable[..., Awaitable[Response]]


class StrictRoute(APIRoute):
    """Refuses strangers before it reads a byte, and query or JSON keys that are unknown or doubled."""

    def __init__(self, path: str, endpoint: Endpoint, **declared: Any) -> None:
        super().__init__(path, endpoint, **declared)
        if self._takes_text_only():
            self.app = self._direct(endpoint)

    def _takes_text_only(self) -> bool:
        """Whether the function wants its call and optional text of the query, and so nothing is to be converted."""
        needs = self.dependant
        others = (needs.path_params, needs.header_params, needs.cookie_params, needs.body_params)
        if guard_of(needs) is None or len(needs.dependencies) > 1 or needs.request_param_name or any(others):
            return False
        return all(_is_optional_text(parameter.field_info) for parameter in needs.query_params)

    def _direct(self, endpoint: Endpoint) -> ASGIApp:
        """The function without the framework's machinery around it, which costs more than most of them do."""
        guard = guard_of(self.dependant)
        assert guard is not None
        known = frozenset(parameter.alias for parameter in self.dependant.query_params)

        async def direct(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            call = await guard(request)
            given: dict[str, str] = {}
            if scope["query_string"]:
                _check_query(request, known)
                given = dict(request.query_params)
            response = await endpoint(call, **given)
            await response(scope, receive, send)

        return direct

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        guard = guard_of(self.dependant)
        has_body = self.body_field is not None
        known = frozenset(parameter.alias for parameter in self.dependant.query_params)

        async def strict(request: Request) -> Response:
            if guard is not None:
                await guard(request)
            if request.scope["query_string"]:
                _check_query(request, known)
            if has_body:
                request = _ParsedRequest(request.scope, request.receive)
                await request.parse()
            return await handle(request)

        return strict


class _ParsedRequest(Request):
    _parsed: Any = None

    async def parse(self) -> None:
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise InvalidInput(
                f"the body is {kind or 'of no stated type'}, not JSON", fix="Send Content-Type: application/json."
            )
        self._parsed = parse_json(await self.body())

    async def json(self) -> Any:
        return self._parsed


def _is_optional_text(field: FieldInfo) -> bool:
    kind: Any = field.annotation
    return kind == str | None and not field.metadata and field.default is None


def parse_json(body: bytes) -> Any:
    """The value of a JSON text. Raises InvalidInput for what JSON forbids, for NaN, NUL and keys that occur twice."""
    try:
        # The strict reader: refuses invalid UTF-8, lone surrogates, NaN, Infinity and numbers beyond a double.
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            fix="Send one JSON object in UTF-8.",
        ) from None
    if b"\\u0000" in body:
        raise InvalidInput("the body contains a NUL character", fix="Remove \\u0000.")
    try:
        json.loads(body, object_pairs_hook=_single)
    except RecursionError:
        raise InvalidInput("the body is nested too deeply") from None
    except ValueError as error:
        raise InvalidInput(f"the body is not JSON: {error}") from None
    return value


def _single(pairs: list[tuple[str, Any]]) -> None:
    """The strict reader would keep the last of two equal keys; a signer or a proxy may have seen the first."""
    doubled = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
    if doubled:
        raise InvalidInput(f"{doubled[0][:60]}: the key occurs twice", field=doubled[0][:60], fix="Send it once.")


def _check_query(request: Request, known: frozenset[str]) -> None:
    given = request.query_params
    for name in given:
        if name not in known:
            takes = f"This path takes {', '.join(sorted(known))}." if known else "This path takes none."
            raise InvalidInput(f"{name[:60]}: unknown query parameter", field=name[:60], fix=takes)
        if len(given.getlist(name)) > 1:
            raise InvalidInput(f"{name}: given twice", field=name, fix="Give it once.")


def add(
    router: APIRouter, method: str, path: str, endpoint: Endpoint, gives: Any, *, status: int = 200, **extra: Any
) -> None:
    """Declare one route. gives: the type of the answer, for the API's description. Name: ``module.function``."""
    name = f"{endpoint.__module__.rpartition('.')[2]}.{endpoint.__name__}"
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        name=name,
        operation_id=name,
        summary=(endpoint.__doc__ or name).partition(". ")[0].strip().removesuffix("."),
        tags=[name.partition(".")[0]],
        response_model=gives,
        status_code=status,
        **extra,
    )
