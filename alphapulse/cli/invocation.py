"""One call of the command line: what was asked for everywhere, and what commands need of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from alphapulse.cli.render import Format, Output, warn
from alphapulse.errors import InputNeeded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from alphapulse.cli.context import Context, Contexts
    from alphapulse.client.api import Client
    from alphapulse.client.connection import Target

#: A login is renewed in passing when its token has less than this many seconds left.
_RENEW_BELOW = 1200.0
_KEY_VARIABLE = "ALPHAPULSE_API_KEY"


class Invocation:
    """environment: the process's, or a test's."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.output = Output()
        self.yes = False
        self.no_input = environment.get("CI", "").lower() in {"1", "true", "yes"}
        self.context_name: str | None = None
        self.tenant: str | None = None
        self._client: Client | None = None

    def set_format(self, form: Format) -> None:
        self.output.form = form

    def be_quiet(self) -> None:
        self.output.quiet = True

    def assume_yes(self) -> None:
        self.yes = True

    def never_ask(self) -> None:
        self.no_input = True

    def use_context(self, name: str) -> None:
        self.context_name = name

    def use_tenant(self, slug: str) -> None:
        self.tenant = slug

    @property
    def as_json(self) -> bool:
        return self.output.form in {Format.JSON, Format.JSONL}

    @property
    def may_ask(self) -> bool:
        return not self.no_input and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def contexts_file(self) -> Path:
        from alphapulse.cli.context import contexts_file

        return contexts_file(self.environment)

    def contexts(self) -> Contexts:
        from alphapulse.cli.context import load

        return load(self.contexts_file)

    def context(self) -> Context:
        """The context in force. Raises Unauthenticated when no daemon is known yet."""
        from alphapulse.cli.context import choose

        return choose(self.contexts(), self.environment, self.context_name)

    def target(self) -> Target:
        from dataclasses import replace

        found = self._renewed(self.context()).target(self.tenant)
        return replace(found, variable=_KEY_VARIABLE) if self.environment.get(_KEY_VARIABLE) else found

    @property
    def client(self) -> Client:
        """The client of the context in force; closed with the call."""
        if self._client is None:
            from alphapulse.client.api import Client

            self._client = Client(self.target(), on_wait=self._say_wait)
        return self._client

    def _say_wait(self, seconds: float) -> None:
        if not self.as_json and not self.output.quiet:
            warn(f"The daemon's rate limit is reached: going on in {seconds:.0f} s.")

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def confirm(self, question: str) -> None:
        """Goes on when the answer is yes. Raises InputNeeded when nobody can be asked, typer.Abort on no."""
        if self.yes:
            return
        if not self.may_ask:
            raise InputNeeded(f"{question} Nobody can be asked here.", fix="Add --yes to go ahead.")
        import typer

        typer.confirm(question, abort=True, err=True)

    def ask(self, question: str, option: str, *, hidden: bool = False, twice: bool = False) -> str:
        """A line from the person at the terminal. option: what gives it in advance, for the fix of InputNeeded.

        twice: asked again until both agree, for a new password.
        """
        if not self.may_ask:
            raise InputNeeded(f"{question} is needed, and nobody can be asked here.", fix=f"Give it with {option}.")
        import typer

        return str(typer.prompt(question, hide_input=hidden, confirmation_prompt=twice, err=True))

    def fresh_token(self) -> str:
        """Another token of the login of this context, stored as well. Raises Unauthenticated when it has ended."""
        return self._renewed(self.context(), now=True).token

    def _renewed(self, context: Context, *, now: bool = False) -> Context:
        """The same context, its login refreshed and stored when it is about to end, or ``now``."""
        from alphapulse.cli.context import chosen_name, edit, find, logged_in, seconds_left, with_context
        from alphapulse.clock import SystemClock

        left = seconds_left(context, SystemClock().now())
        if left is None or not context.refresh_token or (left >= _RENEW_BELOW and not now):
            return context
        name = chosen_name(self.contexts(), self.environment, self.context_name)

        def change(known: Contexts) -> Contexts:
            """Under the file's lock: a refresh token is good once, and two commands may run at the same time."""
            stored = find(known, name)
            if stored.refresh_token != context.refresh_token:
                return known
            from alphapulse.client.api import Client
            from alphapulse.client.connection import Target

            with Client(Target(stored.url, ca=stored.ca)) as client:
                return with_context(known, name, logged_in(stored, client.access.refresh(stored.refresh_token)))

        stored = find(edit(self.contexts_file, change), name)
        from dataclasses import replace

        return replace(context, token=stored.token, expires_at=stored.expires_at, refresh_token=stored.refresh_token)
