"""The daemon as a process: one per directory, orderly ends, and recovery from the others."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.cli import render
from alphapulse.daemon import __main__ as verbs
from alphapulse.daemon import lifecycle
from alphapulse.errors import Conflict
from tests.daemon.processes import Daemon, daemon
from tests.daemon.waiting import eventually_now


@pytest.fixture
def served(urls: DatabaseUrls) -> Iterator[Daemon]:
    """A daemon, not started, on a migrated database of its own."""
    with daemon(urls) as made:
        yield made


@pytest.fixture
def embedded() -> Iterator[Daemon]:
    """A daemon, not started, with the embedded database."""
    with daemon() as made:
        yield made


def test_a_first_start_serves_and_tells_the_command_line_its_address_and_key(served: Daemon) -> None:
    url = served.start()
    ready = httpx.get(f"{url}/health/ready").json()
    assert (ready["status"], set(ready["ports"])) == ("ready", {"database", "disk"})
    with served.client(url) as client:
        assert client.get("/auth/whoami").json()["role"] == "platform_admin"
    own = {"url": url, "api_key": served.key, "directory": str(served.data)}
    assert served.contexts == {"current": "local-data", "contexts": {"local-data": own}}
    file = served.config / "alphapulse" / "contexts.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((served.data / lifecycle.KEY_FILE).stat().st_mode) == 0o600


def test_a_second_start_keeps_the_key_and_other_contexts_and_corrects_the_address(served: Daemon) -> None:
    served.start()
    key = served.key
    assert served.stop() == 0
    file = served.config / "alphapulse" / "contexts.toml"
    text = file.read_text().replace('current = "local-data"', 'current = "far"')
    file.write_text(text + '\n[contexts.far]\nurl = "https://far.example.com"\ntoken = "t"\n')
    url = served.start()
    assert served.key == key
    assert served.contexts == {
        "current": "far",
        "contexts": {
            "local-data": {"url": url, "api_key": key, "directory": str(served.data)},
            "far": {"url": "https://far.example.com", "token": "t"},
        },
    }


def test_a_context_with_another_daemons_key_gets_its_own_back_on_the_default_directory(served: Daemon) -> None:
    served.environment["XDG_DATA_HOME"] = str(served.folder)
    served.data = served.folder / "alphapulse"
    file = served.config / "alphapulse" / "contexts.toml"
    file.parent.mkdir(parents=True)
    foreign = "ap_0123456789ab_" + "x" * 43
    file.write_text(f'current = "local"\n[contexts.local]\nurl = "http://127.0.0.1:1"\napi_key = "{foreign}"\n')
    url = served.start()
    own = {"url": url, "api_key": served.key, "directory": str(served.data)}
    assert served.contexts == {"current": "local", "contexts": {"local": own}}


def test_a_key_that_the_database_does_not_know_is_made_anew(served: Daemon) -> None:
    served.data.mkdir(parents=True)
    (served.data / lifecycle.KEY_FILE).write_text("ap_0123456789ab_" + "x" * 43)
    url = served.start()
    with served.client(url) as client:
        assert client.get("/auth/whoami").status_code == 200


def test_sigterm_ends_it_and_leaves_no_pid_file(served: Daemon) -> None:
    served.start()
    assert served.stop() == 0
    assert not (served.data / lifecycle.PID_FILE).exists()
    assert not (served.data / lifecycle.STATE_FILE).exists()
    assert lifecycle.running(served.data) is None


def test_sigterm_lets_a_request_that_has_begun_finish(served: Daemon) -> None:
    url = httpx.URL(served.start())
    body = b'{"email": "nobody@example.com", "password": "wrong"}'
    head = (
        f"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port or 0)) as connection:
        connection.sendall(head.encode() + body[:10])
        # A second connection is answered only after the first one's bytes were read: the loop takes them in order.
        httpx.get(f"{url}/health/live")
        served.signal(signal.SIGTERM)
        eventually_now(lambda: not (served.data / lifecycle.STATE_FILE).exists())
        connection.sendall(body[10:])
        answer = connection.makefile("rb").readline()
    assert answer.split()[1] == b"401"
    served.process.communicate(timeout=30)
    assert served.process.returncode == 0


def test_a_request_that_never_ends_does_not_hold_it_for_ever(urls: DatabaseUrls) -> None:
    with daemon(urls, {"ALPHAPULSE_DRAIN_TIMEOUT": "1"}) as served:
        url = httpx.URL(served.start())
        with socket.create_connection((url.host, url.port or 0)) as connection:
            connection.sendall(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
            httpx.get(f"{url}/health/live")
            assert served.stop() == 0


def test_a_second_daemon_on_the_same_directory_is_refused(served: Daemon) -> None:
    served.start()
    first = served.process.pid
    with pytest.raises(Conflict, match=str(first)), lifecycle.held(served.data):
        pass
    assert lifecycle.running(served.data) == first


def test_the_pid_file_of_a_killed_daemon_is_found_stale_and_said_to_be(served: Daemon) -> None:
    served.start()
    killed = served.process.pid
    served.kill()
    assert (served.data / lifecycle.PID_FILE).read_text().strip() == str(killed)
    assert lifecycle.running(served.data) is None
    served.start()
    stale = served.logged("the last daemon did not end orderly; its pid file is stale")
    assert [entry["stale_pid"] for entry in stale] == [killed]


def test_a_pid_file_that_names_a_living_stranger_does_not_stop_the_start(served: Daemon) -> None:
    served.data.mkdir(parents=True)
    (served.data / lifecycle.PID_FILE).write_text(f"{os.getpid()}\n")
    assert lifecycle.running(served.data) is None
    served.start()
    assert lifecycle.running(served.data) == served.process.pid


def test_a_port_in_use_is_named_with_the_way_out(served: Daemon) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = served.refused("--port", str(port))
    assert code == 7
    assert f"error: port {port} on 127.0.0.1 is in use" in said
    assert "fix: " in said
    assert lifecycle.running(served.data) is None


def test_a_public_address_without_tls_is_refused(served: Daemon) -> None:
    code, said = served.refused("--host", "0.0.0.0")
    assert code == 1
    assert "without encryption" in said


def test_a_login_that_is_above_row_level_security_is_refused(urls: DatabaseUrls) -> None:
    assert urls.admin is not None
    with daemon(DatabaseUrls(urls.admin, urls.admin, urls.platform)) as served:
        code, said = served.refused()
    assert code == 1
    assert "superuser" in said


def test_a_data_directory_that_cannot_be_made_is_named(served: Daemon) -> None:
    served.data.write_text("a file where the directory should be")
    code, said = served.refused()
    assert code == 1
    assert str(served.data) in said
    served.data.unlink()


def test_a_killed_daemon_starts_again_on_its_embedded_database(embedded: Daemon) -> None:
    with embedded.client(embedded.start()) as client:
        tenant = {"slug": "acme", "name": "Acme", "tier": "starter", "admin_email": "a@example.com"}
        assert client.post("/tenants", json=tenant).is_success
    database = embedded.database_pid()
    embedded.kill()
    os.kill(database, 0)  # the database outlives its daemon
    with embedded.client(embedded.start()) as client:
        assert [found["slug"] for found in client.get("/tenants").json()["items"]] == ["acme"]
    assert embedded.database_pid() == database
    assert embedded.stop() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(database, 0)


def test_a_daemon_that_was_killed_with_its_database_starts_again_at_once_and_its_files_are_private(
    embedded: Daemon,
) -> None:
    embedded.start()
    assert {path.name for path in embedded.data.rglob("*") if path.stat().st_mode & 0o077} == set()
    database = embedded.database_pid()
    os.kill(database, signal.SIGKILL)
    embedded.kill()
    with embedded.client(embedded.start()) as client:
        assert client.get("/health/ready").json()["status"] == "ready"
    assert embedded.database_pid() != database


def test_a_database_that_dies_means_503_until_it_is_back_by_itself(embedded: Daemon) -> None:
    url = embedded.start()
    with embedded.client(url) as client:
        assert client.get("/tenants").status_code == 200
        os.kill(embedded.database_pid(), signal.SIGKILL)
        statuses: list[int] = []

        def recovered() -> bool:
            statuses.append(client.get("/tenants").status_code)
            return statuses[-1] == 200

        eventually_now(recovered, within_s=30)
        assert set(statuses) <= {200, 503}
        assert 503 in statuses
        eventually_now(lambda: client.get("/health/ready").status_code == 200)
        job = client.post("/jobs/maintenance/run").json()

        def done() -> bool:
            return next(one for one in client.get("/jobs").json()["items"] if one["id"] == job["id"])["state"] == "done"

        eventually_now(done, within_s=30)


def test_a_database_that_refuses_everybody_means_503_and_then_200(served: Daemon, urls: DatabaseUrls) -> None:
    name = urls.app.rsplit("/", 1)[1].split("?")[0]
    url = served.start()
    with served.client(url) as client, psycopg.connect(urls.admin or "", autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} WITH CONNECTION LIMIT 0")  # pyright: ignore[reportArgumentType, reportCallIssue] -- our own name
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
        answer = client.get("/tenants")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        admin.execute(f"ALTER DATABASE {name} WITH CONNECTION LIMIT -1")  # pyright: ignore[reportArgumentType, reportCallIssue] -- our own name
        assert client.get("/tenants").status_code == 200


def test_a_worker_beside_the_daemon_ends_orderly(served: Daemon) -> None:
    served.start()
    command = [sys.executable, "-m", "alphapulse.daemon", "worker", "--data-directory", str(served.folder / "w")]
    worker = subprocess.Popen(command, env=served.environment, stderr=subprocess.PIPE, text=True)
    assert worker.stderr is not None
    assert any('"working"' in line for line in worker.stderr)
    worker.terminate()
    worker.communicate(timeout=30)
    assert worker.returncode == 0


def test_the_daemon_and_the_command_line_agree_on_exit_codes() -> None:
    assert verbs.EXIT_CODE == render.EXIT_CODE


def test_a_state_file_without_a_daemon_is_not_believed(tmp_path: Path) -> None:
    lifecycle.write_state(tmp_path, lifecycle.State(os.getpid(), "http://127.0.0.1:1", "2026-01-01T00:00:00Z", "0"))
    assert lifecycle.read_state(tmp_path) is None
