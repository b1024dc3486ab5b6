"""Refresh tokens and device tokens: sealed by the daemon, so that it knows its own without keeping any."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from alphapulse.errors import Defect, Misconfigured
from alphapulse.sealing import Seal
from alphapulse.tenancy.tokens import base64url

_REFRESH, _DEVICE = "apr_", "apd_"
_TEXT = re.compile(r"ap[rd]_[A-Za-z0-9_-]{40,600}")
#: A device that has not logged in for so long is one like any other.
DEVICE_KNOWN = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """generation: how many were given before in this session; only the newest is good."""

    session_id: UUID
    tenant_id: UUID | None
    user_id: UUID
    generation: int


def seal_refresh(seal: Seal, token: RefreshToken) -> str:
    tenant = None if token.tenant_id is None else token.tenant_id.hex
    plain = json.dumps([token.session_id.hex, tenant, token.user_id.hex, token.generation])
    return _REFRESH + base64url(seal.seal(plain.encode(), "refresh_token"))


def open_refresh(seal: Seal, text: str) -> RefreshToken | None:
    """None when it is none of ours."""
    plain = _opened(seal, _REFRESH, text, "refresh_token")
    if plain is None:
        return None
    session, tenant, user, generation = json.loads(plain)
    return RefreshToken(UUID(session), None if tenant is None else UUID(tenant), UUID(user), generation)


def seal_device(seal: Seal, user_id: UUID, password_hash: str, at: datetime, device: UUID | None = None) -> str:
    """A token by which a later log-in of this user from the same machine is known, until the password changes.

    device: the one it was known as before.
    """
    plain = json.dumps([(device or uuid4()).hex, int(at.timestamp())])
    return _DEVICE + base64url(seal.seal(plain.encode(), _of_user(user_id, password_hash)))


def open_device(seal: Seal, text: str, user_id: UUID, password_hash: str, now: datetime) -> UUID | None:
    """The device; None when the token is not of this user, from before the password changed, or too old."""
    plain = _opened(seal, _DEVICE, text, _of_user(user_id, password_hash))
    if plain is None:
        return None
    device, at = json.loads(plain)
    return UUID(device) if now - datetime.fromtimestamp(at, UTC) < DEVICE_KNOWN else None


def _opened(seal: Seal, prefix: str, text: str, context: str) -> bytes | None:
    if not text.startswith(prefix) or not _TEXT.fullmatch(text):
        return None
    body = text.removeprefix(prefix)
    try:
        return seal.open(urlsafe_b64decode(body + "=" * (-len(body) % 4)), context)
    except (ValueError, Misconfigured, Defect):  # nobody's fault but that of who sent it
        return None


def _of_user(user_id: UUID, password_hash: str) -> str:
    return f"device:{user_id}:{hashlib.sha256(password_hash.encode()).hexdigest()}"
