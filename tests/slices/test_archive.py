"""The file of a backup: what goes in comes out, and nothing that was touched is believed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapulse.backup.archive import ArchiveReader, ArchiveWriter, read_header
from alphapulse.backup.folders import CandleList, Folder, put_file
from alphapulse.errors import DriftFound, InvalidInput, Misconfigured
from alphapulse.sealing import KEY_LENGTH, Seal

SEAL = Seal(bytes(KEY_LENGTH))
MIB = 1_048_576


def archive(parts: dict[str, list[bytes]]) -> bytes:
    file = io.BytesIO()
    writer = ArchiveWriter(file, SEAL, {"created_at": "then"})
    for name, chunks in parts.items():
        writer.add(name, chunks)
    writer.finish()
    return file.getvalue()


def unpacked(content: bytes, seal: Seal = SEAL) -> dict[str, bytes]:
    return {name: b"".join(pieces) for name, pieces in ArchiveReader(io.BytesIO(content), seal).parts()}


def frames(content: bytes) -> tuple[bytes, list[bytes]]:
    """What stands before the first frame, and the frames with their lengths."""
    start = content.index(b"\n", content.index(b"\n") + 1) + 1
    found: list[bytes] = []
    at = start
    while at < len(content):
        end = at + 4 + int.from_bytes(content[at : at + 4], "big")
        found.append(content[at:end])
        at = end
    return content[:start], found


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.lists(st.binary(max_size=100), max_size=4), max_size=4))
def test_what_was_put_in_comes_out(parts: dict[str, list[bytes]]) -> None:
    assert unpacked(archive(parts)) == {name: b"".join(chunks) for name, chunks in parts.items()}


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB])
def test_a_part_may_end_anywhere(size: int) -> None:
    assert unpacked(archive({"one": [bytes(size)], "two": [b"x"]})) == {"one": bytes(size), "two": b"x"}


def test_parts_that_nobody_reads_are_still_proved() -> None:
    reader = ArchiveReader(io.BytesIO(archive({"one": [b"a"], "two": [b"b"]})), SEAL)
    assert [name for name, _ in reader.parts()] == ["one", "two"]
    assert reader.sums["parts"] == 2
    assert reader.sums["bytes"] == 2


def test_the_header_is_read_without_the_key_and_says_nothing_of_it() -> None:
    content = archive({})
    header = read_header(io.BytesIO(content))
    assert header["created_at"] == "then"
    assert bytes(KEY_LENGTH).hex() not in json.dumps(header)


def test_nothing_of_the_content_can_be_seen_from_outside() -> None:
    assert b"canary" not in archive({"database": [b"canary" * 100]})


def test_the_same_content_is_never_written_the_same_way_twice() -> None:
    assert frames(archive({"one": [b"a"]}))[1] != frames(archive({"one": [b"a"]}))[1]


def test_another_key_is_told_before_anything_is_read() -> None:
    with pytest.raises(Misconfigured, match="another master key"):
        unpacked(archive({"one": [b"a"]}), Seal(b"k" * KEY_LENGTH))


def test_a_file_that_is_no_backup_is_told() -> None:
    with pytest.raises(InvalidInput, match="not a backup"):
        read_header(io.BytesIO(b"PGDMP and so on"))


def test_equal_pieces_are_not_sealed_equally() -> None:
    _, found = frames(archive({"one": [b"a" * 50, b"a" * 50]}))
    assert found[1] != found[2]


def test_every_changed_byte_is_noticed() -> None:
    content = archive({"one": [b"a" * 50], "two": [b"b"]})
    for place in range(content.index(b"\n") + 1, len(content)):
        damaged = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        with pytest.raises((DriftFound, Misconfigured)):
            unpacked(damaged)


def test_an_archive_that_was_cut_off_is_noticed_wherever_it_ends() -> None:
    content = archive({"one": [b"a" * 50], "two": [b"b"]})
    for end in range(content.index(b"\n") + 1, len(content)):
        with pytest.raises((DriftFound, Misconfigured)):
            unpacked(content[:end])


def test_frames_that_are_left_out_repeated_or_swapped_are_noticed() -> None:
    head, found = frames(archive({"one": [b"a"], "two": [b"b"]}))
    for changed in (
        found[:3] + found[4:],
        [*found[:3], found[2], *found[3:]],
        [*found[3:6], *found[:3], *found[6:]],
        [*found, found[-1]],
    ):
        with pytest.raises(DriftFound):
            unpacked(head + b"".join(changed))


def test_memory_does_not_grow_with_the_size(tmp_path: Path) -> None:
    program = (
        "import resource, sys\n"
        "from alphapulse.backup.archive import ArchiveReader, ArchiveWriter\n"
        "from alphapulse.sealing import Seal\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with open(sys.argv[1], 'w+b') as file:\n"
        "    writer = ArchiveWriter(file, Seal(bytes(32)), {})\n"
        "    writer.add('small', [bytes(1 << 20)])\n"
        "    before = peak()\n"
        "    writer.add('large', (bytes(1 << 20) for _ in range(200)))\n"
        "    writer.finish()\n"
        "    file.seek(0)\n"
        "    for _ in ArchiveReader(file, Seal(bytes(32))).parts(): pass\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "archive")], capture_output=True, text=True, check=True
    )
    kibibytes = int(done.stdout) // (1024 if sys.platform == "darwin" else 1)
    assert kibibytes < 16 * 1024, f"{kibibytes} KiB more for 200 MiB"


def test_a_folder_comes_back_with_its_files_and_its_empty_folders(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "acme").mkdir(parents=True)
    (source / "acme" / "key").write_bytes(b"k")
    (source / "empty").mkdir()
    (source / "acme" / ".trial-1").write_bytes(b"half")
    for name, chunks in Folder("secrets", source).parts():
        put_file(target, name, chunks)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == [
        "secrets",
        "secrets/acme",
        "secrets/acme/key",
        "secrets/empty",
    ]
    assert (target / "secrets" / "acme" / "key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../out", ""])
def test_no_file_of_a_backup_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DriftFound, match="impossible name"):
        put_file(tmp_path / "in", name, [b"x"])


def test_the_list_of_candles_tells_what_is_missing_and_what_has_changed(tmp_path: Path) -> None:
    root = tmp_path / "candles"
    for name in ("same", "gone", "changed"):
        (root / "v" / "A-B").mkdir(parents=True, exist_ok=True)
        (root / "v" / "A-B" / f"{name}.parquet").write_bytes(name.encode())
    listed = b"".join(chunk for _, chunks in CandleList(root).parts() for chunk in chunks)
    (root / "v" / "A-B" / "gone.parquet").unlink()
    (root / "v" / "A-B" / "changed.parquet").write_bytes(b"other")
    (root / "v" / "A-B" / "new.parquet").write_bytes(b"new")
    assert sorted(CandleList(root).differences(listed)) == [
        "v/A-B/changed.parquet has changed since",
        "v/A-B/gone.parquet is not there",
    ]


def test_an_error_of_the_source_ends_the_archive(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a"
        raise DriftFound("no more")

    writer = ArchiveWriter(io.BytesIO(), SEAL, {})
    with pytest.raises(DriftFound, match="no more"):
        writer.add("one", broken())
