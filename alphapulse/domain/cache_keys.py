"""The only place where keys of the cache and of the rate limits are built.

``tenant:{ID}:...`` is one tenant's, ``shared:...`` everybody's. The braces are part of the key: Redis places all
keys with the same text between braces on one node, so what a script touches together stays together.
"""

from __future__ import annotations

import re
from typing import NewType
from urllib.parse import quote
from uuid import UUID

from alphapulse.errors import Defect

#: A whole key; only ``tenant_key`` and ``shared_key`` make one.
CacheKey = NewType("CacheKey", str)
#: What a quota is counted for: all keys of one tenant, or all shared ones.
Namespace = NewType("Namespace", str)

SHARED = Namespace("shared")
#: Kept by names that no ``CacheKey`` can have: the parts of one are quoted, and ``#`` with them.
_BOOKS = "#"
_TENANT = re.compile(r"(tenant:\{[0-9a-f-]{36}\}):")


def tenant_key(tenant_id: UUID, *parts: object) -> CacheKey:
    """A key of one tenant. parts: what tells it from the tenant's others, in any characters."""
    return CacheKey(f"{tenant_namespace(tenant_id)}:{_joined(parts)}")


def shared_key(*parts: object) -> CacheKey:
    """A key of nobody in particular: the same value for every tenant."""
    return CacheKey(f"{SHARED}:{_joined(parts)}")


def tenant_namespace(tenant_id: UUID) -> Namespace:
    return Namespace(f"tenant:{{{tenant_id}}}")


def namespace_of(key: CacheKey) -> Namespace:
    found = _TENANT.match(key)
    return SHARED if found is None else Namespace(found.group(1))


def tenant_of(namespace: Namespace) -> UUID | None:
    """Whose the namespace is; None for the shared one."""
    return None if namespace == SHARED else UUID(namespace.removeprefix("tenant:{").removesuffix("}"))


def book_key(namespace: Namespace, name: str) -> str:
    """Where an adapter keeps its own books about a namespace, beside the entries in it."""
    return f"{namespace}:{_BOOKS}{name}"


def _joined(parts: tuple[object, ...]) -> str:
    if not parts:
        raise Defect("a cache key needs at least one part")
    return ":".join(quote(str(part), safe="") for part in parts)
