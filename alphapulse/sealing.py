"""Encryption of the few values that the database may hold only sealed: link tokens, TOTP secrets, personal fields.

AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce per value. The context is authenticated and not stored, so a
sealed value that is copied to another row does not open there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from alphapulse.errors import Defect, Misconfigured

KEY_LENGTH = 32
_NONCE_LENGTH = 12


class Seal:
    """Seals and opens with one key of KEY_LENGTH bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = AESGCM(key)

    @classmethod
    def from_file(cls, path: Path) -> Seal:
        """The key in ``path`` (hexadecimal), which is made when there is none. Blocks on the disk: call it at start.

        Raises Misconfigured when the file is readable by others, or holds no such key.
        """
        if not path.exists():
            write_new_secret(path, os.urandom(KEY_LENGTH).hex().encode() + b"\n")
        insist_private(path)
        try:
            key = bytes.fromhex(path.read_text(encoding="ascii").strip())
        except ValueError:
            key = b""
        if len(key) != KEY_LENGTH:
            raise Misconfigured(
                f"{path}: not a key of {KEY_LENGTH} bytes in hexadecimal",
                fix="Restore the file from a backup: without it, what it sealed cannot be read again.",
            )
        return cls(key)

    def derived(self, purpose: str, salt: bytes = b"") -> bytes:
        """A further key of KEY_LENGTH bytes for one purpose (HKDF-SHA-256, RFC 5869); no way leads back."""
        return HKDF(hashes.SHA256(), KEY_LENGTH, salt or None, purpose.encode()).derive(self._key)

    def seal(self, plain: bytes, context: str) -> bytes:
        """Nonce and ciphertext. context: what the value belongs to, for example ``totp:USER``."""
        nonce = os.urandom(_NONCE_LENGTH)
        return nonce + self._cipher.encrypt(nonce, plain, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises Misconfigured when another key sealed it, or it was sealed for another context."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:], context.encode())
        except InvalidTag:
            kind = context.partition(":")[0]
            raise Misconfigured(
                f"a sealed value ({kind}) does not open with this daemon's key",
                fix="Restore the key file that belongs to this database.",
            ) from None
        except ValueError as error:
            raise Defect(f"a sealed value is malformed: {error}") from error


def insist_private(path: Path) -> None:
    """Raises Misconfigured when others than the owner may read the secret in ``path``."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Misconfigured(
            f"{path}: the secret may be read by others (mode {mode:04o})", fix=f"Run `chmod 600 {path}`."
        )


def write_new_secret(path: Path, text: bytes) -> None:
    """Whole or not at all, mode 0600; where two daemons start together, the first one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
