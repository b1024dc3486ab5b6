"""Where somebody is logged in."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column
from alphapulse.cli.text import NONE, time
from alphapulse.domain.access import Session
from alphapulse.errors import InvalidInput

sessions = group()


@sessions.command("list")
def list_sessions(
    ctx: typer.Context,
    everyones: Annotated[bool, typer.Option("--everyones", help="Of every member of the tenant.")] = False,
) -> None:
    """Your logins, in every tenant; the one that asks is marked."""
    run = invocation(ctx)
    columns = [
        Column[Session]("", lambda item: "*" if item.current else " "),
        Column[Session]("ID", lambda item: str(item.id)),
        Column[Session]("USER", lambda item: item.email),
        Column[Session]("TENANT", lambda item: item.slug or NONE),
        Column[Session]("FROM", lambda item: item.address or NONE),
        Column[Session]("PROGRAM", lambda item: item.program[:40] or NONE),
        Column[Session]("SINCE", lambda item: time(item.created_at)),
        Column[Session]("LAST SEEN", lambda item: time(item.seen_at)),
    ]
    page = run.client.access.sessions(everyones=everyones)
    run.output.rows(page, columns, key=lambda item: str(item.id), following=page.next, empty="No login.")


@sessions.command("revoke")
def revoke_session(
    ctx: typer.Context,
    session_id: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    others: Annotated[bool, typer.Option("--others", help="All of yours but this one.")] = False,
) -> None:
    """End a login, here and everywhere."""
    run = invocation(ctx)
    if (session_id is None) != others:
        raise InvalidInput("name one session, or say --others", field="ID", fix="See `alphapulse sessions list`.")
    if session_id is not None:
        run.client.access.revoke_session(session_id)
        run.output.record({"id": session_id}, [("ended", session_id)], key=session_id)
        return
    run.confirm("End all your other logins?")
    ended = run.client.access.revoke_other_sessions()
    run.output.record({"ended": ended}, [("ended", str(ended))], key=str(ended))
