"""API keys for scripts, and the keys that sign tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column
from alphapulse.cli.text import NONE, time
from alphapulse.domain.access import SigningKey
from alphapulse.domain.tenancy import ApiKey, Role, parse_role
from alphapulse.domain.wire import parse_time

keys = group()
signing = group()
keys.add_typer(signing, name="signing", help="The keys that tokens are signed with.")

_KeyId = Annotated[str, typer.Argument(metavar="ID")]


@keys.command("create")
def create_key(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    role: Annotated[
        str,
        typer.Option("--role", metavar="ROLE", help="tenant_admin, trader or viewer; platform_admin outside a tenant."),
    ] = Role.VIEWER.value,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="PERMISSION", help="Confine it, for example orders.read. May be repeated."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="ISO 8601 in UTC. Default: good until revoked.")
    ] = None,
) -> None:
    """Make an API key; it is shown once and stored hashed."""
    run = invocation(ctx)
    wanted = Role.PLATFORM_ADMIN if role == Role.PLATFORM_ADMIN else parse_role(role)
    until = None if expires is None else parse_time(expires, "expires")
    _show_new(run, run.client.keys.create(name, wanted, scopes=scope or None, expires_at=until))


@keys.command("list")
def list_keys(ctx: typer.Context) -> None:
    """The tenant's API keys, without their secrets."""
    run = invocation(ctx)
    columns = [
        Column[ApiKey]("ID", lambda item: str(item.id)),
        Column[ApiKey]("NAME", lambda item: item.name),
        Column[ApiKey]("PREFIX", lambda item: item.prefix),
        Column[ApiKey]("ROLE", lambda item: str(item.role)),
        Column[ApiKey]("SCOPES", lambda item: "all" if item.scopes is None else ", ".join(item.scopes)),
        Column[ApiKey]("LAST USED", lambda item: time(item.last_used_at)),
        Column[ApiKey]("EXPIRES", lambda item: time(item.expires_at)),
        Column[ApiKey]("REVOKED", lambda item: time(item.revoked_at)),
    ]
    page = run.client.keys.list()
    run.output.rows(page, columns, key=lambda item: str(item.id), following=page.next, empty="No key yet.")


@keys.command("rotate")
def rotate_key(
    ctx: typer.Context,
    key_id: _KeyId,
    overlap: Annotated[
        int, typer.Option("--overlap", metavar="SECONDS", min=0, help="How long the old one stays good.")
    ] = 86_400,
) -> None:
    """Make a key like this one, with another secret, and let the old one end later."""
    run = invocation(ctx)
    _show_new(run, run.client.keys.rotate(key_id, overlap))


@keys.command("revoke")
def revoke_key(ctx: typer.Context, key_id: _KeyId) -> None:
    """End a key at once."""
    run = invocation(ctx)
    run.confirm(f"Revoke key {key_id}?")
    run.client.keys.revoke(key_id)
    run.output.record({"id": key_id}, [("revoked", key_id)], key=key_id)


@signing.command("list")
def list_signing(ctx: typer.Context) -> None:
    """The keys that tokens are signed with, the newest first."""
    run = invocation(ctx)
    columns = [
        Column[SigningKey]("ID", lambda item: item.id),
        Column[SigningKey]("CREATED", lambda item: time(item.created_at)),
        Column[SigningKey]("SIGNS FROM", lambda item: time(item.active_from)),
        Column[SigningKey]("GOOD UNTIL", lambda item: time(item.retires_at)),
    ]
    page = run.client.keys.signing()
    run.output.rows(page, columns, key=lambda item: item.id, following=page.next, empty="No key yet.")


@signing.command("rotate")
def rotate_signing(
    ctx: typer.Context,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="The old key is known to others: refuse its tokens from now on.")
    ] = False,
) -> None:
    """Sign tokens with a new key; those of the old one stay good until they expire."""
    run = invocation(ctx)
    if at_once:
        run.confirm("Refuse every token that was signed before? Logins refresh by themselves.")
    made = run.client.keys.rotate_signing(at_once=at_once)
    run.output.record(made, [("id", made.id), ("signs from", time(made.active_from))], key=made.id)


def _show_new(run: Invocation, made: ApiKey) -> None:
    run.output.record(
        made,
        [
            ("name", made.name),
            ("role", str(made.role)),
            ("scopes", "all of the role" if made.scopes is None else ", ".join(made.scopes)),
            ("expires", time(made.expires_at)),
            ("id", str(made.id)),
            ("key", made.key or NONE),
        ],
        key=made.key or NONE,
    )
    run.output.note("Keep the key now: it is not shown again. Scripts take it from ALPHAPULSE_API_KEY.")
