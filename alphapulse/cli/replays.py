"""Replays: a fund over past bars, watched until it is done."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from alphapulse.cli.lazy import invocation
from alphapulse.cli.progress import bar
from alphapulse.cli.text import time
from alphapulse.domain.funds import Replay, ReplayState
from alphapulse.domain.wire import parse_time
from alphapulse.errors import Conflict, InvalidInput, Unavailable

if TYPE_CHECKING:
    from alphapulse.cli.invocation import Invocation
    from alphapulse.client.api import Client

#: Seconds without a bar done after which the replay counts as stuck.
_STUCK_AFTER = 120.0
#: Seconds between two looks at the replay: soon at first, then within what a tenant may ask in a minute.
_FIRST_LOOK, _LONGER, _LOOK_EVERY = 0.1, 1.1, 1.0


def replay(
    ctx: typer.Context,
    fund: Annotated[str, typer.Argument(metavar="FUND", help="Its name or id; it must be stopped.")],
    bars: Annotated[
        int | None, typer.Option("--bars", min=1, help="So many up to the end; without it and --from, all there are.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="First bar's close, ISO 8601.")] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Last bar's close; default: the newest.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when it is finished, or at once.")] = True,
    stop: Annotated[
        UUID | None, typer.Option("--stop", metavar="ID", help="End this replay instead; what it did so far stands.")
    ] = None,
) -> None:
    """Run a stopped fund over past bars, through the same cycle that trades; a restart of the daemon resumes it."""
    run = invocation(ctx)
    if stop is not None:
        if bars is not None or start is not None or end is not None:
            raise InvalidInput("--stop goes without --bars, --from and --to", field="stop", fix="Leave them out.")
        _show(run, run.client.funds.stop_replay(fund, stop))
        return
    begun = run.client.funds.start_replay(
        fund,
        bars=bars,
        start_at=None if start is None else parse_time(start, "from"),
        end_at=None if end is None else parse_time(end, "to"),
    )
    done = watch(run, run.client, fund, begun, _failed) if wait else begun
    _show(run, done)
    if wait:
        run.output.note(f"See how it went: alphapulse portfolio performance --fund {fund}")
    else:
        run.output.note(f"Stop it with: alphapulse funds replay {fund} --stop {done.id}")


def _show(run: Invocation, done: Replay) -> None:
    pairs = [
        ("replay", done.state.value),
        ("bars", f"{done.bars_done:,} of {done.bars_total:,}"),
        ("from", time(done.start_at)),
        ("to", time(done.end_at)),
        ("id", str(done.id)),
    ]
    run.output.record(done, pairs, key=str(done.id))


def watch(run: Invocation, client: Client, fund: str, begun: Replay, failed: Callable[[Replay], Exception]) -> Replay:
    """The replay when it is finished, with a bar meanwhile. Raises what ``failed`` makes of one that failed, Conflict
    when somebody stopped it, and Unavailable when it makes no progress.
    """
    found, moved_at, pause = begun, clock.monotonic(), _FIRST_LOOK
    with bar(run, "Replaying") as shown:
        while found.state is ReplayState.RUNNING:
            shown.moved(found.bars_done, found.bars_total, found.cursor.strftime("%Y-%m-%d") if found.cursor else "")
            clock.sleep(pause)
            pause = min(pause * _LONGER, _LOOK_EVERY)
            before, found = found, client.funds.replay(fund, found.id)
            moved_at = clock.monotonic() if found.bars_done > before.bars_done else moved_at
            if clock.monotonic() - moved_at > _STUCK_AFTER:
                raise Unavailable(
                    f"the replay stands at bar {found.bars_done} of {found.bars_total}",
                    fix="It goes on by itself as soon as a worker is free; see `alphapulse jobs list`.",
                )
    if found.state is ReplayState.FAILED:
        raise failed(found)
    if found.state is ReplayState.STOPPED:
        raise Conflict(f"somebody stopped the replay at bar {found.bars_done} of {found.bars_total}")
    return found


def _failed(found: Replay) -> Exception:
    return Conflict(f"the replay failed: {found.error}", fix="Mend what it names, then replay again.")
