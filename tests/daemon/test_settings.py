"""Settings: where they come from, which win, and how a wrong one is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from alphapulse.errors import Misconfigured
from alphapulse.settings import Settings, is_loopback, load, unknown_variables


@pytest.fixture(autouse=True)
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """This test's own variables; the user's file is one that does not exist."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("ALPHAPULSE_")]:
        del os.environ[name]
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    added: dict[str, str] = {}
    yield added
    os.environ.clear()
    os.environ.update(before)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config" / "alphapulse" / "alphapulse.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_without_anything_the_defaults_hold() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 8470, None)


def test_the_users_file_beats_the_packaged_one_the_environment_beats_both_and_the_command_line_all(
    tmp_path: Path,
) -> None:
    write(tmp_path, 'port = 9001\nlog_level = "error"\n[paper]\nfee_rate = "0.002"\n')
    assert load().port == 9001
    os.environ["ALPHAPULSE_PORT"] = "9002"
    os.environ["ALPHAPULSE_PAPER__SLIPPAGE"] = "0.003"
    settings = load()
    assert (settings.port, settings.log_level) == (9002, "error")
    assert (settings.paper.fee_rate, settings.paper.slippage) == (Decimal("0.002"), Decimal("0.003"))
    assert load(port=9003, host=None).port == 9003


def test_durations_are_seconds_and_lists_are_separated_by_commas() -> None:
    os.environ["ALPHAPULSE_SETTLE_DELAY"] = "5"
    os.environ["ALPHAPULSE_TRUSTED_PROXIES"] = "10.0.0.1, 10.0.0.2"
    settings = load()
    assert settings.settle_delay == timedelta(seconds=5)
    assert settings.trusted_proxies == ("10.0.0.1", "10.0.0.2")


def test_market_sources_are_set_by_venue() -> None:
    os.environ["ALPHAPULSE_MARKET__SOURCES__BINANCE"] = "ccxt"
    assert load().market.sources["binance"] == "ccxt"


def test_settings_cannot_be_changed_after_start() -> None:
    with pytest.raises(ValidationError):
        load().port = 1  # type: ignore[misc]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "daemon.example"])
def test_a_public_address_needs_tls_or_a_trusted_proxy(host: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="without encryption") as refused:
        load(host=host)
    assert "tls_certificate" in refused.value.message
    assert load(host=host, trusted_proxies=("10.0.0.1",)).host == host
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("x")
    with pytest.raises(Misconfigured, match="go together"):
        load(host=host, tls_certificate=tmp_path / "cert.pem")
    assert load(host=host, tls_certificate=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem").host == host


def test_loopback_is_known_in_all_its_forms() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"))
    assert not is_loopback("localhost.evil.example")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("port = 70000", "setting port"),
        ('port = "many"', "setting port"),
        ("prot = 1", "setting prot does not exist"),
        ('[paper]\nfee_rate = "much"', "setting paper.fee_rate"),
        ("[paper]\nfee_rate = 0.001", "setting paper.fee_rate: money and rates are written as text"),
        ('[paper]\nfees = "0.1"', "setting paper.fees does not exist"),
        ('log_level = "loud"', "setting log_level"),
        ('database_url = "mysql://x"', "setting database_url: write it as postgresql://"),
        ('tls_certificate = "/nowhere/cert.pem"', "setting tls_certificate"),
        ("token_lifetime = 0", "setting token_lifetime"),
        ("port = ", "not TOML"),
    ],
)
def test_a_wrong_setting_is_told_by_its_name_and_with_a_fix(tmp_path: Path, text: str, named: str) -> None:
    write(tmp_path, text)
    with pytest.raises(Misconfigured) as refused:
        load()
    assert named in refused.value.message
    assert refused.value.fix


