"""Groups of settings: the tables of the file."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, DirectoryPath, Field, FilePath, SecretStr, model_validator

from alphapulse.settings.values import Exact, Fraction, Seconds, is_base_url, is_loopback


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PaperRules(Table):
    """How the paper venue fills. Rates are fractions (0.001 = 0.1 %), written as text."""

    fee_rate: Fraction = Field(Decimal("0.001"), description="Fee per fill, as a fraction of its notional.")
    half_spread: Fraction = Field(
        Decimal("0.0005"), description="Half of the assumed spread: how much worse than the close a market order fills."
    )
    slippage: Fraction = Field(
        Decimal("0.0005"), description="Further worsening of a market order, as a fraction of the price."
    )
    volume_share: Annotated[Exact, Field(gt=0, le=1)] = Field(
        Decimal("0.1"),
        description="Largest share of a bar's volume that a fund's orders may take together; the rest waits.",
    )


class InstrumentRule(Table):
    """Trading steps of one symbol where the venue's own are not known."""

    price_increment: Annotated[Exact, Field(gt=0)] = Field(description="Price step, in quote currency.")
    quantity_increment: Annotated[Exact, Field(gt=0)] = Field(description="Quantity step, in base currency.")
    min_quantity: Annotated[Exact, Field(ge=0)] = Field(Decimal(0), description="Smallest order, in base currency.")
    min_notional: Annotated[Exact, Field(ge=0)] = Field(Decimal(0), description="Smallest order, in quote currency.")


class RateRules(Table):
    """Requests per minute; also how many may come at once after a pause."""

    tenant: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Of each tenant, whatever its tier. Not set: as its tier says, see plans.toml."
    )
    together: int = Field(1_000, gt=0, description="Of all tenants together.")
    platform: int = Field(1_000, gt=0, description="Of the platform's admins together.")
    address: int = Field(120, gt=0, description="Of one network address without a login.")
    login: int = Field(30, gt=0, description="Log-ins and other proofs of identity from one network address.")
    probe: int = Field(600, gt=0, description="Of one network address at /health, /metrics and /version.")
    reserved: int = Field(
        600, gt=0, description="Of one tenant and each way to reduce risk (cancel, close, halt, stop), in each process."
    )
    local: int = Field(
        10, gt=0, description="Changes and orders of one tenant in each process while Redis does not answer."
    )


class MarketRules(Table):
    """Where candles come from, and instruments that no source describes."""

    sources: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Venue to market data adapter (ccxt, synthetic, replay). A venue without one has imported candles.",
    )
    source_urls: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Venue to the scheme and host that its ccxt source calls instead of the venue's own, for a mirror "
        "or a stand-in. https, or http on a loopback address.",
    )
    source_ca: FilePath | None = Field(
        None, description="PEM file with the authority of source_urls' certificates; the public ones if not set."
    )
    instruments: dict[str, dict[str, InstrumentRule]] = Field(
        default_factory=dict[str, dict[str, InstrumentRule]],
        description="Venue, then symbol, to trading steps; overrides what the source or the candles suggest.",
    )
    timeout: Seconds = Field(
        timedelta(seconds=10), description="Longest wait for one answer of a live source, seconds."
    )

    @model_validator(mode="after")
    def _calls_only_known_hosts(self) -> MarketRules:
        for venue, url in self.source_urls.items():
            if self.sources.get(venue) != "ccxt":
                msg = f"source_urls.{venue}: only a ccxt source has an address; set sources.{venue} to ccxt as well"
                raise ValueError(msg)
            if not is_base_url(url):
                msg = (
                    f"source_urls.{venue}: write https://HOST, or http:// with a loopback address such as "
                    "http://127.0.0.1:PORT, without a user, a path or a query"
                )
                raise ValueError(msg)
        return self


class SmtpRules(Table):
    """The mail server, for the mail adapter smtp. Its certificate is always proved; no setting turns that off."""

    host: str = Field("", description="Name of the mail server; its certificate must bear it.")
    port: int = Field(465, ge=1, le=65535, description="465 with security tls, most often 587 with starttls.")
    security: Literal["tls", "starttls", "none"] = Field(
        "tls", description="TLS from the start, after STARTTLS, or none: only for a server on a loopback address."
    )
    username: str | None = Field(None, description="Login at the mail server; not set: without one.")
    password: SecretStr | None = Field(None, description="Password of username.")
    sender: str = Field("", description="Address that mails come from, for example alphapulse@example.com.")
    authorities: FilePath | None = Field(
        None, description="PEM file of further certificate authorities to trust for the mail server."
    )
    timeout: Seconds = Field(timedelta(seconds=20), description="Longest wait for one step of the exchange, seconds.")

    @model_validator(mode="after")
    def _protects_what_it_sends(self) -> SmtpRules:
        if self.security == "none" and not is_loopback(self.host):
            msg = "security none sends links and the login readable: use tls or starttls, or a server on 127.0.0.1"
            raise ValueError(msg)
        if (self.username is None) != (self.password is None):
            msg = "username and password go together: set both or neither"
            raise ValueError(msg)
        return self


class BackupRules(Table):
    """Backups of the database and the secrets, encrypted with a key that is derived from the master key."""

    daily: bool = Field(True, description="Make one every night, at midnight UTC, and once a week try to restore it.")
    directory: Path | None = Field(
        None, description="Where backups are kept; data_directory/backups when not set. Best on another disk."
    )
    keep: Seconds = Field(timedelta(days=30), description="Backups older than this are deleted, seconds.")
    keep_least: int = Field(3, ge=1, description="So many of the newest are kept, however old they are.")
    database_url: SecretStr | None = Field(
        None,
        description="Login that reads every row of a database of your own, a superuser or one with BYPASSRLS; "
        "database_admin_url when not set.",
    )
    programs: DirectoryPath | None = Field(
        None, description="Folder of pg_dump and pg_restore, for a server newer than those that came along."
    )
