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


@db.command("backup")
def backup(ctx: typer.Context) -> None:
    """Keep the database and the secrets in one encrypted file; the daemon does it every night by itself."""
    hand_over(invocation(ctx), "db", "backup")


@db.command("backups")
def backups(ctx: typer.Context) -> None:
    """The backups there are, newest first."""
    hand_over(invocation(ctx), "db", "backups")


_Backup = Annotated[str | None, typer.Argument(metavar="[FILE]", help="Default: the newest backup.")]
_Key = Annotated[
    str | None, typer.Option("--key", metavar="FILE", help="The master key it was made with. Default: this machine's.")
]

_Erasures = Annotated[
    str | None, typer.Option("--erasures", metavar="FILE", help="A further erasure ledger, of a daemon that was lost.")
]


@db.command("verify")
def verify(
    ctx: typer.Context,
    file: _Backup = None,
    key: _Key = None,
    drill: Annotated[
        bool, typer.Option("--drill", help="Also restore it into a scratch database, and prove that.")
    ] = False,
) -> None:
    """Read a backup from end to end; exits with 3 when it is damaged."""
    hand_over(invocation(ctx), "db", "verify", *_backup(file, key), *(["--drill"] if drill else []))


@db.command("restore")
def restore(
    ctx: typer.Context,
    file: _Backup = None,
    key: _Key = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Although there is a database; it is kept under another name.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Although the proof finds differences.")] = False,
    erasures: _Erasures = None,
) -> None:
    """Put a backup in place, proved first. Trading is halted and everybody is logged out afterwards."""
    chosen = [option for option, given in (("--replace", replace), ("--force", force)) if given]
    hand_over(invocation(ctx), "db", "restore", *_backup(file, key), *chosen, *_ledger(erasures))


@db.command("restored")
def restored(ctx: typer.Context, erasures: _Erasures = None) -> None:
    """After a restore by other means: erase again what came back, and prove books and audit chains."""
    hand_over(invocation(ctx), "db", "restored", *_ledger(erasures))


def _ledger(erasures: str | None) -> list[str]:
    return [f"--erasures={erasures}"] if erasures else []


def _backup(file: str | None, key: str | None) -> list[str]:
    return [*([f"--key={key}"] if key else []), *([file] if file else [])]


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
