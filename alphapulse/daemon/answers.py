"""Domain values as ready JSON answers, in the form of ``domain/wire``."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Generic, TypeVar

import orjson
from fastapi import Response
from pydantic import BaseModel

from alphapulse.domain.money import plain
from alphapulse.domain.wire import encode

T = TypeVar("T")

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


class Page(BaseModel, Generic[T]):
    """Some of a list. next: pass it back as ``before`` (or ``since``) for the rest; null at the end."""

    items: list[T]
    next: str | None


def to_json(value: Any) -> bytes:
    """The bytes of ``encode(value)``; ten times faster, because orjson walks dataclasses itself."""
    return orjson.dumps(value, default=_other, option=_OPTIONS)


def _other(value: Any) -> Any:
    """What orjson does not know. Money first: an answer is full of it."""
    return plain(value) if type(value) is Decimal else encode(value)


def answer(value: Any, status: int = 200) -> Response:
    return Response(to_json(value), status, media_type="application/json")


def page(items: Sequence[Any], following: str | None = None) -> Response:
    return answer({"items": items, "next": following})


def page_by_sequence(items: Sequence[Any], limit: int) -> Response:
    """A full page goes on from the sequence of its last item."""
    return page(items, str(items[-1].sequence) if len(items) == limit else None)
