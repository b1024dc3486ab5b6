"""Sealed values: what opens them, what does not, and the file of the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.errors import Defect, Misconfigured
from alphapulse.sealing import KEY_LENGTH, Seal, write_new_secret

SEAL = Seal(bytes(KEY_LENGTH))


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_was_sealed_opens_in_its_context(plain: bytes, context: str) -> None:
    assert SEAL.open(SEAL.seal(plain, context), context) == plain


def test_the_same_value_is_never_sealed_the_same_way_twice() -> None:
    assert SEAL.seal(b"secret", "totp:1") != SEAL.seal(b"secret", "totp:1")


def test_a_sealed_value_opens_nowhere_else() -> None:
    sealed = SEAL.seal(b"secret", "totp:1")
    with pytest.raises(Misconfigured, match="totp"):
        SEAL.open(sealed, "totp:2")
    with pytest.raises(Misconfigured):
        Seal(bytes([1]) * KEY_LENGTH).open(sealed, "totp:1")
    with pytest.raises(Misconfigured):
        SEAL.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "totp:1")


def test_a_sealed_value_that_was_cut_is_a_defect() -> None:
    with pytest.raises((Defect, Misconfigured)):
        SEAL.open(b"short", "totp:1")


def test_a_key_file_is_made_once_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "master.key"
    sealed = Seal.from_file(path).seal(b"secret", "x")
    assert path.stat().st_mode & 0o777 == 0o600
    write_new_secret(path, b"another")
    assert Seal.from_file(path).open(sealed, "x") == b"secret"


def test_a_key_file_that_others_may_read_or_that_is_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    Seal.from_file(path)
    path.chmod(0o644)
    with pytest.raises(Misconfigured, match="read by others"):
        Seal.from_file(path)
    path.chmod(0o600)
    path.write_text("beef\n")
    with pytest.raises(Misconfigured, match="not a key"):
        Seal.from_file(path)
