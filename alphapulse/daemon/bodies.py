"""The building blocks of request bodies and query parameters: strict, and every value parsed by the domain."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, PlainValidator, StringConstraints, WithJsonSchema

from alphapulse.domain.money import parse_decimal
from alphapulse.domain.wire import parse_time
from alphapulse.errors import InvalidInput

E = TypeVar("E", bound=Enum)
T = TypeVar("T")

#: Largest sequence number that the database can hold.
_LARGEST = 2**63 - 1


class Body(BaseModel):
    """Unknown keys and values of another type are refused; nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Unfit(ValueError):
    """A value that the domain refuses, for pydantic, which adds where it stands. fix: what to write instead."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.fix = fix


def _parsed(parse: Callable[[str, str], T], value: str) -> T:
    try:
        return parse(value, "")
    except InvalidInput as error:
        raise Unfit(error.message.removeprefix(": "), error.fix) from None


def _money(value: Any) -> Decimal:
    if not isinstance(value, str):
        raise Unfit(
            f"money and quantities are JSON strings, not {_kind(value)}",
            'Put the number in quotes, for example "0.125".',
        )
    return _parsed(parse_decimal, value)


def _time(value: Any) -> datetime:
    if not isinstance(value, str):
        raise Unfit(f"a time is a string, not {_kind(value)}", "Write it as 2026-03-01T12:00:00Z.")
    try:
        return _parsed(parse_time, value)
    except OverflowError:
        raise Unfit(f"{value[:40]!r} is out of range", "Write a time between the years 1 and 9999.") from None


def _kind(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", list: "an array", dict: "an object"}
    return names.get(type(value), "null")


def _member(kind: type[E]) -> Callable[[Any], E]:
    def parse(value: Any) -> E:
        known = ", ".join(str(item.value) for item in kind)
        try:
            return kind(value)
        except ValueError:
            shown = repr(value[:40]) if isinstance(value, str) else _kind(value)
            raise Unfit(f"{shown} is not one of {known}", f"Use {known}.") from None

    return parse


def one_of(kind: type[E]) -> Any:
    """For ``Annotated[Side, *one_of(Side)]``: the enumeration's value as text, refused by name."""
    return PlainValidator(_member(kind)), WithJsonSchema({"type": "string", "enum": [item.value for item in kind]})


Money = Annotated[
    Decimal,
    PlainValidator(_money),
    WithJsonSchema({"type": "string", "format": "decimal", "examples": ["0.125"]}),
]
Time = Annotated[
    datetime,
    PlainValidator(_time),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-01T12:00:00Z"]}),
]
#: What somebody knows: a password, a token. Never in a log or an answer.
Secret = Annotated[str, StringConstraints(max_length=1024)]
#: A line for people: a reason, a name. The domain says more where it must.
Line = Annotated[str, StringConstraints(max_length=500)]
#: How many items a page has at most.
Limit = Annotated[int, Query(ge=1, le=1000)]
Sequence = Annotated[int, Query(ge=0, le=_LARGEST)]
