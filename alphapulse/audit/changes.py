"""Changes of what the platform holds, in the audit log: what it was before, what it is now, and who did it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import orjson

from alphapulse.audit import store
from alphapulse.audit.key_store import person_keys
from alphapulse.audit.origin import ORIGIN
from alphapulse.audit.personal import addresses, seal_addresses
from alphapulse.domain.audit import AuditEvent, AuditKind
from alphapulse.domain.wire import encode
from alphapulse.errors import Defect
from alphapulse.ports.database import Transaction

#: A field with such a name is never recorded, only that it changed.
_SECRET = re.compile(
    r"pass(word|phrase)|secret|token|hash|totp|recovery|private|credential|(^|[_.])key$", re.IGNORECASE
)
_HIDDEN: Final = "[not recorded]"
#: Longest JSON of one value that is kept whole; of a longer one its length and SHA-256 are.
_LONGEST: Final = 2_000


async def record_change(
    tx: Transaction,
    *,
    actor: str,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    at: datetime,
    reason: str = "",
    tenant_id: UUID | None = None,
) -> None:
    """One event at the end of a chain, in the transaction that makes the change; call it last, it locks the chain.

    actor: e-mail address, ``key:PREFIX``, or the name of a job. action: ``noun.verb``. subject: id or name of what
    changed. before, after: its fields (values of the domain); None when it was not there, or is there no more. Only
    what differs is kept, nested fields as ``outer.inner``; fields named like secrets never are. E-mail addresses
    anywhere are sealed for their person. tenant_id: whose chain, PLATFORM for the platform's; None for the bound
    tenant's. Raises Defect when there is none.
    """
    chain = tx.tenant_id if tenant_id is None else tenant_id
    if chain is None:
        raise Defect(f"{action}: whose audit chain? This transaction is bound to no tenant")
    origin = ORIGIN.get()
    caller = None if origin is None else origin.caller
    ours = [actor, subject, reason, differences(before, after)]
    people = {address: (chain, address) for address in sorted(addresses(ours))}
    keys = {} if tx.seal is None else await person_keys(tx, tx.seal, list(people.values()))
    sealed = seal_addresses(ours, {address: keys[person] for address, person in people.items() if person in keys})
    await store.append(
        tx,
        [
            AuditEvent(
                tenant_id=chain,
                actor=sealed[0],
                action=action,
                path="",
                status=0,
                outcome="ok",
                request_id="" if origin is None else origin.request_id,
                at=at,
                kind=AuditKind.CHANGE,
                subject=sealed[1],
                reason=sealed[2],
                changes=sealed[3],
                support="" if caller is None or caller.support is None else str(caller.support),
            )
        ],
    )


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, Any]:
    """By field ``{"before": ..., "after": ...}``, JSON-ready; only one of the two for a field that came or went."""
    old, new = _flat(before or {}), _flat(after or {})
    found: dict[str, Any] = {}
    for name in dict.fromkeys([*old, *new]):
        if name in old and name in new and old[name] == new[name]:
            continue
        sides = {side: values[name] for side, values in (("before", old), ("after", new)) if name in values}
        hidden = _SECRET.search(name) is not None
        found[name] = {side: _HIDDEN if hidden else _bounded(_shown(value)) for side, value in sides.items()}
    return found


def _flat(fields: Mapping[str, Any], outer: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        encoded = encode(value)
        if isinstance(encoded, dict) and encoded:
            flat |= _flat(cast("dict[str, Any]", encoded), f"{outer}{name}.")
        else:
            flat[f"{outer}{name}"] = encoded
    return flat


def _shown(value: Any) -> Any:
    """Without the secrets in objects within a list."""
    if isinstance(value, list):
        return [_shown(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: _HIDDEN if _SECRET.search(name) else _shown(item) for name, item in fields.items()}
    return value


def _bounded(value: Any) -> Any:
    text = orjson.dumps(value)
    if len(text) <= _LONGEST:
        return value
    return {"length": len(text), "sha256": hashlib.sha256(text).hexdigest()}
