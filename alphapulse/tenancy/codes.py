"""Codes of an authenticator (TOTP, RFC 6238: SHA-1, six digits, 30 s) and recovery codes, as text and numbers."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b32encode
from datetime import datetime

from pyotp.totp import TOTP

ISSUER = "AlphaPulse"
#: How many recovery codes there are.
RECOVERY_CODES = 10
_STEP_S = 30
#: Steps before and after the present one whose code is taken: a clock may be wrong by half a minute.
_SLACK = 1
_CODE = re.compile(r"\d{6}")
_SEPARATORS = re.compile(r"[\s-]")


def new_secret() -> str:
    """Base32 of 20 random bytes, as long as the hash (RFC 4226, section 4)."""
    return b32encode(secrets.token_bytes(20)).decode("ascii")


def uri_of(secret: str, email: str) -> str:
    """``otpauth://``, as authenticators read it from a QR code."""
    return TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step whose code this is, of the present one and its neighbours; None when it is of none of them.

    Takes the same time wherever the code differs.
    """
    text = _SEPARATORS.sub("", code)
    if not _CODE.fullmatch(text) or not text.isascii():
        return None
    present = int(now.timestamp()) // _STEP_S
    generator = TOTP(secret)
    found = None
    for step in range(present - _SLACK, present + _SLACK + 1):
        if hmac.compare_digest(generator.generate_otp(step), text):
            found = step
    return found


def new_recovery_codes() -> tuple[str, ...]:
    """Each of 80 random bits, as ``XXXX-XXXX-XXXX-XXXX`` in base32."""
    return tuple(_grouped(b32encode(secrets.token_bytes(10)).decode("ascii")) for _ in range(RECOVERY_CODES))


def hash_recovery(code: str) -> bytes:
    """SHA-256 of the code without its hyphens: it is random, so a slow hash would add nothing."""
    return hashlib.sha256(_SEPARATORS.sub("", code).upper().encode("utf-8", "replace")).digest()


def _grouped(text: str) -> str:
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))
