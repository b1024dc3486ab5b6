"""The logins of one database: who migrates, who serves, who looks across tenants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from alphapulse.errors import Misconfigured

APP_ROLE = "ap_app"
PLATFORM_ROLE = "ap_platform"


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """``postgresql://`` URLs of the same database.

    admin: creates roles and migrates; None when nobody configured one. app: serves requests, under row-level
    security. platform: reads every tenant's rows and writes nothing.
    """

    admin: str | None
    app: str
    platform: str


def socket_urls(socket_directory: Path, database: str) -> DatabaseUrls:
    """The logins of a private server that is reached over a unix socket, without passwords."""
    host = quote(str(socket_directory), safe="")

    def url(user: str) -> str:
        return f"postgresql://{user}@/{quote(database)}?host={host}"

    return DatabaseUrls(admin=url("postgres"), app=url(APP_ROLE), platform=url(PLATFORM_ROLE))


def external_urls(database_url: str, admin_url: str | None = None) -> DatabaseUrls:
    """The logins of a server somebody else runs.

    database_url: the application's login, usually ``ap_app`` with its password. The platform's login is the same
    with the user ``ap_platform``. Raises Misconfigured for what is not a PostgreSQL URL with a user.
    """
    parts = urlsplit(_checked(database_url, "database_url"))
    if admin_url is not None:
        _checked(admin_url, "database_admin_url")
    credentials, _, address = parts.netloc.rpartition("@")
    _, colon, password = credentials.partition(":")
    platform = parts._replace(netloc=f"{PLATFORM_ROLE}{colon}{password}@{address}")
    return DatabaseUrls(admin=admin_url, app=database_url, platform=urlunsplit(platform))


def of_database(urls: DatabaseUrls, name: str) -> DatabaseUrls:
    """The same logins of another database on the same server."""

    def renamed(url: str) -> str:
        return urlunsplit(urlsplit(url)._replace(path=f"/{quote(name)}"))

    return DatabaseUrls(None if urls.admin is None else renamed(urls.admin), renamed(urls.app), renamed(urls.platform))


def login_of(url: str) -> tuple[str, str | None]:
    """User and password as written in ``url``, decoded; no password is None."""
    parts = urlsplit(url)
    return unquote(parts.username or ""), None if parts.password is None else unquote(parts.password)


def _checked(url: str, setting: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.username:
        raise Misconfigured(
            f"{setting} is not a PostgreSQL URL with a user",
            fix="Write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE.",
        )
    return url
