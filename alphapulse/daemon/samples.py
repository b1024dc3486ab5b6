"""Examples for schemas that nobody wrote one for, put together from their properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

_UUID = "0b2f6c1e-8d4a-4c55-9a53-3d0b6a6f2c11"
_TIME = "2026-03-01T12:00:00Z"
_BY_FORMAT = {"uuid": _UUID, "date-time": _TIME, "decimal": "0.125", "binary": ""}
#: What stands under these names is text of a certain form.
_BY_NAME = {
    "symbol": "BTC/USDT",
    "venue": "binance",
    "base_currency": "USDT",
    "fee_asset": "USDT",
    "actor": "tom@acme.example",
    "agent": "trend",
    "name": "momentum",
    "fund": "momentum",
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "previous_hash": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    "head": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}


def sample(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> Any:
    """A value of the schema. name: of the property that it is. schemas: what references point to."""
    if "$ref" in schema:
        return sample(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    for key in ("example", "default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    options = schema.get("anyOf")
    if options:
        return sample(options[0], schemas, name)
    return _of_type(schema, schemas, name)


def _of_type(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str) -> Any:
    match schema.get("type"):
        case "object":
            properties = cast("Mapping[str, Any]", schema.get("properties", {}))
            return {key: sample(value, schemas, key) for key, value in properties.items()}
        case "array":
            return [sample(schema["items"], schemas, name)] if "items" in schema else []
        case "boolean":
            return True
        case "integer":
            return 1
        case "number":
            return 0.5
        case "string" | ["string", "null"]:
            return _BY_FORMAT.get(schema.get("format", ""), _BY_NAME.get(name, name or "text"))
        case _:
            return None
