"""`alphapulse init`: from an empty machine to a daemon that may be started."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.lazy import invocation
from alphapulse.cli.machine import hand_over


def init(
    ctx: typer.Context,
    profile: Annotated[str, typer.Option("--profile", metavar="development|production")] = "development",
    admin_email: Annotated[
        str | None, typer.Option("--admin-email", metavar="EMAIL", help="Make the first platform admin.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the admin's password from the standard input.")
    ] = False,
    data_directory: Annotated[str | None, typer.Option("--data-directory", metavar="DIR")] = None,
    public_url: Annotated[
        str | None, typer.Option("--public-url", metavar="URL", help="Under which people reach it.")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Default: 8470.")] = None,
    tls_certificate: Annotated[str | None, typer.Option("--tls-certificate", metavar="FILE")] = None,
    tls_key: Annotated[str | None, typer.Option("--tls-key", metavar="FILE")] = None,
    trusted_proxy: Annotated[
        list[str] | None, typer.Option("--trusted-proxy", metavar="ADDRESS", help="Of a proxy that ends TLS.")
    ] = None,
    smtp_host: Annotated[str | None, typer.Option("--smtp-host", metavar="HOST")] = None,
    smtp_port: Annotated[int | None, typer.Option("--smtp-port", metavar="N", help="Default: 465.")] = None,
    smtp_security: Annotated[str | None, typer.Option("--smtp-security", metavar="tls|starttls|none")] = None,
    smtp_sender: Annotated[str | None, typer.Option("--smtp-sender", metavar="EMAIL")] = None,
    backup_directory: Annotated[
        str | None, typer.Option("--backup-directory", metavar="DIR", help="Best on another disk.")
    ] = None,
) -> None:
    """Write the settings, make the keys, the database and the first admin; ends in doctor.

    What is missing is asked for. Logins and passwords of the database and the mail server are best set as variables:
    ALPHAPULSE_DATABASE_URL, ALPHAPULSE_SMTP__USERNAME, ALPHAPULSE_SMTP__PASSWORD.
    """
    given: dict[str, str | int | None] = {
        "profile": profile,
        "data-directory": data_directory,
        "public-url": public_url,
        "host": host,
        "port": port,
        "tls-certificate": tls_certificate,
        "tls-key": tls_key,
        "smtp-host": smtp_host,
        "smtp-port": smtp_port,
        "smtp-security": smtp_security,
        "smtp-sender": smtp_sender,
        "backup-directory": backup_directory,
        "admin-email": admin_email,
    }
    options = [f"--{name}={value}" for name, value in given.items() if value is not None]
    options += [f"--trusted-proxy={address}" for address in trusted_proxy or []]
    hand_over(invocation(ctx), "init", *options, *(["--password-stdin"] if password_stdin else []))
