"""Domain types to JSON and back, the same on both sides of the API.

Money is a JSON string, times are ISO 8601 in UTC with ``Z``, ids are strings, tuples are arrays. Decoding is
strict: a number where money belongs, an unknown key and a missing key are refused, with the path to it.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from math import inf, isfinite
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from alphapulse.domain.money import parse_decimal, plain
from alphapulse.errors import InvalidInput

T = TypeVar("T")

#: As many words as a message can list and still be read.
_FEW = 12


def encode(value: Any) -> Any:
    """JSON-ready form of a domain value: dicts, lists, strings, numbers, booleans, None. Keys stand as declared."""
    match value:
        case None | bool() | int() | float() if not isinstance(value, Enum):
            return value
        case Enum():
            return value.value
        case str():
            return value
        case Decimal():
            return plain(value)
        case datetime():
            return write_time(value)
        case timedelta():
            return value.total_seconds()
        case UUID():
            return str(value)
        case bytes():
            return value.hex()
        case Mapping():
            mapping = cast("Mapping[Any, Any]", value)
            return {str(encode(key)): encode(item) for key, item in mapping.items()}
        case tuple() | list() | frozenset():
            return [encode(item) for item in cast("tuple[Any, ...]", value)]
        case _ if is_dataclass(value):
            return {name: encode(getattr(value, name)) for name in _names(type(value))}
        case _:
            raise TypeError(f"no wire form for {type(value).__name__}")


def write_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str, field: str = "time") -> datetime:
    """An ISO 8601 time with an offset, as aware UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidInput(
            f"{field}: {text[:40]!r} is not a time with an offset",
            field=field,
            fix="Write it as ISO 8601 in UTC, for example 2026-03-01T12:00:00Z.",
        )
    return at.astimezone(UTC)


def decode(kind: type[T], data: Any, path: str = "") -> T:
    """``data``, as JSON gave it, as ``kind``. path: where in the whole it stands, for the error."""
    return cast("T", _decode(kind, data, path))


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))


@cache
def _plan(kind: type[Any]) -> dict[str, tuple[Any, Field[Any]]]:
    hints = get_type_hints(kind)
    return {item.name: (hints[item.name], item) for item in fields(kind)}


def _wrong(path: str, expected: str, data: Any) -> InvalidInput:
    return InvalidInput(f"{path or 'body'}: expected {expected}, got {type(data).__name__}", field=path)


def _decode(kind: Any, data: Any, path: str) -> Any:
    origin = get_origin(kind)
    if origin in {Union, types.UnionType}:
        return _decode_union(kind, data, path)
    if origin is tuple or kind is tuple:
        if not isinstance(data, list):
            raise _wrong(path, "an array", data)
        item_kind = get_args(kind)[0]
        return tuple(_decode(item_kind, item, f"{path}[{i}]") for i, item in enumerate(cast("list[Any]", data)))
    if origin in {dict, Mapping}:
        if not isinstance(data, dict):
            raise _wrong(path, "an object", data)
        item_kind = get_args(kind)[1]
        given = cast("dict[str, Any]", data)
        return {key: _decode(item_kind, item, f"{path}.{key}".lstrip(".")) for key, item in given.items()}
    if is_dataclass(kind):
        return _decode_dataclass(kind, data, path)
    return _decode_scalar(kind, data, path)


def _decode_union(kind: Any, data: Any, path: str) -> Any:
    options = [option for option in get_args(kind) if option is not type(None)]
    if data is None and len(options) < len(get_args(kind)):
        return None
    return _decode(options[0], data, path)


def _decode_dataclass(kind: Any, data: Any, path: str) -> Any:
    if not isinstance(data, dict):
        raise _wrong(path, "an object", data)
    given = cast("dict[str, Any]", data)
    plan = _plan(kind)
    unknown = sorted(set(given) - set(plan))
    if unknown:
        where = f"{path}.{unknown[0]}".lstrip(".")
        raise InvalidInput(f"{where}: unknown key", field=where, fix=f"Known keys: {', '.join(plan)}.")
    values: dict[str, Any] = {}
    for name, (hint, item) in plan.items():
        where = f"{path}.{name}".lstrip(".")
        if name in given:
            values[name] = _decode(hint, given[name], where)
        elif item.default is MISSING and item.default_factory is MISSING:
            raise InvalidInput(f"{where}: missing", field=where)
    return kind(**values)


def _decode_scalar(kind: Any, data: Any, path: str) -> Any:
    if kind is Any:
        return data
    if kind is float and isinstance(data, int | float) and not isinstance(data, bool):
        return _decode_float(data, path)
    if kind in {bool, int, str} and type(data) is kind:
        return data
    if not isinstance(data, str):
        expected = "a decimal number in a string" if kind is Decimal else getattr(kind, "__name__", str(kind))
        raise _wrong(path, expected, data)
    if kind is Decimal:
        return parse_decimal(data, path)
    if kind is datetime:
        return parse_time(data, path)
    try:
        if kind is UUID:
            return UUID(data)
        if kind is bytes:
            return bytes.fromhex(data)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind(data)
    except ValueError:
        raise InvalidInput(
            f"{path or 'body'}: {data[:60]!r} is not a {kind.__name__}", field=path, fix=_choices(kind)
        ) from None
    raise _wrong(path, getattr(kind, "__name__", str(kind)), data)


def _choices(kind: type[Any]) -> str:
    """What may be written instead, where it is one of a few words."""
    if not issubclass(kind, Enum) or len(kind) > _FEW:
        return ""
    return f"Use one of {', '.join(str(item.value) for item in kind)}."


def _decode_float(data: float, path: str) -> float:
    """Statistics only; JSON has integers that no float holds."""
    try:
        value = float(data)
    except OverflowError:
        value = inf
    if not isfinite(value):
        raise InvalidInput(f"{path or 'body'}: the number is out of range", field=path)
    return value
