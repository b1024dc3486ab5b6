"""A tenant of one's own, and the proof that an address is one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import invocation
from alphapulse.cli.mailed import AcceptPolicy, AllowHttp, agreed, line, opened
from alphapulse.cli.text import NONE
from alphapulse.domain.tenancy import parse_email, parse_slug

_PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
]
#: What the token of a sign-up begins with.
_SIGN_UP = "sgn_"


def signup(
    ctx: typer.Context,
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="Default: the daemon of the current context.")
    ] = None,
    email: Annotated[str | None, typer.Option("--email", metavar="ADDRESS", help="Asked for when not given.")] = None,
    slug: Annotated[str | None, typer.Option("--slug", metavar="SLUG", help="For example acme-capital.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Default: the slug.")] = None,
    tier: Annotated[str | None, typer.Option("--tier", metavar="TIER", help="starter, pro or enterprise.")] = None,
    accept_policy: AcceptPolicy = None,
    allow_http: AllowHttp = False,
) -> None:
    """Open a tenant of your own, where the daemon allows it; a mail says how to go on."""
    run = invocation(ctx)
    address = parse_email(email or run.ask("E-mail", "--email"))
    wanted = parse_slug(slug or run.ask("Short name of your tenant", "--slug"))
    with opened(run, f"{url.rstrip('/')}/#ask" if url else "ask", allow_http=allow_http) as (client, _):
        version = agreed(run, client, client.people.policy().version, accept_policy)
        sent = client.people.sign_up(email=address, slug=wanted, name=name or wanted, tier=tier, policy_version=version)
    run.output.record(
        sent, [("mail", f"on its way to {address}"), ("link", sent.link or NONE)], key=sent.link or address
    )
    run.output.note("Go on with `alphapulse account confirm LINK`, with the link of the mail.")


def confirm(
    ctx: typer.Context,
    link: Annotated[
        str | None,
        typer.Argument(metavar="[LINK]", help="From the mail. Without one, a new mail goes to your own address."),
    ] = None,
    password_stdin: _PasswordStdin = False,
    allow_http: AllowHttp = False,
) -> None:
    """Confirm an address by the link that was mailed there; this also goes on with a sign-up."""
    run = invocation(ctx)
    if link is None:
        run.client.people.send_confirmation()
        run.output.record({"sent": True}, [("mail", "on its way to your address")], key="sent")
        return
    with opened(run, link, allow_http=allow_http) as (client, token):
        if not token.startswith(_SIGN_UP):
            client.people.confirm(token)
            run.output.record({"confirmed": True}, [("address", "confirmed")], key="confirmed")
            return
        made = client.people.finish_sign_up(token, _password(run, given=password_stdin))
        url = client.target.url
    run.output.record(made, [("tenant", made.slug), ("state", str(made.state))], key=made.slug)
    run.output.note(f"In a moment you can log in: alphapulse login {url}")


def _password(run: Invocation, *, given: bool) -> str:
    if given:
        return line()
    run.output.note("If the address has an account here, type its password; otherwise choose a new one.")
    return run.ask("Password", "--password-stdin", hidden=True, twice=True)
