"""Starting, finding and stopping the daemon by its data directory."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
from pathlib import Path

import pytest

from alphapulse.cli import process
from alphapulse.cli.context import Context, Contexts, contexts_file, edit
from alphapulse.errors import Misconfigured
from tests.cli.conftest import Fleet, RunCli, plain_environment


def pretend(directory: Path, pid: int, *, state_pid: int | None = None) -> None:
    (directory / "daemon.pid").write_text(f"{pid}\n")
    state = {"pid": state_pid or pid, "url": "http://127.0.0.1:1", "started_at": "2026-01-01T00:00:00Z", "version": "1"}
    (directory / "daemon.json").write_text(json.dumps(state))


def test_the_lock_decides_and_not_the_number(tmp_path: Path) -> None:
    pretend(tmp_path, os.getpid())
    assert process.running(tmp_path) is None
    assert process.stop(tmp_path) is None
    with (tmp_path / "daemon.pid").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = process.running(tmp_path)
        assert found is not None
        assert (found.pid, found.url) == (os.getpid(), "http://127.0.0.1:1")


def test_a_state_of_another_process_does_not_count(tmp_path: Path) -> None:
    pretend(tmp_path, os.getpid(), state_pid=1)
    with (tmp_path / "daemon.pid").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert process.running(tmp_path) is None
        assert process.locked_by(tmp_path) == os.getpid()


def test_a_stale_pid_file_stops_nobody(cli: RunCli, tmp_path: Path) -> None:
    pretend(tmp_path, os.getpid())
    ended = cli("daemon", "stop", "--data-directory", str(tmp_path))
    assert (ended.code, "No daemon runs here." in ended.err) == (0, True)
    assert cli("daemon", "status", "--data-directory", str(tmp_path)).code == 9


def test_the_data_directory_is_found_as_the_daemon_finds_it(tmp_path: Path) -> None:
    settings = tmp_path / "alphapulse.toml"
    settings.write_text('data_directory = "/from/file"\n')
    environment = {"ALPHAPULSE_CONFIG": str(settings)}
    assert process.data_directory(environment) == Path("/from/file")
    assert process.data_directory({**environment, "ALPHAPULSE_DATA_DIRECTORY": "/from/env"}) == Path("/from/env")
    assert process.data_directory(environment, "/given") == Path("/given")
    settings.write_text("data_directory = ")
    with pytest.raises(Misconfigured):
        process.data_directory(environment)


def test_a_port_in_use_is_told_as_what_it_is(cli: RunCli, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = cli("daemon", "start", "--port", port, "--data-directory", str(tmp_path / "data"))
    assert ended.code == 7
    assert f"port {port}" in ended.err
    assert "fix: " in ended.err


@pytest.mark.parametrize("below", ["", "/below"])
@pytest.mark.parametrize("verb", ["start", "logs"])
def test_a_file_as_data_directory_is_named_with_the_way_out(cli: RunCli, tmp_path: Path, below: str, verb: str) -> None:
    (tmp_path / "file").write_text("")
    ended = cli("daemon", verb, "--data-directory", f"{tmp_path}/file{below}")
    assert ended.code == 1
    assert f"{tmp_path}/file{below}" in ended.err
    assert "fix: " in ended.err


#: Where not even root may make anything; Linux has them.
CLOSED = [Path("/proc/alphapulse"), Path("/sys/alphapulse")]


@pytest.mark.parametrize("directory", CLOSED, ids=str)
@pytest.mark.parametrize("verb", ["start", "run"])
def test_a_data_directory_that_nobody_can_make_is_named_without_a_trace(
    cli: RunCli, directory: Path, verb: str
) -> None:
    if not directory.parent.is_dir():
        pytest.skip(f"{directory.parent} is not on this system")
    ended = cli("daemon", verb, "--data-directory", str(directory))
    assert (ended.code, ended.out) == (1, "")
    first, fix = ended.err.splitlines()
    assert re.fullmatch(rf"error: .*{directory} cannot be .*: [A-Z].*", first)
    assert fix.startswith("fix: ")


@pytest.mark.parametrize("verb", ["start", "run", "status", "logs", "stop"])
def test_a_data_directory_of_somebody_else_is_named_without_a_trace(cli: RunCli, tmp_path: Path, verb: str) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    for name in ("daemon.pid", "daemon.log"):
        (directory / name).touch(mode=0o400)
    directory.chmod(0o500)
    (directory / "daemon.log").chmod(0)
    if os.access(directory, os.W_OK):
        pytest.skip("whoever runs this may write everywhere")
    ended = cli("daemon", verb, "--data-directory", str(directory))
    assert ended.code == 1
    assert re.match(rf"error: .*{directory} cannot be ", ended.err)
    assert "\nfix: " in ended.err


def test_a_start_that_asks_for_another_address_is_a_conflict_and_any_other_start_is_none(
    cli: RunCli, tmp_path: Path
) -> None:
    pretend(tmp_path, os.getpid())
    state = tmp_path / "daemon.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "host": "127.0.0.1"}))
    with (tmp_path / "daemon.pid").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        again = ("daemon", "start", "--data-directory", str(tmp_path))
        assert [cli(*again, *same).code for same in ([], ["--port", "1"], ["--host", "127.0.0.1"])] == [0, 0, 0]
        other = cli(*again, "--port", "2", "--host", "127.0.0.2")
    assert other.code == 7
    assert "its port is 1, not 2" in other.err
    assert "listens on 127.0.0.1, not on 127.0.0.2" in other.err


@pytest.mark.timeout(240)
def test_a_wrong_key_of_the_environment_is_told_as_such(fleet: Fleet) -> None:
    for command in (["whoami"], ["events", "tail"], ["events", "tail", "--no-follow"]):
        ended = fleet.run("trader", *command, env={"ALPHAPULSE_API_KEY": "ap_wrong"})
        assert ended.code == 4
        assert "in the variable ALPHAPULSE_API_KEY" in ended.err


def test_a_daemon_without_a_log_says_so(cli: RunCli, tmp_path: Path) -> None:
    assert cli("daemon", "logs", "--data-directory", str(tmp_path)).code == 5


@pytest.mark.timeout(240)
def test_settings_are_shown_without_their_secrets_while_the_daemon_runs(fleet: Fleet) -> None:
    where = {"ALPHAPULSE_DATA_DIRECTORY": str(fleet.data), "ALPHAPULSE_DATABASE_URL": "postgresql://u:hunter2@h/d"}
    ended = fleet.run("platform", "config", "show", "--json", env=where)
    assert ended.code == 0, ended.err
    assert "hunter2" not in ended.out
    json.loads(ended.out)


def test_a_wrong_setting_is_named(cli: RunCli) -> None:
    ended = cli("config", "validate", env={"ALPHAPULSE_PORT": "99999999"})
    assert ended.code == 1
    assert "port" in ended.err


def test_a_start_says_how_to_reach_a_daemon_that_is_not_the_current_context(cli: RunCli, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    pretend(data, os.getpid())
    state = data / "daemon.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "context": "local-data"}))
    named = {
        "far": Context("https://far.example", api_key="k"),
        "local-data": Context("http://127.0.0.1:1", api_key="k"),
    }
    edit(contexts_file(plain_environment(tmp_path)), lambda _: Contexts("far", named))
    start = ("daemon", "start", "--data-directory", str(data))
    hint = "Commands go on talking to context far: reach this daemon with --context local-data."
    with (data / "daemon.pid").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert hint in cli(*start).err
        assert "--context" not in cli("--context", "local-data", *start).err


def test_a_start_becomes_the_current_context_when_the_one_before_is_a_dead_daemon_of_this_machine(
    cli: RunCli, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    pretend(data, os.getpid())
    state = data / "daemon.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "context": "local-data"}))
    named = {name: Context("http://127.0.0.1:1", api_key="k") for name in ("demo", "local-data")}
    edit(contexts_file(plain_environment(tmp_path)), lambda _: Contexts("demo", named))
    with (data / "daemon.pid").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        started = cli("daemon", "start", "--data-directory", str(data))
    assert "Commands now talk to context local-data: no daemon answers in demo any more." in started.err
    assert "*  local-data" in cli("context", "list").out
