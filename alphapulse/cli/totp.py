"""The second factor: an authenticator, and recovery codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import say
from alphapulse.cli.text import time
from alphapulse.domain.access import Enrolment, RecoveryCodes

totp = group()

_PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read your password from the first line of stdin.")
]
_Code = Annotated[
    str | None,
    typer.Option("--code", metavar="CODE", help="Of your authenticator, or a recovery code."),
]


@totp.command("enable")
def enable(
    ctx: typer.Context,
    password_stdin: _PasswordStdin = False,
    code_stdin: Annotated[
        bool, typer.Option("--code-stdin", help="Read the code from stdin, after the secret was written.")
    ] = False,
) -> None:
    """Add an authenticator; every login then needs a code of it."""
    run = invocation(ctx)
    password = _password(run, password_stdin)
    enrolment = run.client.access.enrol(password)
    _show_enrolment(run, enrolment)
    code = _line() if code_stdin else run.ask("Code that it shows", "--code-stdin")
    _show_codes(run, run.client.access.confirm_factor(password, code))


@totp.command("status")
def status(ctx: typer.Context) -> None:
    """Whether you have a second factor."""
    run = invocation(ctx)
    found = run.client.access.second_factor()
    run.output.record(
        found,
        [
            ("since", time(found.confirmed_at)),
            ("recovery codes left", str(found.recovery_codes)),
            *([("needed", "before you can do anything else")] if found.required else []),
        ],
        key="off" if found.confirmed_at is None else "on",
    )


@totp.command("codes")
def codes(ctx: typer.Context, password_stdin: _PasswordStdin = False, code: _Code = None) -> None:
    """Make new recovery codes; the old ones are void."""
    run = invocation(ctx)
    password = _password(run, password_stdin)
    _show_codes(run, run.client.access.renew_codes(password, code or run.ask("Code of your authenticator", "--code")))


@totp.command("disable")
def disable(ctx: typer.Context, password_stdin: _PasswordStdin = False, code: _Code = None) -> None:
    """Log in with the password alone again."""
    run = invocation(ctx)
    password = _password(run, password_stdin)
    run.client.access.disable_factor(password, code or run.ask("Code of your authenticator", "--code"))
    run.output.record({"enabled": False}, [("second factor", "off")], key="off")


def _password(run: Invocation, from_stdin: bool) -> str:
    return _line() if from_stdin else run.ask("Your password", "--password-stdin", hidden=True)


def _line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _show_enrolment(run: Invocation, enrolment: Enrolment) -> None:
    """On stdout for a program, which takes the secret from there; on stderr for a person."""
    if run.as_json:
        run.output.json_line(enrolment)
        return
    note = run.output.note
    note("Add this to your authenticator, by its secret or as a QR code of the address:")
    note(f"  secret   {enrolment.secret}")
    note(f"  address  {enrolment.uri}")


def _show_codes(run: Invocation, made: RecoveryCodes) -> None:
    if run.as_json:
        run.output.json_line(made)
        return
    for code in made.codes:
        say(code)
    run.output.note("Keep these recovery codes: each logs in once without the authenticator, and none is shown again.")
