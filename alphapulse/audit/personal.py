"""Personal text in the audit log: sealed for the person it belongs to, so that it can be erased from a hashed chain.

A sealed text stands as ``{sealed:KEY:TEXT}`` in the place of the plain one. KEY is the id of the person's key in that
chain (audit/key_store.py), TEXT nonce and ciphertext in URL-safe base64. The chain's hashes cover what is stored, so
destroying the key leaves them true.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast
from uuid import UUID

from alphapulse.sealing import Seal

#: Shown in place of what was erased, and of what this process has no master key for.
ERASED: Final = "[erased]"
WITHHELD: Final = "[withheld]"

#: Within other text; in a path the sign is escaped.
_EMAIL = re.compile(r"[^\s@\"<>(),;:=/?\[\]{}\\]{1,64}(?:@|%40)[A-Za-z0-9.-]{0,188}[A-Za-z0-9]", re.IGNORECASE)
_WHOLE_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")
_SEALED = re.compile(r"\{sealed:([0-9a-f]{32}):([A-Za-z0-9_=-]+)\}")
#: The look of a sealed text. A client that sends one, such as in a path, must not have it opened for it.
_FORGED = re.compile(r"\{sealed:")


class PersonKey:
    """One person's key in one chain."""

    def __init__(self, key_id: UUID, key: bytes) -> None:
        self._id = key_id
        self._seal = Seal(key)

    def seal(self, text: str) -> str:
        sealed = self._seal.seal(text.encode(), self._id.hex)
        return f"{prefix(self._id)}{urlsafe_b64encode(sealed).decode()}}}"

    def open(self, sealed: str) -> str:
        """sealed: the base64 part. Raises Misconfigured for what another key sealed."""
        return self._seal.open(urlsafe_b64decode(sealed), self._id.hex).decode()


def prefix(key_id: UUID) -> str:
    """How every text begins that this key sealed."""
    return f"{{sealed:{key_id.hex}:"


def disarm(text: str) -> str:
    """``text`` with nothing in it that reads as sealed."""
    return _FORGED.sub("{sealed ", text)


def addresses(value: Any) -> set[str]:
    """The e-mail addresses anywhere in a JSON-ready value, in lower case."""
    found: set[str] = set()

    def note(match: re.Match[str]) -> str:
        found.add(_person(match))
        return match[0]

    _each_text(value, lambda text: _replaced(text, note))
    return found


def seal_addresses(value: Any, keys: Mapping[str, PersonKey]) -> Any:
    """``value`` with every e-mail address sealed by its key in ``keys``, withheld where there is none."""

    def sealed(match: re.Match[str]) -> str:
        key = keys.get(_person(match))
        return WITHHELD if key is None else key.seal(match[0])

    return _each_text(value, lambda text: _replaced(disarm(text), sealed))


def key_ids(texts: Iterable[str]) -> set[UUID]:
    """Of the keys that sealed something in the texts."""
    return {UUID(match[1]) for text in texts if "{sealed:" in text for match in _SEALED.finditer(text)}


def open_text(text: str, keys: Mapping[UUID, PersonKey] | None) -> str:
    """``text`` as it was before it was sealed. keys None: there is no master key here."""
    if "{sealed:" not in text:
        return text

    def plain(match: re.Match[str]) -> str:
        if keys is None:
            return WITHHELD
        key = keys.get(UUID(match[1]))
        return ERASED if key is None else key.open(match[2])

    return _SEALED.sub(plain, text)


def _person(match: re.Match[str]) -> str:
    return match[0].lower().replace("%40", "@")


def _replaced(text: str, change: Callable[[re.Match[str]], str]) -> str:
    if "@" not in text and "%40" not in text:
        return text
    whole = _WHOLE_EMAIL.fullmatch(text)
    return change(whole) if whole else _EMAIL.sub(change, text)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case Mapping():
            mapping = cast("Mapping[str, Any]", value)
            return {change(key): _each_text(item, change) for key, item in mapping.items()}
        case list():
            return [_each_text(item, change) for item in cast("list[Any]", value)]
        case _:
            return value
