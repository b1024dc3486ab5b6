"""Logging in and out, and which daemon is meant."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from alphapulse.cli import context as files
from alphapulse.cli.addresses import checked
from alphapulse.cli.context import Context
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.mailed import AcceptPolicy, agreed
from alphapulse.cli.render import Column
from alphapulse.cli.text import NONE, time
from alphapulse.client.api import Client
from alphapulse.domain.tenancy import Token
from alphapulse.errors import CodeNeeded, Conflict, InvalidInput, PolicyNotAccepted, TryAgain, Unauthenticated

#: The shape of every key that a daemon makes: a visible prefix, then the secret.
_API_KEY = re.compile(r"ap_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")

context = group()

_Ca = Annotated[
    Path | None, typer.Option("--ca", metavar="FILE", help="PEM file to check the daemon's certificate with.")
]
_AllowHttp = Annotated[
    bool, typer.Option("--allow-http", help="Send keys in clear text to another machine, for example inside a tunnel.")
]


def login(
    ctx: typer.Context,
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="Default: the daemon of the current context.")
    ] = None,
    email: Annotated[str | None, typer.Option("--email", metavar="ADDRESS", help="Asked for when not given.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the context to write.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
    ] = False,
    code: Annotated[
        str | None,
        typer.Option("--code", metavar="CODE", help="Of your authenticator, or a recovery code."),
    ] = None,
    accept_policy: AcceptPolicy = None,
    ca: _Ca = None,
    allow_http: _AllowHttp = False,
) -> None:
    """Log in to a daemon with e-mail and password; the login goes into a context of its own."""
    run = invocation(ctx)
    contexts = run.contexts()
    current = (
        files.choose(contexts, run.environment, run.context_name) if url is None else Context(checked(url, allow_http))
    )
    address = email or run.ask("E-mail", "--email")
    password = (
        sys.stdin.readline().rstrip("\r\n") if password_stdin else run.ask("Password", "--password-stdin", hidden=True)
    )
    asked = Context(current.url, ca=str(ca.resolve()) if ca else current.ca)
    user = address.strip().lower()
    device = files.device_of(contexts, asked.url, user)
    with Client(asked.target()) as client:
        token = _enter(run, client, address, password, code=code, device=device, policy=accept_policy)
    written = files.logged_in(replace(asked, user=user, user_tenant=token.tenant or "", device=device), token)
    if name:
        known = contexts.named.get(name)
        if known is not None and not files.is_same_login(known, written):
            run.confirm(f"Context {name} ({known.who or 'no login'} at {known.url}) is another's. Replace it?")
        wanted = name
    else:
        wanted = files.login_name(contexts, _context_name(run, contexts, url, current, address), written)
    files.edit(run.contexts_file, lambda known: files.with_context(known, wanted, written, use=True))
    run.output.record(
        {
            "context": wanted,
            "url": asked.url,
            "tenant": token.tenant,
            "role": token.role,
            "expires_at": token.expires_at,
        },
        [
            ("context", wanted),
            ("tenant", token.tenant or NONE),
            ("role", str(token.role)),
            ("until", time(token.expires_at)),
        ],
        key=wanted,
    )


def _enter(
    run: Invocation,
    client: Client,
    email: str,
    password: str,
    *,
    code: str | None,
    device: str,
    policy: str | None,
) -> Token:
    """What the login gives; asks for what the daemon asks for."""
    while True:
        try:
            return client.access.login(email, password, run.tenant, code=code, device=device, policy_version=policy)
        except CodeNeeded:
            code = run.ask("Code of your authenticator", "--code")
        except PolicyNotAccepted:
            current = client.people.policy().version
            if policy == current:
                raise
            policy = agreed(run, client, current, None)


def _context_name(run: Invocation, contexts: files.Contexts, url: str | None, current: Context, email: str) -> str:
    """What a login's context is called when the name is free."""
    known = files.chosen_name(contexts, run.environment, run.context_name)
    person = re.sub(r"[^A-Za-z0-9]+", "-", email.partition("@")[0]).strip("-") or "me"
    if url is not None:
        host = re.sub(r"[^A-Za-z0-9]+", "-", current.url.partition("://")[2]).strip("-")
        return f"{person}-{host}"[:40]
    if current.api_key or not known:
        return f"{known or 'daemon'}-{person}"[:40]
    return known


