"""The way in to a real daemon: TLS 1.3 only, certificates replaced while it serves, connections that dawdle cut off."""

from __future__ import annotations

import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.client.api import Client
from alphapulse.client.connection import Target
from alphapulse.daemon.transport import HEAD_S, LARGEST_HEAD, Tls
from alphapulse.errors import DaemonUnreachable, Misconfigured
from tests.daemon.processes import Daemon, daemon
from tests.daemon.waiting import eventually_now
from tests.fakes.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def served(urls: DatabaseUrls) -> Iterator[Daemon]:
    with daemon(urls) as made:
        yield made


def certificate_of(port: int, authority: Authority) -> str:
    """The serial number that the server shows just now."""
    context = ssl.create_default_context(cafile=str(authority.file))
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        shown = secure.getpeercert()
        assert shown is not None
        assert secure.version() == "TLSv1.3"
        return str(shown["serialNumber"])


def test_the_daemon_serves_tls_1_3_and_nothing_older_and_takes_a_new_certificate_at_sighup(
    served: Daemon, authority: Authority
) -> None:
    cert, key = authority.sign("127.0.0.1")
    url = served.start("--tls-cert", str(cert), "--tls-key", str(key))
    port = int(url.rpartition(":")[2])
    assert url.startswith("https://")
    first = certificate_of(port, authority)

    with Client(Target(url, served.key, ca=str(authority.file))) as client:
        assert client.access.version()
    with pytest.raises(DaemonUnreachable), Client(Target(url, served.key)) as client:
        client.access.version()
    answer = httpx.get(f"{url}/version", verify=ssl.create_default_context(cafile=str(authority.file)))
    assert answer.headers["strict-transport-security"] == "max-age=31536000"

    old = ssl.create_default_context(cafile=str(authority.file))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(plain, server_hostname="127.0.0.1")

    new_cert, new_key = authority.sign("127.0.0.1", "localhost")
    cert.write_bytes(new_cert.read_bytes())
    served.signal(signal.SIGHUP)
    eventually_now(lambda: served.logged("the certificate was not replaced"))
    assert certificate_of(port, authority) == first
    key.write_bytes(new_key.read_bytes())
    served.signal(signal.SIGHUP)
    eventually_now(lambda: certificate_of(port, authority) != first)
    assert served.stop() == 0


def test_files_that_are_no_certificate_and_key_are_refused_by_name(authority: Authority, tmp_path: Path) -> None:
    cert, _ = authority.sign("127.0.0.1")
    _, other = authority.sign("127.0.0.1")
    nothing = tmp_path / "empty.pem"
    nothing.touch()
    for pair in ((cert, other), (nothing, other), (cert, nothing), (cert, tmp_path / "missing.pem")):
        with pytest.raises(Misconfigured, match=pair[0].name):
            Tls(*pair)


def test_heads_that_never_end_are_cut_off_and_others_are_served_meanwhile(served: Daemon) -> None:
    port = int(served.start().rpartition(":")[2])

    def opened(first: bytes) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", port), HEAD_S + 10)
        made.sendall(first)
        return made

    with opened(b"") as silent, opened(b"GET /version HTTP/1.1\r\nHost: x\r\nX-") as slow:
        began = time.monotonic()
        with opened(b"GET /version HTTP/1.1\r\nX-Long: ") as endless:
            try:
                endless.sendall(b"a" * (2 * LARGEST_HEAD))
                said = endless.recv(100)
            except ConnectionError:
                said = b"HTTP/1.1 431"
            assert said.startswith(b"HTTP/1.1 431")
        whole = b"GET /version HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n"
        with opened(whole) as large:
            assert large.recv(100).startswith(b"HTTP/1.1 413")
        for length, status in ((20_000, b"413"), (100_000, b"400")):
            with opened(b"GET /" + b"a" * length + b" HTTP/1.1\r\nHost: x\r\n\r\n") as far:
                assert far.recv(100).startswith(b"HTTP/1.1 " + status)
        assert httpx.get(f"http://127.0.0.1:{port}/version").status_code == 200
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
        assert silent.recv(100).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < HEAD_S + 5


@pytest.mark.parametrize("trusted", [True, False])
def test_only_a_trusted_proxy_may_say_whose_request_it_is(trusted: bool, urls: DatabaseUrls) -> None:
    settings = {"ALPHAPULSE_RATES__ADDRESS": "1"} | ({"ALPHAPULSE_TRUSTED_PROXIES": "127.0.0.1"} if trusted else {})
    with daemon(urls, settings) as served:
        url = served.start()
        found = [
            httpx.get(f"{url}/funds", headers={"X-Forwarded-For": f"203.0.113.{n}", "X-Forwarded-Proto": "https"})
            for n in range(2)
        ]
        assert [answer.status_code for answer in found] == ([401, 401] if trusted else [401, 429])
        assert ("strict-transport-security" in found[0].headers) is trusted
