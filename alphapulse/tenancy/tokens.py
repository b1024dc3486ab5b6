"""Bearer tokens signed with Ed25519: what they say, and how they are signed and verified."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from alphapulse.domain.permissions import Role
from alphapulse.errors import Defect, Unauthenticated

ISSUER = "alphapulse"
#: The only algorithm that is signed or accepted, whatever a token's header says.
ALGORITHM = "EdDSA"
#: How far another replica's clock may run ahead of ours.
AHEAD = timedelta(seconds=60)
_LOG_IN = "Log in with `alphapulse login`, or set ALPHAPULSE_API_KEY."
_REQUIRED = ("iss", "sub", "sid", "role", "iat", "exp", "jti")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. session_id: revoking the session ends every token of it."""

    user_id: UUID
    session_id: UUID
    tenant_id: UUID | None
    role: Role
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignerKey:
    """id: ``kid``. Signs from active_from until a later one does; what it signed is accepted until retires_at."""

    id: str
    private: Ed25519PrivateKey
    active_from: datetime
    retires_at: datetime | None = None


def unauthenticated(problem: str) -> Unauthenticated:
    return Unauthenticated(problem, fix=_LOG_IN)


def is_token(text: str) -> bool:
    """Whether it has the shape of a signed token at all."""
    return text.count(".") == 2


def key_of(token: str) -> str:
    """The ``kid`` that a token names, unproved; empty when it names none."""
    try:
        named: Any = jwt.get_unverified_header(token).get("kid", "")
    except jwt.InvalidTokenError:
        return ""
    return named if isinstance(named, str) else ""


class Signer:
    """Signs and verifies tokens with the keys it was given."""

    def __init__(self, keys: Iterable[SignerKey] = ()) -> None:
        self._keys: dict[str, SignerKey] = {}
        self._public: dict[str, Ed25519PublicKey] = {}
        self.use(keys)

    def use(self, keys: Iterable[SignerKey]) -> None:
        """Know these keys from now on, and no others."""
        self._keys = {key.id: key for key in keys}
        self._public = {key.id: key.private.public_key() for key in self._keys.values()}

    def knows(self, key_id: str) -> bool:
        return key_id in self._keys

    def sign(self, claims: Claims) -> str:
        """Times are cut to whole seconds. Raises Defect when no key is in force at the time of issue."""
        ripe = [
            key
            for key in self._keys.values()
            if key.active_from <= claims.issued_at and (key.retires_at is None or key.retires_at > claims.issued_at)
        ]
        if not ripe:
            raise Defect("no key signs tokens now")
        key = max(ripe, key=lambda one: (one.active_from, one.id))
        return jwt.encode(
            {
                "iss": ISSUER,
                "sub": str(claims.user_id),
                "sid": str(claims.session_id),
                "tenant_id": None if claims.tenant_id is None else str(claims.tenant_id),
                "role": claims.role.value,
                "iat": int(claims.issued_at.timestamp()),
                "exp": int(claims.expires_at.timestamp()),
                "jti": str(uuid4()),
            },
            key.private,
            algorithm=ALGORITHM,
            headers={"kid": key.id},
        )

    def verify(self, token: str, now: datetime) -> Claims:
        """Raises Unauthenticated unless one of our keys signed it, and both are in force at ``now``."""
        key = self._keys.get(key_of(token))
        if key is None or (key.retires_at is not None and key.retires_at <= now):
            raise unauthenticated("the token is not one of this daemon's")
        try:
            # Times are compared with the injected clock below, so the library's own look at the wall clock is off.
            payload = jwt.decode(
                token,
                self._public[key.id],
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={
                    "require": list(_REQUIRED),
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            claims = _claims(payload)
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError, AttributeError, OverflowError, OSError):
            raise unauthenticated("the token is not one of this daemon's") from None
        if claims.expires_at <= now:
            raise unauthenticated("the token has expired")
        if claims.issued_at > now + AHEAD:
            raise unauthenticated("the token is not yet in force: a clock is wrong")
        return claims


def _claims(payload: Mapping[str, Any]) -> Claims:
    tenant = payload["tenant_id"]
    return Claims(
        user_id=UUID(payload["sub"]),
        session_id=UUID(payload["sid"]),
        tenant_id=None if tenant is None else UUID(tenant),
        role=Role(payload["role"]),
        issued_at=datetime.fromtimestamp(payload["iat"], UTC),
        expires_at=datetime.fromtimestamp(payload["exp"], UTC),
    )


def thumbprint(public: bytes) -> str:
    """Of an Ed25519 key of 32 bytes, as RFC 7638 and RFC 8037 compute it: 43 characters of base64url."""
    text = f'{{"crv":"Ed25519","kty":"OKP","x":"{base64url(public)}"}}'
    return base64url(hashlib.sha256(text.encode()).digest())


def jwk(key_id: str, public: bytes) -> dict[str, str]:
    """The public key as RFC 8037 writes it."""
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(public), "kid": key_id, "use": "sig", "alg": ALGORITHM}


def base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
