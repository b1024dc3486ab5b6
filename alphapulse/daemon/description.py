"""The API's description in OpenAPI: what FastAPI derives, completed with security, problems and examples."""

from __future__ import annotations

from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from alphapulse.daemon.access import guard_of
from alphapulse.daemon.examples import examples
from alphapulse.daemon.samples import sample

_ABOUT = """\
Control plane of AlphaPulse. Money and quantities are JSON strings, times are ISO 8601 in UTC, ids are UUIDs.

Log in at `/auth/login`, or make a key at `/keys`, and send it as `Authorization: Bearer ...`. A platform admin names
the tenant to act in with the header `X-Tenant`. Errors are `application/problem+json` with a stable `code`; every
answer has `X-Request-Id`. `RateLimit-Limit`, `-Remaining` and `-Reset` (seconds) tell what is left of the budget that
is nearest to its end; a 429 says in `Retry-After` when the same request can pass. Events stream over the WebSocket
`/ws`."""

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "retryable", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; scripts may match on it."},
        "detail": {"type": "string", "description": "What happened, to which thing."},
        "fix": {"type": "string", "description": "What the caller can do now."},
        "field": {"type": "string", "description": "Dotted path of the value at fault."},
        "denials": {"type": "array", "items": {"type": "string"}, "description": "Every failed risk check, coded."},
        "retryable": {"type": "boolean"},
        "request_id": {"type": "string"},
    },
}


def describe(app: FastAPI) -> None:
    """Make ``/openapi.json`` answer with the completed description; it is built when first asked for."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = description(app)
        return app.openapi_schema

    app.openapi = build


def description(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(
        title=app.title, version=app.version, description=_ABOUT, routes=app.routes, separate_input_output_schemas=False
    )
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = {**_PROBLEM, "example": examples()["Problem"]}
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A token from /auth/login, or an API key."}
    }
    for route in app.routes:
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                _complete(found["paths"][route.path_format][method.lower()], route)
    _as_text(found)
    for name, example in examples().items():
        schemas[name]["example"] = example
    for schema in schemas.values():
        if schema.get("type") == "object" and "example" not in schema:
            schema["example"] = sample(schema, schemas)
    return found


def _complete(operation: dict[str, Any], route: APIRoute) -> None:
    guard = guard_of(route.dependant)
    answers = operation["responses"]
    answers.pop("422", None)
    answers["default"] = {
        "description": "A problem",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "Idempotency-Key":  # optional for the framework, so that its lack is told in our words
            parameter |= {"required": True, "schema": {"type": "string", "maxLength": 200}, "example": "rebalance-7"}
    if guard is not None:
        operation["security"] = [{"bearer": []}]
        operation["x-permission"] = None if guard.permission is None else guard.permission.value


def _as_text(node: Any) -> None:
    """Money is a string on this wire; the framework would also offer a number."""
    if isinstance(node, dict):
        found = cast("dict[str, Any]", node)
        options = found.get("anyOf")
        kinds = [option.get("type") for option in options] if isinstance(options, list) else []
        if "number" in kinds and "string" in kinds:
            del found["anyOf"]
            found |= {"type": ["string", "null"] if "null" in kinds else "string", "format": "decimal"}
        for value in found.values():
            _as_text(value)
    elif isinstance(node, list):
        for value in cast("list[Any]", node):
            _as_text(value)
