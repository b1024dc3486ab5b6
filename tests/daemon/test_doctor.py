"""What an operator asks while no daemon runs: doctor, db, config."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.daemon.doctor import examine
from alphapulse.settings import Settings, load
from tests.daemon.processes import Daemon, daemon


@pytest.fixture
def settings(urls: DatabaseUrls, tmp_path: Path) -> Settings:
    return load(data_directory=tmp_path / "data", database_url=urls.app, database_platform_url=urls.platform, port=0)


@pytest.fixture
def served(urls: DatabaseUrls) -> Iterator[Daemon]:
    with daemon(urls) as made:
        yield made


def wrong(settings: Settings) -> dict[str, tuple[str, str]]:
    """Detail and fix of every finding that is not ok, by check."""
    return {one.check: (one.detail, one.fix) for one in examine(settings) if not one.ok}


def ask(served: Daemon, *arguments: str) -> tuple[int, Any, str]:
    """Exit code, JSON answer and stderr of a verb."""
    command = [sys.executable, "-m", "alphapulse.daemon", *arguments, "--json", "--data-directory", str(served.data)]
    done = subprocess.run(command, env=served.environment, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_a_sound_machine_has_no_findings(settings: Settings) -> None:
    assert wrong(settings) == {}
    checks = {one.check for one in examine(settings)}
    assert {
        "python",
        "settings",
        "data directory",
        "disk space",
        "daemon",
        "port",
        "database",
        "schema",
        "clock",
    } <= checks


def test_a_data_directory_open_to_others_is_found_with_its_fix(settings: Settings) -> None:
    settings.data_directory.mkdir(mode=0o755)
    settings.data_directory.chmod(0o755)
    assert wrong(settings)["data directory"][1] == f"Run: chmod 700 {settings.data_directory}"


def test_a_key_that_others_can_read_is_found(settings: Settings) -> None:
    settings.data_directory.mkdir(mode=0o700)
    key = settings.data_directory / "admin.key"
    key.write_text("ap_x")
    key.chmod(0o644)
    assert wrong(settings)["secrets"][1] == f"Run: chmod 600 {key}"


def test_a_taken_port_is_found(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = wrong(settings.model_copy(update={"port": taken.getsockname()[1]}))
    assert "in use" in found["port"][0]


def test_a_database_that_does_not_answer_is_found(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers
        port = closed.getsockname()[1]
        found = wrong(load(data_directory=tmp_path, port=0, database_url=f"postgresql://ap_app@127.0.0.1:{port}/x"))
    assert "does not answer" in found["database"][0]


def test_a_table_whose_row_level_security_was_lifted_is_found(settings: Settings, urls: DatabaseUrls) -> None:
    with psycopg.connect(urls.admin or "", autocommit=True) as connection:
        connection.execute("ALTER TABLE app.orders NO FORCE ROW LEVEL SECURITY")
    assert "orders" in wrong(settings)["row-level security"][0]


def test_doctor_sees_the_daemon_that_runs(served: Daemon) -> None:
    url = served.start()
    code, answer, _ = ask(served, "doctor")
    details = {one["check"]: one["detail"] for one in answer["findings"]}
    assert (code, answer["ok"]) == (0, True)
    assert str(served.process.pid) in details["daemon"]
    assert url in details["port"]
    assert url in details["login"]
    served.environment["ALPHAPULSE_API_KEY"] = "ap_wrong"
    code, answer, _ = ask(served, "doctor")
    (found,) = [one for one in answer["findings"] if not one["ok"]]
    assert (code, found["check"]) == (1, "login")
    assert "ALPHAPULSE_API_KEY" in found["fix"]


def test_the_schema_is_upgraded_shown_and_checked_without_a_daemon() -> None:
    with daemon() as made:
        code, answer, _ = ask(made, "db", "status")
        assert (code, answer["version"], answer["up_to_date"]) == (1, None, False)
        assert ask(made, "db", "upgrade")[1]["upgraded"] is True
        assert ask(made, "db", "upgrade")[1]["upgraded"] is False
        code, answer, _ = ask(made, "db", "status")
        assert (code, answer["up_to_date"]) == (0, True)
        assert ask(made, "db", "check")[:2] == (0, {"row_level_security": "holds"})


def test_a_settings_file_is_validated_and_its_mistake_named(served: Daemon) -> None:
    file = served.folder / "mine.toml"
    file.write_text("port = 9000\n")
    assert ask(served, "config", "validate", str(file))[:2] == (0, {"valid": True})
    file.write_text("prot = 9000\n")
    code, answer, said = ask(served, "config", "validate", str(file))
    assert (code, answer) == (1, None)
    error = json.loads(said)["error"]
    assert error["code"] == "misconfigured"
    assert "prot" in error["message"]
    assert "did you mean port?" in error["fix"]
    assert str(file) in error["fix"]
    file.write_text('port = "x"\n[paper]\nfee_rat = "0.1"\n')
    error = json.loads(ask(served, "config", "validate", str(file))[2])["error"]
    assert "setting port: " in error["message"]
    assert "did you mean paper.fee_rate?" in error["fix"]
    assert error["fix"].count(str(file)) == 2


def test_settings_are_shown_with_secrets_masked(served: Daemon) -> None:
    served.environment["ALPHAPULSE_DATABASE_URL"] = "postgresql://ap_app:hunter2@db/x"
    code, answer, said = ask(served, "config", "show")
    assert code == 0
    assert answer["port"] == 8470
    assert "hunter2" not in json.dumps(answer) + said
