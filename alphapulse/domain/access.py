"""How people and scripts get in: sessions, second factors, and the keys that sign tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Session:
    """One log-in. tenant_id, slug: None for the platform's own. expires_at: of its newest token.

    seen_at: its last use, to within some minutes. address: of the log-in or the last refresh. program: what said it
    was logging in (User-Agent). current: whether it is the one that asks.
    """

    id: UUID
    tenant_id: UUID | None
    user_id: UUID
    email: str
    slug: str | None
    created_at: datetime
    expires_at: datetime
    seen_at: datetime
    address: str
    program: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An authenticator that is not confirmed yet. secret: base32. uri: the same as ``otpauth://``, for a QR code."""

    secret: str
    uri: str


@dataclass(frozen=True, slots=True)
class RecoveryCodes:
    """Each logs in once in place of a code of the authenticator. Shown once, stored hashed."""

    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """required: whether this user's log-in is confined until there is one. recovery_codes: how many are left."""

    confirmed_at: datetime | None
    recovery_codes: int
    required: bool


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that tokens are signed with, without its private part. id: the ``kid`` in tokens and in the JWKS.

    It signs from active_from until another does; what it signed is accepted until retires_at (None: no end yet).
    """

    id: str
    created_at: datetime
    active_from: datetime
    retires_at: datetime | None
