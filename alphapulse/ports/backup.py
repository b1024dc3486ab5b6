"""What a backup takes and gives back, as streams: nothing is ever held in memory as a whole. Everything here blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Content:
    """What a database holds at one instant, to be held against what comes back.

    server: PostgreSQL's major version. schema: version of our schema. rows: by ``schema.table``. heads: of the audit
    chains, by tenant: how many events, and the hash of the last one in hexadecimal.
    """

    server: int
    schema: str
    rows: Mapping[str, int]
    heads: Mapping[str, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class DumpSnapshot:
    """chunks: the dump of exactly this content; to be read once, while the snapshot is open."""

    content: Content
    chunks: Iterator[bytes]


class Dump(Protocol):
    """A database to be kept."""

    def snapshot(self) -> AbstractContextManager[DumpSnapshot]:
        """Raises Unavailable when the database does not answer, Misconfigured when the login may not read every row:
        a dump that silently left rows out would be worse than none.
        """
        ...


class Load(Protocol):
    """An empty database that a dump is put into."""

    def load(self, chunks: Iterable[bytes]) -> None:
        """All of it or nothing. Raises DriftFound when the dump is damaged, StorageFull, Unavailable, Misconfigured."""
        ...

    def content(self) -> Content:
        """What it holds now."""
        ...


class BesidesDatabase(Protocol):
    """Something besides the database that belongs into a backup: the secrets, the candles' list."""

    def parts(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Names, and what stands under each; a part is read before the next one is asked for."""
        ...
