"""The shipped nginx configuration in front of two real daemons on one database and one Valkey."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from alphapulse.adapters.database.urls import DatabaseUrls
from alphapulse.client.connection import Target
from alphapulse.client.stream import Link, follow
from tests.daemon.processes import Daemon, daemon
from tests.fakes.certificates import Authority
from tests.house.sources import ROOT
from tests.valkey import valkey

NGINX = shutil.which("nginx")
SHIPPED = ROOT / "config" / "deploy" / "nginx" / "alphapulse.conf"
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
UP_WITHIN_S = 10.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def nginx(folder: Path, daemons: list[str], pair: tuple[Path, Path]) -> Generator[int]:
    """The shipped file with nothing changed but addresses and files; the port that speaks TLS."""
    assert NGINX is not None
    port, plain = free_port(), free_port()
    text = SHIPPED.read_text(encoding="utf-8")
    for before, after in (
        ("127.0.0.1:8470", daemons[0]),
        ("127.0.0.1:8471", daemons[1]),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("/etc/alphapulse/tls.pem", str(pair[0])),
        ("/etc/alphapulse/tls.key", str(pair[1])),
        ("alphapulse.example.com", "127.0.0.1"),
    ):
        assert before in text
        text = text.replace(before, after)
    (folder / "site.conf").write_text(text, encoding="utf-8")
    paths = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"error_log {folder}/error.log; pid {folder}/nginx.pid; daemon off; events {{}}\n"
    (folder / "nginx.conf").write_text(f"{main}http {{ access_log off; {paths} include {folder}/site.conf; }}\n")
    process = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
    try:
        deadline = time.monotonic() + UP_WITHIN_S
        while not answers(port):
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def settings(redis_url: str, folder: Path) -> dict[str, str]:
    """Of each of two daemons behind a proxy on this machine."""
    own = {"TRUSTED_PROXIES": "127.0.0.1", "LIMITS": "redis", "REDIS_URL": redis_url, "RATES__PLATFORM": "30"}
    own["MASTER_KEY_FILE"] = str(folder / "master.key")
    return {f"ALPHAPULSE_{name}": value for name, value in own.items()}


def hostport(url: str) -> str:
    return url.rpartition("/")[2]


def requests_of(one: Daemon, url: str) -> float:
    """How many requests for /auth/whoami the daemon has answered, from its metrics."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    counted = (line for line in lines if "http_request_seconds_count" in line and '"/auth/whoami"' in line)
    return sum(float(line.rpartition(" ")[2]) for line in counted)


def test_two_daemons_behind_nginx_take_turns_over_tls_1_3_and_share_one_budget(
    urls: DatabaseUrls, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    trust = ssl.create_default_context(cafile=str(authority.file))
    with (
        valkey() as server,
        daemon(urls, settings(server.url, tmp_path)) as one,
        daemon(urls, settings(server.url, tmp_path)) as two,
    ):
        addresses = [one.start(), two.start()]
        with nginx(tmp_path, [hostport(url) for url in addresses], authority.sign("127.0.0.1")) as port:
            base = f"https://127.0.0.1:{port}"
            key: dict[str, Any] = {"Authorization": f"Bearer {one.key}"}
            with httpx.Client(base_url=base, verify=trust, headers=key) as client:
                found = [client.get("/auth/whoami") for _ in range(20)]
                assert [answer.text for answer in found if answer.status_code != 200] == []
                assert found[0].headers["strict-transport-security"] == "max-age=31536000"
                shares = [requests_of(one, addresses[0]), requests_of(two, addresses[1])]
                assert min(shares) >= 8, shares
                codes = [client.get("/auth/whoami").status_code for _ in range(15)]
                assert codes.count(429) >= 4, codes
            check_tls(port, authority)
            asyncio.run(streams(Target(base, two.key, tenant="", ca=str(authority.file))))
            two.kill()
            with httpx.Client(base_url=base, verify=trust) as client:
                assert [client.get("/health/live").status_code for _ in range(6)] == [200] * 6


def check_tls(port: int, authority: Authority) -> None:
    """1.3 is spoken, and nothing older."""
    old = ssl.create_default_context(cafile=str(authority.file))
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        ssl.create_default_context(cafile=str(authority.file)).wrap_socket(plain, server_hostname="127.0.0.1") as new,
    ):
        assert new.version() == "TLSv1.3"
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", port), 5) as plain, pytest.raises(ssl.SSLError):
        old.wrap_socket(plain, server_hostname="127.0.0.1")


async def streams(target: Target) -> None:
    """The event stream passes the proxy: a platform admin without a tenant is told by the daemon to name one."""
    with pytest.raises(Exception, match="tenant") as refused:
        async for said in follow(target):
            assert isinstance(said, Link)
            return
    assert type(refused.value).__module__ == "alphapulse.errors"
