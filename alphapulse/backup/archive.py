"""One backup in one file, encrypted as it is written and checked as it is read.

A line that names the format, a line of JSON (the header, readable without the key), then frames: four bytes of length
and so many bytes of AES-256-GCM ciphertext. The key is derived (HKDF-SHA-256) from the master key, a random salt and
the header itself, so every archive has its own key and a changed header opens nothing. A frame's nonce is its number
and whether it is the last one (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015): frames that
were changed, reordered, cut off or added do not open. Memory stays at a few frames, however large the parts are.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from alphapulse.errors import DriftFound, InvalidInput, Misconfigured
from alphapulse.sealing import Seal

_FORMAT = b"AlphaPulse backup 1\n"
_PURPOSE = "backup archive 1"
_FRAME = 1_048_576
_TAG = 16
_LONGEST_HEADER = 65_536
#: What a frame holds: the beginning of a part, a piece of it, its end with size and checksum, or the manifest.
_BEGIN, _PIECE, _END, _MANIFEST = b"B", b"P", b"E", b"M"


def key_name(seal: Seal) -> str:
    """Tells one master key from another without giving anything of it away."""
    return seal.derived("backup key name").hex()[:16]


class ArchiveWriter:
    """Writes to an open file from its beginning. header: what may be read without the key; nothing secret."""

    def __init__(self, file: IO[bytes], seal: Seal, header: Mapping[str, Any]) -> None:
        self._file = file
        self._number = 0
        self._sums = _Sums()
        line = json.dumps({**header, "key": key_name(seal), "salt": os.urandom(32).hex()}).encode() + b"\n"
        self._cipher = _cipher(seal, line)
        file.write(_FORMAT + line)

    def add(self, name: str, chunks: Iterable[bytes]) -> None:
        """One part, as large as it comes."""
        self._write(_BEGIN + json.dumps({"name": name}).encode())
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            for start in range(0, len(chunk), _FRAME):
                piece = chunk[start : start + _FRAME]
                digest.update(piece)
                size += len(piece)
                self._write(_PIECE + piece)
        self._write(_END + json.dumps({"bytes": size, "sha256": digest.hexdigest()}).encode())
        self._sums.add(name, size, digest.hexdigest())

    def finish(self) -> dict[str, Any]:
        """The last frame: how many parts and bytes there are, and one checksum over all."""
        whole = self._sums.shown()
        self._write(_MANIFEST + json.dumps(whole).encode(), last=True)
        return whole

    def _write(self, plain: bytes, *, last: bool = False) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number, last=last), plain, None)
        self._file.write(len(sealed).to_bytes(4, "big") + sealed)
        self._number += 1


class ArchiveReader:
    """Reads an open file once. header: as it stands in the file; it is proved by the first frame that opens."""

    def __init__(self, file: IO[bytes], seal: Seal) -> None:
        """Raises InvalidInput when it is no backup, Misconfigured when another key made it."""
        self.name = str(getattr(file, "name", "the archive"))
        line = _header_line(file, self.name)
        self.header = _json(line, self.name)
        if self.header.get("key") != key_name(seal):
            raise Misconfigured(
                f"{self.name} was made with another master key than this one",
                fix="Name the key file of the daemon that made it, with --key.",
            )
        self._file = file
        self._cipher = _cipher(seal, line)
        self._number = 0
        self._sums = _Sums()

    @property
    def sums(self) -> dict[str, Any]:
        """Parts, bytes and the checksum of all that was read."""
        return self._sums.shown()

    def parts(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Each part's name and its pieces, which are passed over when they are not read.

        Raises DriftFound as soon as something is not as it was written; what came before was.
        """
        while True:
            kind, content = self._read()
            if kind == _MANIFEST:
                if _json(content, self.name) != self._sums.shown():
                    raise self._damaged("its parts are not those that were written")
                return
            if kind != _BEGIN:
                raise self._damaged("its parts are out of order")
            name = str(_json(content, self.name)["name"])
            pieces = self._pieces(name)
            yield name, pieces
            for _ in pieces:
                pass

    def _pieces(self, name: str) -> Iterator[bytes]:
        digest, size = hashlib.sha256(), 0
        while True:
            kind, content = self._read()
            if kind == _END:
                if _json(content, self.name) != {"bytes": size, "sha256": digest.hexdigest()}:
                    raise self._damaged(f"the part {name} is not what was written")
                self._sums.add(name, size, digest.hexdigest())
                return
            if kind != _PIECE:
                raise self._damaged("its parts are out of order")
            digest.update(content)
            size += len(content)
            yield content

    def _read(self) -> tuple[bytes, bytes]:
        length = int.from_bytes(self._exactly(4), "big")
        if not _TAG < length <= _FRAME + _TAG + 1:
            raise self._damaged(f"its frame {self._number} has no possible length")
        sealed = self._exactly(length)
        last = not self._file.read(1)
        if not last:
            self._file.seek(-1, os.SEEK_CUR)
        try:
            plain = self._cipher.decrypt(_nonce(self._number, last=last), sealed, None)
        except InvalidTag:
            raise self._damaged(f"its frame {self._number} does not open") from None
        self._number += 1
        return plain[:1], plain[1:]

    def _exactly(self, count: int) -> bytes:
        found = self._file.read(count)
        if len(found) != count:
            raise self._damaged("it ends too early")
        return found

    def _damaged(self, why: str) -> DriftFound:
        return DriftFound(f"{self.name} is damaged: {why}", fix="Use another backup, or another copy of this one.")


class _Sums:
    """The parts so far, summed up in a few bytes however many they are."""

    def __init__(self) -> None:
        self._parts = 0
        self._bytes = 0
        self._digest = hashlib.sha256()

    def add(self, name: str, size: int, checksum: str) -> None:
        self._parts += 1
        self._bytes += size
        self._digest.update(json.dumps([name, size, checksum]).encode())

    def shown(self) -> dict[str, Any]:
        return {"parts": self._parts, "bytes": self._bytes, "sha256": self._digest.hexdigest()}


def read_header(file: IO[bytes]) -> dict[str, Any]:
    """What a backup says of itself without the key, and so without proof. Raises InvalidInput when it is none."""
    name = str(getattr(file, "name", "the archive"))
    return _json(_header_line(file, name), name)


def _header_line(file: IO[bytes], name: str) -> bytes:
    if file.read(len(_FORMAT)) != _FORMAT:
        raise InvalidInput(f"{name} is not a backup of AlphaPulse", fix="Name a file that `alphapulse db backup` made.")
    return file.readline(_LONGEST_HEADER)


def _json(text: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DriftFound(f"{name} is damaged: a line of it is not JSON", fix="Use another backup.")
    return cast("dict[str, Any]", found)


def _cipher(seal: Seal, header: bytes) -> AESGCM:
    return AESGCM(seal.derived(_PURPOSE, hashlib.sha256(header).digest()))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