def logout(ctx: typer.Context) -> None:
    """End the login: the daemon forgets the session, and the context its token."""
    run = invocation(ctx)
    contexts = run.contexts()
    name = files.chosen_name(contexts, run.environment, run.context_name)
    chosen = files.find(contexts, name) if name else None
    if chosen is None or not chosen.token:
        raise Conflict(
            f"context {name or NONE} holds no login",
            fix="An API key is ended by `alphapulse keys revoke ID`, a context by `alphapulse context remove NAME`.",
        )
    try:
        with Client(chosen.target()) as client:
            client.access.logout()
    except Unauthenticated:
        run.output.note("The session had already ended.")
    except TryAgain as error:
        run.output.note(f"The daemon could not be told ({error.message}); the session ends there by itself.")
    ended = replace(chosen, token="", expires_at="", refresh_token="", refresh_until="")
    files.edit(run.contexts_file, lambda known: files.with_context(known, name, ended))
    run.output.record({"context": name}, [("logged out", name)], key=name)


def whoami(ctx: typer.Context) -> None:
    """Who you are to the daemon, and as what."""
    run = invocation(ctx)
    me = run.client.access.whoami()
    run.output.record(
        me,
        [
            ("actor", me.actor),
            ("role", str(me.role)),
            ("tenant", me.tenant or NONE),
            ("until", time(me.expires_at)),
            ("daemon", run.target().url),
        ],
        key=me.actor,
    )


@context.command("add")
def add_context(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    url: Annotated[str, typer.Argument(metavar="URL", help="For example https://alphapulse.example.com.")],
    ca: _Ca = None,
    key_stdin: Annotated[
        bool, typer.Option("--api-key-stdin", help="Read an API key from the first line of stdin.")
    ] = False,
    allow_http: _AllowHttp = False,
) -> None:
    """Remember a daemon under a name."""
    run = invocation(ctx)
    key = sys.stdin.readline().strip() if key_stdin else ""
    if key_stdin and not _API_KEY.fullmatch(key):
        raise InvalidInput(
            "the first line of stdin is empty" if not key else "the first line of stdin is not an API key",
            field="api key",
            fix="Pipe a key of `alphapulse keys create`, which begins with ap_.",
        )
    added = Context(checked(url, allow_http), api_key=key, ca=str(ca.resolve()) if ca else "", tenant=run.tenant or "")
    files.edit(run.contexts_file, lambda known: files.with_context(known, name, added))
    run.output.record({"context": name, "url": added.url}, [("context", name), ("daemon", added.url)], key=name)


@context.command("list")
def list_contexts(ctx: typer.Context) -> None:
    """The daemons this machine knows; keys and tokens are not shown."""
    run = invocation(ctx)
    contexts = run.contexts()
    current = files.chosen_name(contexts, run.environment, run.context_name)
    shown = [
        {
            "name": name,
            "current": name == current,
            "url": item.url,
            "as": "api key" if item.api_key else "login" if item.token else "",
            "user": item.who,
            "tenant": item.tenant or (item.user_tenant if item.token else ""),
        }
        for name, item in contexts.named.items()
    ]
    columns = [
        Column[dict[str, str | bool]]("", lambda item: "*" if item["current"] else " "),
        Column[dict[str, str | bool]]("NAME", lambda item: str(item["name"])),
        Column[dict[str, str | bool]]("DAEMON", lambda item: str(item["url"])),
        Column[dict[str, str | bool]]("AS", lambda item: f"{item['as']} {item['user']}".strip() or NONE),
        Column[dict[str, str | bool]]("TENANT", lambda item: str(item["tenant"]) or NONE),
    ]
    run.output.rows(shown, columns, key=lambda item: str(item["name"]), empty="No daemon is known yet.")


@context.command("use")
def use_context(ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Make a context the one that commands talk to."""
    run = invocation(ctx)
    contexts = run.contexts()
    chosen = files.find(contexts, name)
    files.edit(run.contexts_file, lambda known: replace(known, current=name))
    run.output.record({"context": name, "url": chosen.url}, [("context", name), ("daemon", chosen.url)], key=name)


@context.command("remove")
def remove_context(ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Forget a daemon and the key or login for it."""
    run = invocation(ctx)
    files.find(run.contexts(), name)
    run.confirm(f"Forget context {name} and its key?")
    files.edit(run.contexts_file, lambda known: files.without_context(known, name))
    run.output.record({"context": name}, [("removed", name)], key=name)
