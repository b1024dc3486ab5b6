"""Commands that need no daemon. They hand over to ``python -m alphapulse.daemon``; this side never imports it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from alphapulse.cli import process
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation

db = group()
config = group()


def hand_over(run: Invocation, *arguments: str) -> None:
    """This process becomes the daemon's: its output, its signals and its exit code are its own."""
    run.close()
    command = process.command(*arguments, *(["--json"] if run.as_json else []))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606 -- our own interpreter and module, no shell in between


@db.command("upgrade")
def upgrade(ctx: typer.Context) -> None:
    """Bring the database to this version's schema."""
    hand_over(invocation(ctx), "db", "upgrade")


@db.command("status")
def status(ctx: typer.Context) -> None:
    """Which schema the database has, and which one this version needs."""
    hand_over(invocation(ctx), "db", "status")


@db.command("check")
def check(ctx: typer.Context) -> None:
    """Row-level security, roles and policies, as the daemon checks them at its start."""
    hand_over(invocation(ctx), "db", "check")


@config.command("show")
def show(ctx: typer.Context) -> None:
    """Every setting in force, secrets masked."""
    hand_over(invocation(ctx), "config", "show")


@config.command("validate")
def validate(
    ctx: typer.Context,
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="Default: the user's file.")] = None,
) -> None:
    """Check the settings without starting anything."""
    hand_over(invocation(ctx), "config", "validate", *([file] if file else []))


def doctor(ctx: typer.Context) -> None:
    """Find what is wrong on this machine; every finding names its fix."""
    hand_over(invocation(ctx), "doctor")


def worker(ctx: typer.Context) -> None:
    """Run jobs from the queue, without serving the API."""
    hand_over(invocation(ctx), "worker")
