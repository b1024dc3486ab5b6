"""Addresses of daemons, as people type them."""

from __future__ import annotations

import re

from alphapulse.client.connection import is_loopback
from alphapulse.errors import InvalidInput


def checked(url: str, allow_http: bool) -> str:
    """The address without a slash at its end. Raises InvalidInput unless it is https, or http on this machine."""
    trimmed = url.rstrip("/")
    if not re.fullmatch(r"https?://[^\s/?#@]+", trimmed):
        raise InvalidInput(
            f"url: {url[:80]!r} is not the address of a daemon",
            field="url",
            fix="Write https://HOST or http://HOST:PORT.",
        )
    if trimmed.startswith("http:") and not is_loopback(trimmed) and not allow_http:
        raise InvalidInput(
            f"url: {trimmed} would send keys in clear text to another machine",
            field="url",
            fix="Use https, or say --allow-http inside a tunnel.",
        )
    return trimmed
