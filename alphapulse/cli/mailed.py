"""Links that came by mail: which daemon they lead to, and what they open there."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from alphapulse.errors import InputNeeded, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Generator

    from alphapulse.cli.invocation import Invocation
    from alphapulse.client.api import Client

AllowHttp = Annotated[
    bool, typer.Option("--allow-http", help="Send keys in clear text to another machine, for example inside a tunnel.")
]
AcceptPolicy = Annotated[
    str | None,
    typer.Option("--accept-policy", metavar="VERSION", help="Accept this version of the privacy policy unasked."),
]


@contextmanager
def opened(run: Invocation, link: str, *, allow_http: bool = False) -> Generator[tuple[Client, str]]:
    """A client of the daemon that the link leads to, without a login, and the token. A bare token is one of the
    current context's daemon. Raises InvalidInput for a link that is cut off.
    """
    from alphapulse.cli.addresses import checked
    from alphapulse.cli.context import Context
    from alphapulse.client.api import Client

    page, mark, token = link.strip().partition("#")
    if not mark:
        page, token = "", page
    if not token:
        raise InvalidInput("the link has nothing behind its #", field="link", fix="Copy the whole link from the mail.")
    if page:
        context = Context(checked(page.rpartition("/")[0], allow_http))
    else:
        known = run.context()
        context = Context(known.url, ca=known.ca)
    with Client(replace(context.target(), tenant="")) as client:
        yield client, token


def line() -> str:
    """The next line of stdin."""
    return sys.stdin.readline().rstrip("\r\n")


def agreed(run: Invocation, client: Client, version: str, given: str | None) -> str:
    """The version that the person accepts, after they were shown it. given: accepted in advance.

    Raises InputNeeded when nobody can be asked, typer.Abort when they do not accept.
    """
    if given is not None:
        return given
    if not run.may_ask:
        raise InputNeeded(
            f"the privacy policy {version} must be accepted, and nobody can be asked here",
            fix=f"Read it with `alphapulse policy show`, then add --accept-policy {version}.",
        )
    run.output.note(client.people.policy(version).text)
    typer.confirm(f"Do you accept this privacy policy ({version})?", abort=True, err=True)
    return version
