"""Personal fields of requests, sealed on their way into the log: the actor, the address, e-mail addresses in paths."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from alphapulse.audit.key_store import Person, person_keys
from alphapulse.audit.personal import WITHHELD, PersonKey, addresses, disarm, seal_addresses
from alphapulse.domain.audit import AuditEvent
from alphapulse.ports.database import Database

#: How long a key is used without asking whether it still exists, seconds. What is sealed with one that was destroyed
#: meanwhile can be read by nobody, as if it had been written before.
_REMEMBERED_S: Final = 60.0
_MOST_REMEMBERED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Unsealed:
    """An event before it is sealed. person: the user who is its actor and whose address it has."""

    event: AuditEvent
    person: UUID | None = None


class Sealer:
    """Remembers keys and sealed texts: one person's address looks the same in a thousand requests."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[Person, PersonKey] = {}
        self._texts: dict[tuple[Person, str], str] = {}
        self._forget_at = 0.0

    async def sealed(self, entries: Sequence[Unsealed]) -> list[AuditEvent]:
        """The events as they may be stored. Raises Unavailable when a key is needed and the database is away."""
        self._expire()
        await self._learn(person for entry in entries for person in (*_person(entry), *_named(entry)))
        return [self._sealed(entry) for entry in entries]

    def _sealed(self, entry: Unsealed) -> AuditEvent:
        event = entry.event
        actor, address, path = event.actor, event.address, event.path
        for person in _person(entry):
            actor = self._text(person, actor) if "@" in actor else actor
            address = self._text(person, address)
        named = _named(entry)
        if named or "{sealed:" in path:
            keys = {email: self._keys[chain, email] for chain, email in named if (chain, email) in self._keys}
            path = seal_addresses(path, keys)
            if entry.person is None:
                actor = seal_addresses(actor, keys)
        return replace(event, actor=actor, address=address, path=path)

    def _text(self, person: Person, text: str) -> str:
        known = self._texts.get((person, text))
        if known is None:
            key = self._keys.get(person)
            known = WITHHELD if key is None else key.seal(disarm(text))
            self._texts[person, text] = known
        return known

    async def _learn(self, wanted: Iterable[Person]) -> None:
        """In a transaction of its own: a new key is committed before a chain is locked."""
        missing = sorted({person for person in wanted if person not in self._keys})
        if not missing:
            return
        async with self._database.shared() as tx:
            found = {} if tx.seal is None else await person_keys(tx, tx.seal, missing)
        self._keys |= found

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._forget_at or len(self._texts) > _MOST_REMEMBERED:
            self._keys.clear()
            self._texts.clear()
            self._forget_at = now + _REMEMBERED_S


def _person(entry: Unsealed) -> tuple[Person, ...]:
    return () if entry.person is None else ((entry.event.tenant_id, str(entry.person)),)


def _named(entry: Unsealed) -> list[Person]:
    """Whose addresses stand in the path, or are the actor without a known user."""
    event = entry.event
    texts = [event.path] if "@" in event.path or "%40" in event.path else []
    if entry.person is None and "@" in event.actor:
        texts.append(event.actor)
    return [(event.tenant_id, email) for email in sorted(addresses(texts))] if texts else []
