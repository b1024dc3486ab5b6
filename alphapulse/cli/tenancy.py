"""Tenants, members, API keys."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column
from alphapulse.cli.text import NONE, time
from alphapulse.domain.tenancy import ApiKey, Member, Role, Tenant, parse_email, parse_role, parse_slug
from alphapulse.errors import InputNeeded

T = TypeVar("T")

tenants = group()
members = group()
keys = group()

_PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the first password from the first line of stdin.")
]
_Role = Annotated[str, typer.Option("--role", metavar="ROLE", help="tenant_admin, trader or viewer.")]


def _line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _with_first_password(run: Invocation, email: str, given: bool, send: Callable[[str | None], T]) -> T:
    """What ``send`` answers. The daemon says when a password is needed, and then it is asked for."""
    try:
        return send(_line() if given else None)
    except InputNeeded:
        return send(run.ask(f"First password for {email}", "--password-stdin", hidden=True, twice=True))


def password(
    ctx: typer.Context,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read stdin: the current password, then the new one, a line each.")
    ] = False,
) -> None:
    """Change your password; your other logins end, here and elsewhere."""
    run = invocation(ctx)
    client = run.client
    current = _line() if password_stdin else run.ask("Current password", "--password-stdin", hidden=True)
    new = _line() if password_stdin else run.ask("New password", "--password-stdin", hidden=True, twice=True)
    client.access.change_password(current, new)
    run.output.record({"changed": True}, [("password", "changed; your other logins have ended")], key="changed")


@tenants.command("create")
def create_tenant(
    ctx: typer.Context,
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="For example acme-capital.")],
    admin: Annotated[str, typer.Option("--admin", metavar="EMAIL", help="The first tenant admin.")],
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Default: the slug.")] = None,
    tier: Annotated[str, typer.Option("--tier", metavar="TIER")] = "standard",
    password_stdin: _PasswordStdin = False,
) -> None:
    """Provision a tenant and its first tenant admin."""
    run = invocation(ctx)
    parse_slug(slug)
    email = parse_email(admin, "admin")
    created = _with_first_password(
        run,
        email,
        password_stdin,
        lambda first: run.client.tenancy.create_tenant(slug, name or slug, tier, email, first),
    )
    _show_tenant(run, created)


@tenants.command("list")
def list_tenants(ctx: typer.Context) -> None:
    """Every tenant of the platform."""
    run = invocation(ctx)
    columns = [
        Column[Tenant]("SLUG", lambda item: item.slug),
        Column[Tenant]("NAME", lambda item: item.name),
        Column[Tenant]("TIER", lambda item: item.tier),
        Column[Tenant]("STATE", lambda item: str(item.state)),
        Column[Tenant]("CREATED", lambda item: time(item.created_at)),
    ]
    page = run.client.tenancy.tenants()
    run.output.rows(page, columns, key=lambda item: item.slug, following=page.next, empty="No tenant yet.")


@tenants.command("show")
def show_tenant(ctx: typer.Context, slug: Annotated[str, typer.Argument(metavar="SLUG")]) -> None:
    """One tenant."""
    run = invocation(ctx)
    _show_tenant(run, run.client.tenancy.tenant(slug))


def _show_tenant(run: Invocation, item: Tenant) -> None:
    run.output.record(
        item,
        [
            ("slug", item.slug),
            ("name", item.name),
            ("tier", item.tier),
            ("state", str(item.state)),
            ("created", time(item.created_at)),
            ("id", str(item.id)),
        ],
        key=item.slug,
    )


@members.command("add")
def add_member(
    ctx: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL")],
    role: _Role = "viewer",
    password_stdin: _PasswordStdin = False,
) -> None:
    """Make somebody a member of the tenant; their first password is asked for."""
    run = invocation(ctx)
    address, wanted = parse_email(email), parse_role(role)
    item = _with_first_password(
        run, address, password_stdin, lambda first: run.client.tenancy.add_member(address, wanted, first)
    )
    run.output.record(item, [("email", item.email), ("role", str(item.role))], key=item.email)


@members.command("list")
def list_members(ctx: typer.Context) -> None:
    """The members of the tenant."""
    run = invocation(ctx)
    columns = [
        Column[Member]("EMAIL", lambda item: item.email),
        Column[Member]("ROLE", lambda item: str(item.role)),
        Column[Member]("SINCE", lambda item: time(item.created_at)),
    ]
    page = run.client.tenancy.members()
    run.output.rows(page, columns, key=lambda item: item.email, following=page.next, empty="No member yet.")


@members.command("remove")
def remove_member(ctx: typer.Context, email: Annotated[str, typer.Argument(metavar="EMAIL")]) -> None:
    """End a membership; its sessions and keys in the tenant end with it."""
    run = invocation(ctx)
    run.confirm(f"Remove {email} from the tenant?")
    run.client.tenancy.remove_member(email)
    run.output.record({"email": email}, [("removed", email)], key=email)


@keys.command("create")
def create_key(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    role: Annotated[
        str,
        typer.Option("--role", metavar="ROLE", help="tenant_admin, trader or viewer; platform_admin outside a tenant."),
    ] = Role.VIEWER.value,
) -> None:
    """Make an API key; it is shown once and stored hashed."""
    run = invocation(ctx)
    wanted = Role.PLATFORM_ADMIN if role == Role.PLATFORM_ADMIN else parse_role(role)
    made = run.client.tenancy.create_key(name, wanted)
    run.output.record(
        made,
        [("name", made.name), ("role", str(made.role)), ("id", str(made.id)), ("key", made.key or NONE)],
        key=made.key or NONE,
    )
    run.output.note("Keep the key now: it is not shown again. Scripts take it from ALPHAPULSE_API_KEY.")


@keys.command("list")
def list_keys(ctx: typer.Context) -> None:
    """The tenant's API keys, without their secrets."""
    run = invocation(ctx)
    columns = [
        Column[ApiKey]("ID", lambda item: str(item.id)),
        Column[ApiKey]("NAME", lambda item: item.name),
        Column[ApiKey]("PREFIX", lambda item: item.prefix),
        Column[ApiKey]("ROLE", lambda item: str(item.role)),
        Column[ApiKey]("CREATED", lambda item: time(item.created_at)),
        Column[ApiKey]("REVOKED", lambda item: time(item.revoked_at)),
    ]
    page = run.client.tenancy.keys()
    run.output.rows(page, columns, key=lambda item: str(item.id), following=page.next, empty="No key yet.")


@keys.command("revoke")
def revoke_key(ctx: typer.Context, key_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """End a key at once."""
    run = invocation(ctx)
    run.confirm(f"Revoke key {key_id}?")
    run.client.tenancy.revoke_key(key_id)
    run.output.record({"id": key_id}, [("revoked", key_id)], key=key_id)
