"""What happened: the audit log and the events."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column, Format, clean, say
from alphapulse.cli.text import NONE, time
from alphapulse.domain.audit import ChainedEvent
from alphapulse.domain.wire import parse_time
from alphapulse.errors import DriftFound

if TYPE_CHECKING:
    from alphapulse.client.connection import Target
    from alphapulse.client.stream import Link, Renew
    from alphapulse.domain.events import Event

audit = group()
events = group()


@audit.command("list")
def list_audit(
    ctx: typer.Context,
    actor: Annotated[str | None, typer.Option("--actor", metavar="EMAIL|key:PREFIX")] = None,
    action: Annotated[str | None, typer.Option("--action", metavar="ACTION", help="For example trades.post.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="ISO 8601 in UTC.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="ISO 8601 in UTC.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    before: Annotated[str | None, typer.Option("--before", metavar="CURSOR", help="Continue a list.")] = None,
) -> None:
    """Who did what, newest first."""
    run = invocation(ctx)
    page = run.client.journal.audit(
        actor=actor,
        action=action,
        since=parse_time(since, "since") if since else None,
        until=parse_time(until, "until") if until else None,
        limit=limit,
        before=before,
    )
    columns = [
        Column[ChainedEvent]("#", lambda item: str(item.sequence), right=True, style="dim"),
        Column[ChainedEvent]("AT", lambda item: time(item.event.at.replace(microsecond=0))),
        Column[ChainedEvent]("ACTOR", lambda item: item.event.actor),
        Column[ChainedEvent]("ACTION", lambda item: item.event.action, style="bold"),
        Column[ChainedEvent]("PATH", lambda item: item.event.path),
        Column[ChainedEvent]("STATUS", lambda item: str(item.event.status), right=True, style=_outcome),
        Column[ChainedEvent]("OUTCOME", lambda item: item.event.outcome, style=_outcome),
    ]
    run.output.rows(page, columns, key=lambda item: str(item.sequence), following=page.next, empty="No entry.")


def _outcome(item: ChainedEvent) -> str:
    return "" if item.event.status < 400 else "red"


@audit.command("verify")
def verify(ctx: typer.Context) -> None:
    """Recompute the hash chain; exits with 3 when it is broken."""
    run = invocation(ctx)
    found = run.client.journal.verify()
    pairs = [
        ("entries", f"{found.length:,}"),
        ("head", found.head.hex()),
        ("chain", "whole" if found.broken_at is None else f"BROKEN at {found.broken_at}: {found.problem}"),
    ]
    run.output.record(found, pairs, key=found.head.hex())
    if found.broken_at is not None:
        raise DriftFound(
            f"the audit chain is broken at entry {found.broken_at}: {found.problem}",
            fix="Compare with a head that was published earlier; somebody changed rows behind the daemon's back.",
        )


@events.command("tail")
def tail(
    ctx: typer.Context,
    since: Annotated[
        int | None,
        typer.Option(
            "--since", min=0, help="After this sequence number. Default: from now on; with --no-follow from the first."
        ),
    ] = None,
    follow_on: Annotated[bool, typer.Option("--follow/--no-follow", help="Keep waiting for more.")] = True,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="End after so many events.")] = None,
) -> None:
    """Events as they happen, one a line; a lost connection resumes where it was."""
    run = invocation(ctx)
    if follow_on:
        asyncio.run(follow_events(run, run.target(), since, limit, _renewal(run)))
    else:
        _print_stored(run, since or 0, limit)


def _print_stored(run: Invocation, since: int, limit: int | None) -> None:
    shown = 0
    while True:
        page = run.client.journal.events(since, 500)
        for event in page:
            _show_event(run, event)
            shown += 1
            if shown == limit:
                return
        if page.next is None:
            return
        since = int(page.next)


async def follow_events(
    run: Invocation, target: Target, since: int | None, limit: int | None, renew: Renew | None = None
) -> None:
    """Prints events until ``limit`` of them came, or without end."""
    from contextlib import aclosing

    from alphapulse.client.stream import Link, follow

    shown = 0
    async with aclosing(follow(target, since, renew=renew)) as stream:
        async for item in stream:
            if isinstance(item, Link):
                _show_link(run, item)
                continue
            _show_event(run, item)
            shown += 1
            if shown == limit:
                return


def _renewal(run: Invocation) -> Renew | None:
    """A way to renew a login while the stream is open; an API key needs none."""
    if not run.context().token:
        return None

    async def renew() -> str:
        return (await asyncio.to_thread(run.client.access.renew)).token

    return renew


def _show_link(run: Invocation, link: Link) -> None:
    if link.state.value == "down":
        run.output.note(f"connection lost ({link.detail}); trying again")


def _show_event(run: Invocation, event: Event) -> None:
    if run.output.quiet:
        say(str(event.sequence))
    elif run.output.form is not Format.TABLE:
        run.output.json_line(event)
    else:
        details = " ".join(f"{name}={value}" for name, value in event.payload.items() if value not in (None, "", []))
        say(f"{event.sequence:>6}  {time(event.at)}  {event.kind.value:<18}  {clean(details) or NONE}")
    sys.stdout.flush()
