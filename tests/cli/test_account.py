"""A tenant's own way out, on a real daemon: export, fetch, delete, take it back."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Fleet

pytestmark = pytest.mark.timeout(240)


def test_an_export_is_made_and_fetched_in_one_command_and_holds_the_fund(fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "copy.zip"
    done = fleet.json("owner", "account", "export", "--file", str(file))
    assert (done["state"], done["size"]) == ("ready", file.stat().st_size)
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        funds = [json.loads(line) for line in archive.read("funds.ndjson").splitlines()]
    assert "demo" in [fund["name"] for fund in funds]
    counted = {entry["file"]: entry["rows"] for entry in manifest["tables"]}
    assert counted["fills.ndjson"] > 0
    listed = fleet.json("owner", "account", "exports")
    assert (listed["items"] if isinstance(listed, dict) else listed)[0]["id"] == done["id"]


def test_a_download_that_broke_off_goes_on_and_one_that_was_damaged_is_not_kept(fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "copy.zip"
    done = fleet.json("owner", "account", "export", "--file", str(file))
    whole = file.read_bytes()
    part = tmp_path / f".copy.zip.{done['sha256'][:16]}.part"
    file.unlink()
    part.write_bytes(whole[:1000])
    assert fleet.run("owner", "account", "download", done["id"], "--file", str(file)).code == 0
    assert file.read_bytes() == whole
    part.write_bytes(b"x" * 1000)
    damaged = fleet.run("owner", "account", "download", done["id"], "--file", str(tmp_path / "copy.zip"))
    assert damaged.code == 9
    assert "damaged" in damaged.err
    assert not part.exists()


def test_a_trader_can_neither_export_nor_delete(fleet: Fleet) -> None:
    for command in (["export"], ["exports"], ["delete", "--confirm", "demo"], ["undelete"]):
        assert fleet.run("trader", "account", *command).code == 6, command


def test_a_deletion_wants_the_slug_and_an_answer_for_what_is_held_and_can_be_taken_back(fleet: Fleet) -> None:
    asked = fleet.run("owner", "account", "delete")
    assert asked.code == 8
    assert "--confirm SLUG" in asked.err
    assert fleet.run("owner", "account", "delete", "--confirm", "dome").code in {1, 2}
    refused = fleet.run("owner", "account", "delete", "--confirm", "demo")
    assert refused.code == 7
    assert "--acknowledge-positions" in refused.err
    gone = fleet.json("owner", "account", "delete", "--confirm", "demo", "--acknowledge-positions")
    try:
        assert gone["state"] == "deleted"
        assert fleet.json("owner", "account", "status")["erased_at"] is not None
        assert fleet.run("owner", "funds", "list").code == 6
    finally:
        back = fleet.json("owner", "account", "undelete", "--reason", "a mistake")
    assert back["state"] == "active"
    assert fleet.run("owner", "funds", "list").code == 0


def test_a_certificate_that_this_platform_did_not_sign_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "certificate.txt"
    file.write_text("Statement    {}\nSignature    00\n", encoding="utf-8")
    refused = fleet.run("owner", "account", "certificate", str(file))
    assert refused.code == 1
    assert "not signed by this platform" in refused.err
    file.write_text("Dear all", encoding="utf-8")
    assert fleet.run("owner", "account", "certificate", str(file)).code in {1, 2}
