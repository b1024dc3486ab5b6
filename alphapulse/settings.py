"""Everything that can be set, read once at start: defaults shipped with the package, the user's file, the environment.

Later sources win: the packaged ``config/alphapulse.toml``, then the user's ``alphapulse.toml`` (in
``$XDG_CONFIG_HOME/alphapulse/``, or where ``ALPHAPULSE_CONFIG`` points), then ``ALPHAPULSE_*`` variables (a table's
key after two underscores: ``ALPHAPULSE_PAPER__FEE_RATE``), then what the command line gave. The result is frozen.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_config_path, user_data_path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from alphapulse.errors import Misconfigured
from alphapulse.packaged import packaged_config

PREFIX = "ALPHAPULSE_"


def default_data_directory() -> Path:
    """Where the daemon of this user keeps its data when nobody says otherwise."""
    return user_data_path("alphapulse")


def _written_as_text(value: object) -> object:
    if isinstance(value, float):
        msg = 'money and rates are written as text, for example "0.001"'
        raise ValueError(msg)  # noqa: TRY004 -- pydantic reports ValueError, and lets TypeError through
    return value


def _duration(value: object) -> object:
    """Environment variables are text: a bare number counts seconds, as it does in the file."""
    if isinstance(value, str) and value.strip().isdigit():
        return int(value)
    return value


def _listed(value: object) -> object:
    """``a, b`` as environment variables write lists."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Exact = Annotated[Decimal, BeforeValidator(_written_as_text)]
Fraction = Annotated[Exact, Field(ge=0, lt=1)]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]
Seconds = Annotated[Duration, Field(gt=timedelta(0))]
Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


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
        Decimal("0.1"), description="Largest share of one bar's volume that an order may take; the rest waits."
    )


class InstrumentRule(Table):
    """Trading steps of one symbol where the venue's own are not known."""

    price_increment: Annotated[Exact, Field(gt=0)] = Field(description="Price step, in quote currency.")
    quantity_increment: Annotated[Exact, Field(gt=0)] = Field(description="Quantity step, in base currency.")
    min_quantity: Annotated[Exact, Field(ge=0)] = Field(Decimal(0), description="Smallest order, in base currency.")
    min_notional: Annotated[Exact, Field(ge=0)] = Field(Decimal(0), description="Smallest order, in quote currency.")


class MarketRules(Table):
    """Where candles come from, and instruments that no source describes."""

    sources: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Venue to market data adapter (ccxt, synthetic, replay). A venue without one has imported candles.",
    )
    instruments: dict[str, dict[str, InstrumentRule]] = Field(
        default_factory=dict[str, dict[str, InstrumentRule]],
        description="Venue, then symbol, to trading steps; overrides what the source or the candles suggest.",
    )
    timeout: Seconds = Field(
        timedelta(seconds=10), description="Longest wait for one answer of a live source, seconds."
    )


class Settings(BaseSettings):
    """The daemon's settings."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True
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

    body_limit: int = Field(1_000_000, ge=1_000, description="Largest request body, bytes.")
    import_limit: int = Field(64_000_000, ge=1_000, description="Largest file of candles that may be uploaded, bytes.")
    token_lifetime: Seconds = Field(timedelta(hours=1), description="How long a login's token is good for, seconds.")
    session_lifetime: Seconds = Field(timedelta(days=7), description="How long a login can be renewed, seconds.")
    signing_key_file: Path | None = Field(
        None, description="Ed25519 key that signs tokens; made in data_directory when not set. Replicas share one."
    )
    password_threads: int = Field(2, ge=1, le=32, description="Passwords hashed at the same time; each takes 64 MiB.")

    settle_delay: Duration = Field(
        timedelta(seconds=10), description="Wait after a bar's close before deciding on it, seconds."
    )
    queue_concurrency: int = Field(2, ge=1, le=64, description="Jobs that one worker runs at the same time.")
    drain_timeout: Seconds = Field(
        timedelta(seconds=20), description="Longest wait for running requests and jobs when the daemon stops, seconds."
    )

    paper: PaperRules = Field(default_factory=PaperRules, description="How the paper venue fills orders.")  # pyright: ignore[reportArgumentType, reportCallIssue]
    market: MarketRules = Field(default_factory=MarketRules, description="Candles and instruments.")  # pyright: ignore[reportArgumentType, reportCallIssue]

    @field_validator("database_url", "database_admin_url", "database_platform_url")
    @classmethod
    def _speaks_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            msg = "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            raise ValueError(msg)
        return url

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
        return self

    def shown(self) -> dict[str, Any]:
        """Every setting as JSON-ready values in effect, secrets masked."""
        return self.model_dump(mode="json")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``. A name other than localhost counts as public."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def config_file() -> Path:
    """The user's file; it need not exist."""
    named = os.environ.get(f"{PREFIX}CONFIG")
    return Path(named) if named else user_config_path("alphapulse") / "alphapulse.toml"


