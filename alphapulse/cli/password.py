"""One's own password, and the privacy policy."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.mailed import AllowHttp, line, opened
from alphapulse.domain.tenancy import parse_email

password = group()
policy = group()

_PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the new password from the first line of stdin.")
]


@password.command("change")
def change(
    ctx: typer.Context,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read stdin: the current password, then the new one, a line each.")
    ] = False,
) -> None:
    """Change your password; your other logins end, here and elsewhere."""
    run = invocation(ctx)
    client = run.client
    current = line() if password_stdin else run.ask("Current password", "--password-stdin", hidden=True)
    new = line() if password_stdin else run.ask("New password", "--password-stdin", hidden=True, twice=True)
    client.access.change_password(current, new)
    run.output.record({"changed": True}, [("password", "changed; your other logins have ended")], key="changed")


@password.command("reset")
def reset(
    ctx: typer.Context,
    email: Annotated[
        str | None, typer.Option("--email", metavar="ADDRESS", help="Whose password was forgotten; asked for else.")
    ] = None,
    token: Annotated[
        str | None, typer.Option("--token", metavar="LINK", help="From the mail: the whole link, or its token alone.")
    ] = None,
    password_stdin: _PasswordStdin = False,
    allow_http: AllowHttp = False,
) -> None:
    """Set a new password: first for a mail with a link, then with the link."""
    run = invocation(ctx)
    if token is None:
        address = parse_email(email or run.ask("E-mail", "--email"))
        with opened(run, "ask", allow_http=allow_http) as (client, _):
            client.people.forgot_password(address)
        shown = "if it has an account; the link in it is good for an hour"
        run.output.record({"sent": True}, [("mail", f"on its way to {address}, {shown}")], key="sent")
        return
    with opened(run, token, allow_http=allow_http) as (client, secret):
        new = line() if password_stdin else run.ask("New password", "--password-stdin", hidden=True, twice=True)
        client.people.reset_password(secret, new)
    run.output.record({"changed": True}, [("password", "changed; all your logins have ended")], key="changed")


@policy.command("show")
def show(
    ctx: typer.Context,
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Default: the one in force.")] = None,
) -> None:
    """The daemon's privacy policy."""
    run = invocation(ctx)
    with opened(run, "ask") as (client, _):
        found = client.people.policy(version)
    run.output.record(
        found, [("version", found.version), ("in force", "yes" if found.current else "no")], key=found.version
    )
    if run.output.for_people:
        run.output.note(found.text)


@policy.command("accept")
def accept(ctx: typer.Context, version: Annotated[str, typer.Argument(metavar="VERSION")]) -> None:
    """Accept the privacy policy in force."""
    run = invocation(ctx)
    run.client.people.accept_policy(version)
    run.output.record({"accepted": version}, [("accepted", version)], key=version)
