"""Everything that calls out refuses a certificate that does not prove the other side's name, and no setting helps.

A new adapter that calls out adds itself to ``CALLERS``; one that does not is found by its imports.
"""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alphapulse.adapters.mail.smtp import SmtpMail, SmtpServer
from alphapulse.adapters.market_data.ccxt import CcxtMarketData
from alphapulse.adapters.redis.connection import RedisServer
from alphapulse.client.api import Client
from alphapulse.client.connection import Target
from alphapulse.client.stream import follow
from alphapulse.daemon import login
from alphapulse.domain.market import Series, Timeframe
from alphapulse.errors import AlphaPulseError
from alphapulse.settings import Settings
from tests.fakes.certificates import Authority, server_context
from tests.house.sources import ROOT, package

#: Calls a server on 127.0.0.1 that trusts nobody but the authority in the file. Raises when it may not.
Caller = Callable[[int, Path, Path], Awaitable[object]]


async def candles(port: int, authority: Path, folder: Path) -> None:
    source = CcxtMarketData(
        "kraken", api_url=f"https://127.0.0.1:{port}", timeout=timedelta(seconds=3), authorities=authority
    )
    since = datetime(2026, 1, 1, tzinfo=UTC)
    try:
        await source.candles(Series("kraken", "BTC/USD", Timeframe.H1), since, since + timedelta(hours=2))
    finally:
        await source.close()


async def mail(port: int, authority: Path, folder: Path) -> None:
    server = SmtpServer(host="127.0.0.1", port=port, security="tls", authorities=authority, timeout_s=3)
    await SmtpMail(server, sender="noreply@alphapulse.example").ping()


async def redis(port: int, authority: Path, folder: Path) -> None:
    server = RedisServer(f"rediss://127.0.0.1:{port}/0", ca=str(authority))
    try:
        await server.ping()
    finally:
        await server.close()


async def command(port: int, authority: Path, folder: Path) -> None:
    def ask() -> None:
        with Client(Target(f"https://127.0.0.1:{port}", "a-key", ca=str(authority))) as client:
            client.access.version()

    await asyncio.to_thread(ask)


async def stream(port: int, authority: Path, folder: Path) -> None:
    async for _ in follow(Target(f"https://127.0.0.1:{port}", "a-key", ca=str(authority))):
        return


async def doctor(port: int, authority: Path, folder: Path) -> None:
    file = folder / "alphapulse" / "contexts.toml"
    file.parent.mkdir(exist_ok=True)
    context = f'url = "https://127.0.0.1:{port}"\ntoken = "a-key"\nca = "{authority}"\n'
    file.write_text(f'current = "local"\n[contexts.local]\n{context}')
    seen = await asyncio.to_thread(login.look, {"XDG_CONFIG_HOME": str(folder)})
    if seen.answer is login.Answer.NOBODY:
        raise ConnectionError(seen.detail)


#: By the file that calls out.
CALLERS: dict[str, Caller] = {
    "alphapulse/adapters/market_data/ccxt.py": candles,
    "alphapulse/adapters/mail/smtp.py": mail,
    "alphapulse/adapters/redis/connection.py": redis,
    "alphapulse/client/connection.py": command,
    "alphapulse/client/stream.py": stream,
    "alphapulse/daemon/login.py": doctor,
}
#: Libraries that open connections to elsewhere.
CALLING = re.compile(
    r"^\s*(?:import|from)\s+(?:ccxt|aiosmtplib|smtplib|redis|httpx|requests|websockets|aiohttp|urllib\.request|http\.client"
    r"|hvac|stripe|opentelemetry)\b|import_module\(f?[\"']ccxt",
    re.MULTILINE,
)
FLAWS: dict[str, Callable[[Authority], tuple[Path, Path]]] = {
    "expired": lambda trusted: trusted.expired("127.0.0.1"),
    "self-signed": lambda trusted: trusted.self_signed("127.0.0.1"),
    "wrong host": lambda trusted: trusted.sign("elsewhere.example"),
    "unknown authority": lambda trusted: Authority(trusted.folder, "Other Authority").sign("127.0.0.1"),
}


class Listener:
    """A TLS server that greets like a mail server, says nothing more and keeps what it was told."""

    def __init__(self) -> None:
        self.met = 0
        self.received = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        writer.write(b"220 mail\r\n")
        self.received += await reader.read(1000)
        writer.close()


@asynccontextmanager
async def listening(pair: tuple[Path, Path]) -> AsyncGenerator[tuple[int, Listener]]:
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0, ssl=server_context(*pair))
    async with server:
        yield int(server.sockets[0].getsockname()[1]), listener


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("where", CALLERS)
async def test_a_certificate_that_proves_nothing_ends_the_connection_before_anything_is_said(
    where: str, flaw: str, tmp_path: Path
) -> None:
    trusted = Authority(tmp_path)
    async with listening(FLAWS[flaw](trusted)) as (port, listener):
        with pytest.raises((AlphaPulseError, ConnectionError)):
            await CALLERS[where](port, trusted.file, tmp_path)
    assert (listener.met, listener.received) == (0, b"")


@pytest.mark.parametrize("where", CALLERS)
async def test_the_same_call_goes_through_to_a_server_that_proves_its_name(where: str, tmp_path: Path) -> None:
    trusted = Authority(tmp_path)
    async with listening(trusted.sign("127.0.0.1")) as (port, listener):
        with pytest.raises((AlphaPulseError, ConnectionError)):  # what answers there speaks nobody's language
            await CALLERS[where](port, trusted.file, tmp_path)
    assert listener.received


def test_everything_that_calls_out_is_in_the_table() -> None:
    assert {source.path for source in package() if CALLING.search(source.text)} == set(CALLERS)


def test_no_setting_turns_the_check_off() -> None:
    text = (ROOT / "config" / "alphapulse.toml").read_text(encoding="utf-8")
    names = re.findall(r"[a-z_]+", f"{Settings.model_json_schema()} {tomllib.loads(text)}")
    assert not [name for name in names if re.search(r"insecure|(verify|check)_?(tls|ssl|cert|host)|skip_", name)]
