"""How single values are written: durations, exact fractions, lists, addresses."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode


def _written_as_text(value: object) -> object:
    if isinstance(value, float):
        msg = 'money and rates are written as text, for example "0.001"'
        raise ValueError(msg)  # noqa: TRY004 -- pydantic reports ValueError, and lets TypeError through
    return value


def _duration(value: object) -> object:
    """Environment variables are text: a bare number counts seconds, as it does in the file."""
    if isinstance(value, str) and value.strip().isdigit():
        return int(value)
    return value


def _listed(value: object) -> object:
    """``a, b`` as environment variables write lists."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Exact = Annotated[Decimal, BeforeValidator(_written_as_text)]
Fraction = Annotated[Exact, Field(ge=0, lt=1)]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]
Seconds = Annotated[Duration, Field(gt=timedelta(0))]
Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``. A name other than localhost counts as public."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_redis_url(url: str) -> bool:
    """With everything in its place, and no plain connection that leaves this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        number = parts.path.strip("/") or "0"
    except ValueError:
        return False
    safe = parts.scheme == "rediss" or (parts.scheme == "redis" and is_loopback(host))
    return bool(host) and safe and number.isdecimal() and not parts.query and not parts.fragment


def is_base_url(url: str) -> bool:
    """Scheme and host only, and no plain HTTP that leaves this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return bool(host) and bare and safe and not re.search(r"[\s\\]", url)
