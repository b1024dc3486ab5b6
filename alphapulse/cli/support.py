"""Support of a tenant: open, close, list."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column
from alphapulse.cli.text import time
from alphapulse.domain.support import SupportSession

app = group()

_COLUMNS: tuple[Column[SupportSession], ...] = (
    Column("OPENED", lambda session: time(session.opened_at)),
    Column("UNTIL", lambda session: time(session.closed_at or session.expires_at)),
    Column("BY", lambda session: session.actor),
    Column("TICKET", lambda session: session.ticket, style="bold"),
    Column("REASON", lambda session: session.reason),
)

_Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="Slug of the tenant.")]


@app.command("open")
def open_session(
    ctx: typer.Context,
    slug: _Tenant,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; the tenant reads it.")],
    ticket: Annotated[
        str, typer.Option("--ticket", metavar="REFERENCE", help="Under which the tenant asked, for example SUP-1042.")
    ],
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=480, help="How long, 1 to 480.")] = 30,
) -> None:
    """Be allowed to change a tenant for a while; its admins get a mail."""
    run = invocation(ctx)
    run.use_tenant(slug)
    made = run.client.support.open(reason=reason, ticket=ticket, minutes=minutes)
    lines = [
        ("tenant", slug),
        ("ticket", made.ticket),
        ("until", time(made.expires_at)),
        ("told", "the tenant's admins by mail, its audit log and its event stream"),
    ]
    run.output.record(made, lines, key=str(made.id))


@app.command("close")
def close(ctx: typer.Context, slug: _Tenant) -> None:
    """End your support session before its time."""
    run = invocation(ctx)
    run.use_tenant(slug)
    run.client.support.close()
    run.output.record({"tenant": slug, "closed": True}, [("support", f"of {slug} closed")], key=slug)


@app.command("list")
def list_sessions(
    ctx: typer.Context,
    slug: Annotated[str | None, typer.Argument(metavar="TENANT", help="For platform admins; else your own.")] = None,
) -> None:
    """Every support session of a tenant, newest first."""
    run = invocation(ctx)
    if slug is not None:
        run.use_tenant(slug)
    run.output.rows(
        run.client.support.sessions(),
        _COLUMNS,
        key=lambda session: str(session.id),
        empty="Nobody was given support of this tenant.",
    )
