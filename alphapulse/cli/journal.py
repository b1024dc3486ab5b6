"""What happens: the events."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Format, clean, say
from alphapulse.cli.text import NONE, time

if TYPE_CHECKING:
    from alphapulse.client.connection import Target
    from alphapulse.client.stream import Link, Renew
    from alphapulse.domain.events import Event

events = group()


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
        return await asyncio.to_thread(run.fresh_token)

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
