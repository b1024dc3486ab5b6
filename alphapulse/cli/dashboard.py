"""`alphapulse tui`."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.lazy import invocation
from alphapulse.errors import InputNeeded


def tui(
    ctx: typer.Context,
    fund: Annotated[str | None, typer.Option("--fund", metavar="NAME", help="The fund to begin with.")] = None,
) -> None:
    """The live dashboard of a fund or of the whole tenant."""
    import sys
    from dataclasses import replace

    run = invocation(ctx)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputNeeded("the dashboard needs a terminal", fix="Use `alphapulse portfolio show --json` in scripts.")
    run.client.access.whoami()
    target, login = replace(run.target(), dashboard=True), bool(run.context().token)
    run.close()

    from alphapulse.tui.app import run as show
    from alphapulse.tui.source import DaemonSource

    code = show(DaemonSource(target, fresh_token=run.fresh_token if login else None), fund=fund)
    if code:
        raise typer.Exit(code)
