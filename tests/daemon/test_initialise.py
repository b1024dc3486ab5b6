"""``init``: from an empty machine to a daemon that starts."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyotp.totp import TOTP

from alphapulse.daemon.assembly import backup
from alphapulse.settings import load
from tests.daemon.processes import Daemon, daemon

PASSWORD = "correct horse battery"
EMAIL = "root@ops.example"


@pytest.fixture
def machine() -> Iterator[Daemon]:
    with daemon() as made:
        yield made


def production(machine: Daemon) -> list[str]:
    return [
        "--profile=production",
        "--port=0",
        "--public-url=https://funds.example.com",
        "--trusted-proxy=127.0.0.1",
        "--smtp-host=mail.example.com",
        "--smtp-sender=ops@example.com",
        f"--backup-directory={machine.folder / 'kept'}",
    ]


def init(machine: Daemon, *options: str, password: str | None = PASSWORD) -> tuple[int, Any, str]:
    """Exit code, JSON answer and stderr."""
    command = [sys.executable, "-m", "alphapulse.daemon", "init", "--json", f"--data-directory={machine.data}"]
    if password is not None:
        options = (*options, f"--admin-email={EMAIL}", "--password-stdin")
    done = subprocess.run(
        [*command, *options],
        env=machine.environment,
        input=f"{password}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def settings_file(machine: Daemon) -> Path:
    return machine.config / "alphapulse" / "alphapulse.toml"


def error(said: str) -> dict[str, Any]:
    return json.loads(said)["error"]


def test_production_is_set_up_by_one_command_and_its_admin_logs_in(machine: Daemon) -> None:
    code, answer, said = init(machine, *production(machine))
    assert code == 0, said
    assert answer["ok"]
    assert {"schema", "row-level security", "backup"} <= {one["check"] for one in answer["findings"]}
    assert stat.S_IMODE(settings_file(machine).stat().st_mode) == 0o600
    assert stat.S_IMODE((machine.data / "master.key").stat().st_mode) == 0o600
    assert PASSWORD not in settings_file(machine).read_text() + json.dumps(answer)
    assert load(settings_file(machine)).profile == "production"
    url = machine.start()
    assert not (machine.data / "admin.key").exists()  # no key goes round the second factor
    secret = answer["admin"]["secret"]
    with httpx.Client(base_url=url, timeout=30) as client:
        body = {"email": EMAIL, "password": PASSWORD}
        assert client.post("/auth/login", json=body).json()["code"] == "code_needed"
        policy = client.get("/policy").json()["version"]
        body |= {"code": TOTP(secret).now(), "policy_version": policy}
        logged_in = client.post("/auth/login", json=body)
        assert logged_in.status_code == 200, logged_in.text
        headers = {"Authorization": f"Bearer {logged_in.json()['token']}"}
        assert client.get("/tenants", headers=headers).status_code == 200


def test_an_init_that_is_repeated_goes_on_and_changes_nothing(machine: Daemon) -> None:
    assert init(machine, *production(machine))[0] == 0
    before = settings_file(machine).read_bytes(), (machine.data / "master.key").read_bytes()
    code, answer, said = init(machine, "--profile=production", password=None)
    assert code == 0, said
    assert answer["admin"] is None
    code, _, said = init(machine, *production(machine))
    assert (code, error(said)["code"]) == (7, "conflict")
    assert (settings_file(machine).read_bytes(), (machine.data / "master.key").read_bytes()) == before


def test_without_a_terminal_every_missing_answer_is_named_and_nothing_is_written(machine: Daemon) -> None:
    code, _, said = init(machine, "--profile=production")
    assert (code, error(said)["code"]) == (8, "input_needed")
    for option in ("--public-url", "--smtp-host", "--smtp-sender", "--backup-directory"):
        assert option in error(said)["fix"]
    code, _, said = init(machine, *production(machine), password=None)
    assert (code, error(said)["fix"]) == (8, "Give --admin-email.")
    assert not machine.data.exists()
    assert not settings_file(machine).exists()


def test_answers_that_do_not_fit_are_refused_before_anything_is_written(machine: Daemon) -> None:
    beside = [*production(machine)[:-1], f"--backup-directory={machine.data / 'backups'}"]
    code, _, said = init(machine, *beside)
    assert code == 1
    assert "backup.directory must lie outside data_directory" in error(said)["message"]
    assert not settings_file(machine).exists()
    assert not machine.data.exists()


def test_a_password_that_is_too_short_can_be_given_again(machine: Daemon) -> None:
    code, _, said = init(machine, *production(machine), password="short")
    assert (code, error(said)["code"]) == (2, "invalid_input")
    code, answer, said = init(machine, "--profile=production")
    assert code == 0, said
    assert answer["admin"]["email"] == EMAIL


def test_an_answer_may_come_from_the_environment(machine: Daemon) -> None:
    machine.environment["ALPHAPULSE_SMTP__HOST"] = "mail.example.com"
    machine.environment["ALPHAPULSE_SMTP__USERNAME"] = "ops"
    machine.environment["ALPHAPULSE_SMTP__PASSWORD"] = "canary"
    given = [option for option in production(machine) if not option.startswith("--smtp-host")]
    code, _, said = init(machine, *given)
    assert code == 0, said
    assert "canary" not in settings_file(machine).read_text()
    assert "host" not in tomllib.loads(settings_file(machine).read_text())["smtp"]


def test_a_laptop_needs_no_answers(machine: Daemon) -> None:
    code, answer, said = init(machine, "--profile=development", "--port=0", password=None)
    assert code == 0, said
    assert answer["admin"] is None
    written = tomllib.loads(settings_file(machine).read_text())
    assert written == {"profile": "development", "data_directory": str(machine.data), "port": 0}


def test_on_a_terminal_what_is_missing_is_asked_for_and_the_password_is_not_shown(machine: Daemon) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "alphapulse.daemon", "init", f"--data-directory={machine.data}"]
    process = subprocess.Popen(
        [*command, *production(machine)[:-1]],
        env=machine.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    answers = {"Folder for backups": str(machine.folder / "kept"), "E-mail address": EMAIL, "Password": PASSWORD}
    answers["Once more"] = PASSWORD
    seen = ""
    while True:
        try:
            seen += os.read(ours, 65_536).decode()
        except OSError:  # the other end is closed
            break
        for question, answer in tuple(answers.items()):
            if question in seen:
                os.write(ours, f"{answer}\n".encode())
                del answers[question]
    os.close(ours)
    assert process.wait(60) == 0, seen
    assert answers == {}
    assert PASSWORD not in seen
    assert "otpauth://totp/" in seen
    assert seen.count("recovery") >= 8


def test_the_first_backup_of_the_new_machine_lies_where_it_was_told_to(machine: Daemon) -> None:
    assert init(machine, *production(machine))[0] == 0
    command = [sys.executable, "-m", "alphapulse.daemon", "db", "backup", "--json"]
    done = subprocess.run(command, env=machine.environment, capture_output=True, text=True, check=True, timeout=100)
    assert Path(json.loads(done.stdout)["file"]).parent == machine.folder / "kept"
    assert backup.seal_of(load(settings_file(machine))) is not None
