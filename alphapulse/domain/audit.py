"""What the audit log records: requests, and changes of what the platform holds."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from alphapulse.domain.wire import parse_time, write_time
from alphapulse.errors import InvalidInput

_HASH = re.compile(r"[0-9a-f]{64}")
#: More than a sequence number can have.
_DIGITS: Final = 19


class AuditKind(StrEnum):
    """refused: requests that nobody admitted made, counted together. checkpoint: where verifying starts from now on."""

    REQUEST = "request"
    CHANGE = "change"
    REFUSED = "refused"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One thing that somebody did. tenant_id: PLATFORM for what belongs to no tenant.

    actor: e-mail address or ``key:PREFIX``. action: ``noun.verb`` or the route's name. path: method and path, without
    query. status: HTTP status, 0 for a change. outcome: ``ok`` or the error's code. duration_ms: time until the answer
    was ready. subject: id or name of what was changed. changes: by field ``{"before": ..., "after": ...}``, one of the
    two alone for what came or went. support: id of the support session it was done in. count: how many it stands for.
    """

    tenant_id: UUID
    actor: str
    action: str
    path: str
    status: int
    outcome: str
    request_id: str
    at: datetime
    address: str = ""
    duration_ms: int = 0
    kind: AuditKind = AuditKind.REQUEST
    subject: str = ""
    changes: dict[str, Any] = field(default_factory=dict[str, Any])
    reason: str = ""
    support: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class ChainedEvent:
    """An event with its place in the tenant's chain. hash covers previous_hash and every field as it is stored."""

    sequence: int
    event: AuditEvent
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class PublishedHead:
    """Where a chain stood when it was written to the file of heads."""

    tenant_id: UUID
    sequence: int
    hash: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """broken_at: sequence of the first row whose hash or link is wrong; None when the chain is whole.

    length: sequence of the last row. start: the row after which verifying began; above 0 after months were dropped.
    compared: how many published heads agreed.
    """

    tenant_id: UUID
    length: int
    head: bytes
    broken_at: int | None
    problem: str = ""
    start: int = 0
    compared: int = 0


def write_head(head: PublishedHead) -> str:
    """As one line of JSON, without its end."""
    return json.dumps(
        {"at": write_time(head.at), "chain": str(head.tenant_id), "sequence": head.sequence, "hash": head.hash.hex()}
    )


def parse_heads(text: str, name: str) -> list[PublishedHead]:
    """The heads in a file's text. name: of the file, for the error. Raises InvalidInput for what is no line of heads.

    A last line without an end is left out: its writer was stopped in the middle.
    """
    heads: list[PublishedHead] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break
        try:
            item = json.loads(line)
            heads.append(
                PublishedHead(
                    UUID(item["chain"]), int(item["sequence"]), bytes.fromhex(item["hash"]), parse_time(item["at"])
                )
            )
        except (ValueError, TypeError, KeyError, AttributeError, InvalidInput):
            raise InvalidInput(
                f"{name}: line {number} is not a published head", fix="Use a heads-YYYY-MM.jsonl as it was written."
            ) from None
    return heads


def parse_head(text: str, field: str) -> tuple[int, bytes]:
    """``SEQUENCE:HASH``, the hash in hexadecimal. Raises InvalidInput."""
    number, _, digest = text.partition(":")
    if not (number.isascii() and number.isdigit() and len(number) < _DIGITS and _HASH.fullmatch(digest)):
        raise InvalidInput(f"{field}: {text[:40]!r} is not a head", field=field, fix="Write it as SEQUENCE:HASH.")
    return int(number), bytes.fromhex(digest)