def load(path: Path | None = None, **overrides: Any) -> Settings:
    """The settings in effect. path: the user's file, which then must exist.

    overrides: from the command line; None is left out.

    Raises Misconfigured naming the setting, what is wrong and how to write it.
    """
    user = _tables(path or config_file(), required=path is not None or f"{PREFIX}CONFIG" in os.environ)
    packaged = _tables(packaged_config() / "alphapulse.toml", required=False)
    given = {name: value for name, value in overrides.items() if value is not None}

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            files = (InitSettingsSource(settings_cls, init_kwargs=tables) for tables in (user, packaged))
            return init_settings, env_settings, *files

    try:
        return Layered(**given)
    except ValidationError as error:
        raise _misconfigured(error, user, path or config_file()) from error
    except SettingsError as error:
        raise Misconfigured(f"{error}", fix="Write tables in environment variables as JSON.") from error


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """``ALPHAPULSE_*`` variables that look like settings and are none: misspelled, most likely."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    clients = {f"{PREFIX}{name}" for name in ("CONFIG", "API_KEY", "CONTEXT", "TENANT", "URL", "COMPLETE")}
    return sorted(
        name for name in environment if name.startswith(PREFIX) and name.partition("__")[0] not in known | clients
    )


def _tables(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise Misconfigured(f"{path}: no such file", fix="Name an existing file, or unset it.") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: cannot be read: {error}", fix="Make it a readable UTF-8 file.") from error
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path}: not TOML: {error}", fix="Mend the line that is named.") from error


def _misconfigured(error: ValidationError, user: Mapping[str, Any], file: Path) -> Misconfigured:
    """Every mistake in one message; the fix says where each stands. user: the tables of the user's ``file``."""
    problems: list[str] = []
    fixes: list[str] = []
    for found in error.errors(include_url=False, include_input=False):
        steps = [str(part) for part in found["loc"]]
        path = ".".join(steps)
        problem = str(found["msg"]).removeprefix("Value error, ")
        variable = PREFIX + path.replace(".", "__").upper()
        where = variable if variable in os.environ else str(file) if steps and steps[0] in user else ""
        if not path:
            problems.append(problem)
            fixes.append("Change the settings named above.")
        elif found["type"] == "extra_forbidden":
            problems.append(f"setting {path} does not exist")
            fixes.append(f"Remove {path}{where and ' from '}{where}: {_nearest(steps)}")
        else:
            problems.append(f"setting {path}: {problem}")
            fixes.append(f"Correct {path}{where and ' in '}{where or f' where it is given, or set {variable}'}.")
    return Misconfigured("; ".join(problems), fix=" ".join(fixes))


def _nearest(steps: list[str]) -> str:
    """``did you mean ...`` where a name is close, else the names there are."""
    fields: Mapping[str, Any] = Settings.model_fields
    for step in steps[:-1]:
        kind = fields[step].annotation if step in fields else None
        fields = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}
    near = get_close_matches(steps[-1], fields, n=1)
    prefix = "".join(f"{step}." for step in steps[:-1])
    if near:
        return f"did you mean {prefix}{near[0]}?"
    return (
        f"the settings are {', '.join(sorted(prefix + name for name in fields))}" if fields else "there is no such name"
    )
