"""The commands of backups, with a daemon that runs and on another machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from alphapulse.clock import SystemClock
from alphapulse.domain.privacy import ErasedKind, ErasureEntry
from alphapulse.tenancy.erasure_ledger import append
from tests.daemon.processes import Daemon, daemon

NOW = SystemClock().now()


@pytest.fixture
def machines() -> Iterator[tuple[Daemon, Daemon]]:
    with daemon() as one, daemon() as other:
        yield one, other


def ask(machine: Daemon, *arguments: str) -> tuple[int, Any, str]:
    """Exit code, JSON answer and stderr."""
    command = [sys.executable, "-m", "alphapulse.daemon", *arguments, "--json", "--data-directory", str(machine.data)]
    done = subprocess.run(command, env=machine.environment, capture_output=True, text=True, check=False, timeout=100)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_a_backup_of_a_running_daemon_is_restored_on_another_machine(machines: tuple[Daemon, Daemon]) -> None:
    one, other = machines
    url = one.start()
    with one.client(url) as platform:
        body = {"slug": "acme", "name": "Acme", "tier": "pro", "admin_email": "ann@acme.example"}
        tenant = platform.post("/tenants", json=body).raise_for_status().json()
    code, made, said = ask(one, "db", "backup")
    assert code == 0, said
    assert ask(one, "db", "verify", "--drill")[1]["problems"] == []
    code, _, said = ask(one, "db", "restore", "--replace")
    assert (code, json.loads(said)["error"]["code"]) == (7, "conflict")  # its daemon runs
    code, _, said = ask(other, "db", "restore", made["file"])
    assert (code, json.loads(said)["error"]["code"]) == (1, "misconfigured")  # no key
    code, restored, said = ask(other, "db", "restore", made["file"], "--key", str(one.data / "master.key"))
    assert code == 0, said
    assert restored["restored"]
    assert restored["kept_as"] == ""
    assert (other.data / "master.key").read_text() == (one.data / "master.key").read_text()
    with other.client(other.start()) as platform:
        found = platform.get("/tenants").raise_for_status().json()["items"]
    assert [item["id"] for item in found] == [tenant["id"]]


def test_a_database_that_was_put_back_by_other_means_is_proved_in_place(machines: tuple[Daemon, Daemon]) -> None:
    one, _ = machines
    url = one.start()
    with one.client(url) as platform:
        body = {"slug": "acme", "name": "Acme", "tier": "pro", "admin_email": "ann@acme.example"}
        tenant = UUID(platform.post("/tenants", json=body).raise_for_status().json()["id"])
        ledger = one.folder / "ledger.jsonl"
        append(ledger, [ErasureEntry(tenant, ErasedKind.TENANT, NOW), ErasureEntry(uuid4(), ErasedKind.USER, NOW)])
        code, proof, said = ask(one, "db", "restored", "--erasures", str(ledger))
        assert code == 0, said
        assert (proof["erased"], proof["tenants"], proof["problems"]) == (1, 0, [])
        assert platform.get("/tenants").json()["items"] == []
