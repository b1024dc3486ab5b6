"""The settings themselves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_data_path
from pydantic import Field, FilePath, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from alphapulse.settings.tables import BackupRules, MarketRules, PaperRules, RateRules, SmtpRules
from alphapulse.settings.values import Duration, Listed, Seconds, is_base_url, is_loopback, is_redis_url

PREFIX = "ALPHAPULSE_"


def default_data_directory() -> Path:
    """Where the daemon of this user keeps its data when nobody says otherwise."""
    return user_data_path("alphapulse")


class Settings(BaseSettings):
    """The daemon's settings."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True
    )

    profile: Literal["development", "production"] = Field(
        "development",
        description="Set of defaults, config/profiles/NAME.toml; production refuses what only a laptop may do.",
    )
    data_directory: Path = Field(
        default_factory=default_data_directory,
        description="Where the embedded database, candles, keys, pid file and logs live.",
    )
    host: str = Field(
        "127.0.0.1", description="Address to listen on. Other than loopback needs TLS or trusted_proxies."
    )
    port: int = Field(8470, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    tls_certificate: FilePath | None = Field(None, description="PEM file with the certificate chain to serve TLS with.")
    tls_key: FilePath | None = Field(None, description="PEM file with the private key of tls_certificate.")
    trusted_proxies: Listed = Field(
        (), description="Addresses of proxies that end TLS before us and whose X-Forwarded-* headers are believed."
    )
    public_url: str = Field(
        "http://127.0.0.1:8470",
        description="Scheme and host under which people reach the daemon, for links in mails; not set: its own.",
    )
    allowed_origins: Listed = Field(
        (), description="Origins (https://host) of web pages that may open /ws besides the daemon's own."
    )

    database_url: SecretStr | None = Field(
        None, description="PostgreSQL 16+ as the application role. Not set: a private server in data_directory."
    )
    database_admin_url: SecretStr | None = Field(
        None, description="The same database as its owner; used for migrations only."
    )
    database_platform_url: SecretStr | None = Field(
        None, description="The same database as the role that reads across tenants and writes nothing."
    )
    pool_size: int = Field(10, ge=2, le=200, description="Most database connections for requests and jobs together.")

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )
    log_format: Literal["json", "console"] = Field("json", description="One JSON object per line, or lines for people.")
    telemetry: Literal["none", "prometheus"] = Field("prometheus", description="Adapter behind /metrics.")

    mail: Literal["console", "smtp"] = Field(
        "console", description="How mails leave: as files in data_directory/mail, or through the server in [smtp]."
    )

    cache: Literal["memory", "redis"] = Field("memory", description="Where copies are kept; redis shares them.")
    limits: Literal["memory", "redis"] = Field(
        "memory", description="Where requests are counted; redis gives all daemons on it one budget."
    )
    redis_url: SecretStr | None = Field(
        None, description="Redis or Valkey: redis://HOST:PORT/NUMBER on this machine, rediss:// elsewhere."
    )
    redis_ca: FilePath | None = Field(
        None, description="PEM file with the authority of Redis's certificate; the system's authorities if not set."
    )

    body_limit: int = Field(1_000_000, ge=1_000, description="Largest request body, bytes.")
    import_limit: int = Field(64_000_000, ge=1_000, description="Largest file of candles that may be uploaded, bytes.")
    token_lifetime: Seconds = Field(timedelta(hours=1), description="How long a login's token is good for, seconds.")
    session_lifetime: Seconds = Field(timedelta(days=7), description="How long a login can be renewed, seconds.")
    export_directory: Path | None = Field(
        None,
        description="Where copies of tenants' data lie until they are fetched; data_directory/exports if not set. "
        "Daemons that serve one database share it.",
    )
    master_key_file: Path | None = Field(
        None,
        description="Key that seals TOTP secrets, link tokens and personal fields; made in data_directory if not set. "
        "Replicas share one; a database is worth little without it.",
    )
    signup: bool = Field(False, description="Whether strangers may open a tenant of their own: POST /signup.")
    policy_directory: Path | None = Field(
        None, description="Folder of privacy-VERSION.md; the last by name is in force. Not set: the packaged text."
    )
    password_threads: int = Field(2, ge=1, le=32, description="Passwords hashed at the same time; each takes 64 MiB.")

    settle_delay: Duration = Field(
        timedelta(seconds=10), description="Wait after a bar's close before deciding on it, seconds."
    )
    queue_concurrency: int = Field(2, ge=1, le=64, description="Jobs that one worker runs at the same time.")
    drain_timeout: Seconds = Field(
        timedelta(seconds=20), description="Longest wait for running requests and jobs when the daemon stops, seconds."
    )

    audit_retention_days: int = Field(
        365, ge=100, description="How long the audit log is kept, days; whole months older than this are dropped."
    )
    audit_heads_directory: Path | None = Field(
        None, description="Where the heads of the audit chains are written hourly; data_directory/audit-heads if unset."
    )

    rates: RateRules = Field(default_factory=RateRules, description="How many requests a minute.")  # pyright: ignore[reportArgumentType, reportCallIssue]
    paper: PaperRules = Field(default_factory=PaperRules, description="How the paper venue fills orders.")  # pyright: ignore[reportArgumentType, reportCallIssue]
    market: MarketRules = Field(default_factory=MarketRules, description="Candles and instruments.")  # pyright: ignore[reportArgumentType, reportCallIssue]

    backup: BackupRules = Field(default_factory=BackupRules, description="Backups.")  # pyright: ignore[reportArgumentType, reportCallIssue]
    smtp: SmtpRules = Field(default_factory=SmtpRules, description="The mail server.")  # pyright: ignore[reportArgumentType, reportCallIssue]

    @property
    def backup_directory(self) -> Path:
        """Where backups are kept."""
        return self.backup.directory or self.data_directory / "backups"

    @property
    def master_key(self) -> Path:
        """The file of the master key."""
        return self.master_key_file or self.data_directory / "master.key"

    @field_validator("public_url")
    @classmethod
    def _leads_to_a_host(cls, url: str) -> str:
        if not is_base_url(url):
            msg = "write https://HOST, or http:// with a loopback address, without a user, a path or a query"
            raise ValueError(msg)
        return url.rstrip("/")

    @field_validator("database_url", "database_admin_url", "database_platform_url")
    @classmethod
    def _speaks_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            msg = "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            raise ValueError(msg)
        return url

    @field_validator("redis_url")
    @classmethod
    def _speaks_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not is_redis_url(url.get_secret_value()):
            msg = (
                "write it as rediss://USER:PASSWORD@HOST:PORT/NUMBER without a query; redis:// without TLS only on a "
                "loopback address"
            )
            raise ValueError(msg)
        return url

    @model_validator(mode="after")
    def _has_its_redis(self) -> Settings:
        for name in ("cache", "limits"):
            if getattr(self, name) == "redis" and self.redis_url is None:
                msg = f"{name} redis needs redis_url"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _guards_the_door(self) -> Settings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            msg = "tls_certificate and tls_key go together: set both or neither"
            raise ValueError(msg)
        if not is_loopback(self.host) and self.tls_certificate is None and not self.trusted_proxies:
            msg = (
                f"host {self.host} can be reached from outside without encryption: set tls_certificate and tls_key, "
                "or trusted_proxies when a proxy ends TLS, or listen on 127.0.0.1"
            )
            raise ValueError(msg)
        if self.mail == "smtp" and not (self.smtp.host and "@" in self.smtp.sender):
            msg = "mail smtp needs smtp.host and smtp.sender (an address)"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _is_fit_for_other_peoples_money(self) -> Settings:
        if self.profile != "production":
            return self
        backup = self.backup
        refused = {
            "mail must be smtp: nobody would get mails that are only written to files": self.mail != "smtp",
            "public_url must be https://HOST: mails lead people there": not self.public_url.startswith("https://"),
            "set tls_certificate and tls_key, or trusted_proxies when a proxy ends TLS": self.tls_certificate is None
            and not self.trusted_proxies,
            "backup.directory must lie outside data_directory: a backup beside the data is lost with it": backup.daily
            and self.backup_directory.resolve().is_relative_to(self.data_directory.resolve()),
            "set backup.database_url to a login that reads every row, or backup.daily to false": backup.daily
            and self.database_url is not None
            and (backup.database_url or self.database_admin_url) is None,
        }
        found = [problem for problem, there in refused.items() if there]
        if found:
            msg = f"profile production: {'; '.join(found)}"
            raise ValueError(msg)
        return self

    def shown(self) -> dict[str, Any]:
        """Every setting as JSON-ready values in effect, secrets masked."""
        return self.model_dump(mode="json")
