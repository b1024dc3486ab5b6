"""The audit log from the command line: changes, export, and verifying against published heads."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Fleet
from tests.daemon.waiting import eventually_now

pytestmark = pytest.mark.timeout(240)


def published(fleet: Fleet) -> Path:
    """The folder of heads, once the job has written it."""
    folder = fleet.data / "audit-heads"
    assert fleet.run("platform", "jobs", "run", "audit-heads").code == 0
    eventually_now(lambda: list(folder.glob("heads-*.jsonl")), within_s=60)
    return folder


def test_a_change_shows_what_was_before_and_what_is_now(fleet: Fleet) -> None:
    assert fleet.run("trader", "risk", "halt", "--scope", "fund", "--fund", "demo", "--reason", "trying").code == 0
    assert (
        fleet.run("owner", "risk", "resume", "--scope", "fund", "--fund", "demo", "--reason", "tried", "--yes").code
        == 0
    )
    shown = fleet.run("owner", "audit", "list", "--action", "risk.halt", "--limit", "2").out
    assert "scope fund" in shown
    assert "(trying)" in shown
    (change,) = [
        item["event"]
        for item in fleet.json("owner", "audit", "list", "--action", "risk.resume", "--limit", "2")["items"]
        if item["event"]["kind"] == "change"
    ]
    assert change["changes"]["reason"] == {"before": "trying"}
    assert change["reason"] == "tried"


def test_an_export_is_written_whole_and_agrees_with_the_chain(fleet: Fleet, tmp_path: Path) -> None:
    target = tmp_path / "audit.csv"
    assert fleet.run("owner", "audit", "export", "--format", "csv", "--to", str(target)).code == 0
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["sequence"]) for row in rows] == list(range(1, len(rows) + 1))
    lines = fleet.run("owner", "audit", "export").out.splitlines()
    assert [json.loads(line)["hash"] for line in lines[: len(rows)]] == [row["hash"] for row in rows]
    refused = fleet.run("owner", "audit", "export", "--to", str(tmp_path / "none" / "audit.jsonl"))
    assert refused.code != 0
    assert [path.name for path in tmp_path.iterdir()] == ["audit.csv"]


def test_a_chain_is_compared_with_heads_here_and_with_a_copy(fleet: Fleet, tmp_path: Path) -> None:
    folder = published(fleet)
    assert fleet.json("owner", "audit", "verify", "--against", "heads")["compared"] >= 1
    (file,) = folder.glob("heads-*.jsonl")
    copy = tmp_path / file.name
    copy.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    for against in (copy, tmp_path):
        assert fleet.json("owner", "audit", "verify", "--against", str(against))["compared"] == 1
    assert fleet.json("platform", "audit", "verify", "--against", str(copy))["broken_at"] is None
    heads = [json.loads(line) for line in copy.read_text(encoding="utf-8").splitlines()]
    forged = "".join(json.dumps({**head, "hash": "0" * 64}) + "\n" for head in heads)
    copy.write_text(forged, encoding="utf-8")
    broken = fleet.run("owner", "audit", "verify", "--against", str(copy))
    assert broken.code == 3
    assert "rewritten" in broken.err


@pytest.mark.parametrize(("text", "code"), [("nonsense\n", 2), ("", 5)])
def test_a_file_that_holds_no_head_of_ours_is_refused(fleet: Fleet, tmp_path: Path, text: str, code: int) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_text(text, encoding="utf-8")
    ended = fleet.run("owner", "audit", "verify", "--against", str(copy))
    assert ended.code == code, ended.err
    assert "copy.jsonl" in ended.err


def test_a_tenant_without_support_sessions_has_no_entry_of_support(fleet: Fleet) -> None:
    assert fleet.json("owner", "audit", "list", "--support")["items"] == []