def test_a_file_that_was_named_must_exist_and_be_text(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no such file"):
        load(tmp_path / "nowhere.toml")
    os.environ["ALPHAPULSE_CONFIG"] = str(tmp_path / "nowhere.toml")
    with pytest.raises(Misconfigured, match="no such file"):
        load()
    (tmp_path / "latin.toml").write_bytes(b"# \xff\nport = 1\n")
    with pytest.raises(Misconfigured, match="cannot be read"):
        load(tmp_path / "latin.toml")


def test_what_is_shown_masks_the_secrets() -> None:
    shown = load(database_url="postgresql://app:canary-secret@db/alphapulse").shown()
    assert "canary" not in str(shown)
    assert shown["database_url"] == "**********"


def test_a_misspelled_variable_is_found() -> None:
    given = {
        "ALPHAPULSE_PROT": "1",
        "ALPHAPULSE_PORT": "1",
        "ALPHAPULSE_API_KEY": "x",
        "ALPHAPULSE_PAPER__FEE_RATE": "1",
    }
    assert unknown_variables(given) == ["ALPHAPULSE_PROT"]


@pytest.mark.parametrize(
    "url", ["https://mirror.example.com", "https://mirror.example.com:8443/", "http://127.0.0.1:81"]
)
def test_a_source_can_be_called_at_another_address(url: str) -> None:
    os.environ["ALPHAPULSE_MARKET__SOURCES"] = '{"binance": "ccxt"}'
    os.environ["ALPHAPULSE_MARKET__SOURCE_URLS"] = f'{{"binance": "{url}"}}'
    assert load().market.source_urls == {"binance": url}


@pytest.mark.parametrize(
    "url",
    [
        "http://mirror.example.com",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "mirror.example.com",
        "https://",
        "https://me:secret@mirror.example.com",
        "https://mirror.example.com/api?key=1",
        "https://mirror.example.com:port",
        "http://localhost.example.com",
    ],
)
def test_a_source_is_not_called_at_an_address_that_is_open_to_others_or_none(tmp_path: Path, url: str) -> None:
    write(tmp_path, f'[market.sources]\nbinance = "ccxt"\n[market.source_urls]\nbinance = "{url}"\n')
    with pytest.raises(Misconfigured, match=r"source_urls\.binance: write https://HOST") as caught:
        load()
    assert "secret" not in str(caught.value)


def test_an_address_without_a_ccxt_source_is_refused(tmp_path: Path) -> None:
    write(tmp_path, '[market.source_urls]\nbinance = "https://mirror.example.com"\n')
    with pytest.raises(Misconfigured, match=r"source_urls\.binance: only a ccxt source has an address"):
        load()


#: What production asks for, as the command line or init would give it.
PRODUCTION: dict[str, Any] = {
    "profile": "production",
    "public_url": "https://funds.example.com",
    "trusted_proxies": ("127.0.0.1",),
    "mail": "smtp",
    "smtp": {"host": "mail.example.com", "sender": "ops@example.com"},
    "backup": {"directory": "/kept"},
}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"mail": "console"}, "mail must be smtp"),
        ({"public_url": "http://127.0.0.1:8470"}, "public_url must be https"),
        ({"trusted_proxies": ()}, "set tls_certificate and tls_key, or trusted_proxies"),
        ({"backup": {}}, "backup.directory must lie outside data_directory"),
        ({"backup": {"directory": "DATA/deeper"}}, "backup.directory must lie outside data_directory"),
        ({"database_url": "postgresql://ap_app@db/x"}, "set backup.database_url"),
    ],
)
def test_production_refuses_what_only_a_laptop_may_do(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    data = tmp_path / "data"
    assert load(data_directory=data, **PRODUCTION).profile == "production"
    if "DATA" in str(changed):
        changed = {"backup": {"directory": data / "deeper"}}
    with pytest.raises(Misconfigured) as refused:
        load(data_directory=data, **{**PRODUCTION, **changed})
    assert named in refused.value.message
    laptop: dict[str, Any] = {**PRODUCTION, **changed, "profile": "development"}
    assert load(data_directory=data, **laptop).profile == "development"


def test_production_may_leave_backups_to_somebody_else(tmp_path: Path) -> None:
    given: dict[str, Any] = {**PRODUCTION, "backup": {"daily": False}, "database_url": "postgresql://ap_app@db/x"}
    assert not load(data_directory=tmp_path, **given).backup.daily


def test_every_refusal_of_production_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refused:
        load(data_directory=tmp_path, profile="production")
    assert all(word in refused.value.message for word in ("mail", "public_url", "trusted_proxies", "backup.directory"))
