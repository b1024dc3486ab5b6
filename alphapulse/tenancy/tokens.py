"""Bearer tokens signed with Ed25519, and the key that signs them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from alphapulse.domain.tenancy import Role
from alphapulse.errors import Misconfigured, Unauthenticated
from alphapulse.sealing import insist_private, write_new_secret

ISSUER = "alphapulse"
#: The only algorithm that is signed or accepted, whatever a token's header says.
ALGORITHM = "EdDSA"
#: How far another replica's clock may run ahead of ours.
_AHEAD = timedelta(seconds=60)
_LOG_IN = "Log in with `alphapulse login`, or set ALPHAPULSE_API_KEY."


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. session_id: revoking the session ends every token of it."""

    user_id: UUID
    session_id: UUID
    tenant_id: UUID | None
    role: Role
    issued_at: datetime
    expires_at: datetime


def unauthenticated(problem: str) -> Unauthenticated:
    return Unauthenticated(problem, fix=_LOG_IN)


class Signer:
    """Signs and verifies tokens with one Ed25519 key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key()

    @classmethod
    def from_file(cls, path: Path) -> Signer:
        """The key in ``path``, which is made when there is none. Blocks on the disk: call it at start.

        Raises Misconfigured when the file is readable by others, or holds no Ed25519 key.
        """
        if not path.exists():
            write_new_secret(path, _new_key())
        insist_private(path)
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise Misconfigured(f"{path}: not a private key in PEM: {error}", fix=_RENEW.format(path=path)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Misconfigured(f"{path}: not an Ed25519 key", fix=_RENEW.format(path=path))
        return cls(key)

    def sign(self, claims: Claims) -> str:
        """Times are cut to whole seconds."""
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
            self._key,
            algorithm=ALGORITHM,
        )

    def verify(self, token: str, now: datetime) -> Claims:
        """Raises Unauthenticated unless we signed it, and it is in force at ``now``."""
        try:
            # Times are compared with the injected clock below, so the library's own look at the wall clock is off.
            payload = jwt.decode(
                token,
                self._public,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={
                    "require": ["iss", "sub", "sid", "role", "iat", "exp", "jti"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            tenant = payload["tenant_id"]
            claims = Claims(
                user_id=UUID(payload["sub"]),
                session_id=UUID(payload["sid"]),
                tenant_id=None if tenant is None else UUID(tenant),
                role=Role(payload["role"]),
                issued_at=datetime.fromtimestamp(payload["iat"], UTC),
                expires_at=datetime.fromtimestamp(payload["exp"], UTC),
            )
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError, AttributeError, OverflowError, OSError):
            raise unauthenticated("the token is not one of this daemon's") from None
        if claims.expires_at <= now:
            raise unauthenticated("the token has expired")
        if claims.issued_at > now + _AHEAD:
            raise unauthenticated("the token is not yet in force: a clock is wrong")
        return claims


_RENEW = "Remove {path}: a new key is made at the next start, and everybody logs in again."


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
