"""The text of API keys: ``ap_PREFIX_SECRET``. The prefix finds the row, the secret is stored only as a hash."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

_KEY = re.compile(r"ap_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class KeyText:
    prefix: str
    secret: str

    def __str__(self) -> str:
        return f"ap_{self.prefix}_{self.secret}"

    def hash(self) -> bytes:
        """SHA-256: the secret is 32 random bytes, so there is nothing to guess and no need for a slow hash."""
        return hashlib.sha256(self.secret.encode()).digest()

    def matches(self, stored: bytes) -> bool:
        """In the same time wherever the two differ."""
        return hmac.compare_digest(self.hash(), stored)


def new_key() -> KeyText:
    return KeyText(secrets.token_hex(6), secrets.token_urlsafe(32))


def parse_key(text: str) -> KeyText | None:
    """None when ``text`` is not shaped like a key."""
    found = _KEY.fullmatch(text)
    return None if found is None else KeyText(found[1], found[2])
