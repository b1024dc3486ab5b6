"""Which daemon, and as whom: ``contexts.toml`` in the user's configuration folder, readable by its owner alone.

    current = "local"

    [contexts.local]
    url = "http://127.0.0.1:8470"
    api_key = "ap_..."

Keys of a context: url, and any of api_key, token, expires_at (of the token), refresh_token (good for one next token),
refresh_until, ca, tenant; user and user_tenant, whose login it holds; device, by which the daemon knows this machine;
directory, in a context that a daemon of this machine wrote for its data directory. The environment goes first:
ALPHAPULSE_CONTEXT names a context; ALPHAPULSE_URL, ALPHAPULSE_API_KEY and ALPHAPULSE_TENANT replace its parts. A
context's credential is never sent to an address that the environment put in its place.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from alphapulse.client.connection import Target
from alphapulse.domain.wire import write_time
from alphapulse.errors import InvalidInput, Misconfigured, NotFound, Unauthenticated

if TYPE_CHECKING:
    from alphapulse.domain.tenancy import Token

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_KEY = re.compile(r"ap_[0-9a-f]{12}(?=_)")


@dataclass(frozen=True, slots=True)
class Context:
    """api_key or token: what the daemon is shown. expires_at, refresh_until: ISO 8601. ca: path of a PEM file.

    refresh_token: spent by its use. device: shown at the next login of ``user`` at this daemon. tenant: the one a
    platform admin acts in, told to the daemon. user, user_tenant: e-mail and tenant of a login. directory: data
    directory of the daemon that keeps this context.
    """

    url: str
    api_key: str = ""
    token: str = ""
    expires_at: str = ""
    refresh_token: str = ""
    refresh_until: str = ""
    device: str = ""
    ca: str = ""
    tenant: str = ""
    user: str = ""
    user_tenant: str = ""
    directory: str = ""

    @property
    def who(self) -> str:
        """An e-mail address, or the public part of an API key; empty when neither is known."""
        key = _KEY.match(self.api_key)
        return (key[0] if key else "") if self.api_key else self.user if self.token else ""

    def target(self, tenant: str | None = None) -> Target:
        return Target(self.url, self.api_key or self.token, self.tenant if tenant is None else tenant, self.ca)


@dataclass(frozen=True, slots=True)
class Contexts:
    current: str
    named: dict[str, Context]


def contexts_file(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or ""
    folder = Path(base) if Path(base).is_absolute() else Path(environment.get("HOME") or Path.home()) / ".config"
    return folder / "alphapulse" / "contexts.toml"


def load(path: Path) -> Contexts:
    """Raises Misconfigured when the file cannot be read, is open to others, or does not say what it should."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = tomllib.load(file)
    except FileNotFoundError:
        return Contexts("", {})
    except (OSError, ValueError) as error:
        raise Misconfigured(f"cannot read {path}: {error}", fix="Mend the file, or move it away and log in.") from error
    if mode & 0o077:
        raise Misconfigured(f"{path} can be read by others", fix=f"Run `chmod 600 {path}`; it holds keys.")
    tables = data.get("contexts", {})
    if not isinstance(tables, dict):
        raise Misconfigured(f"{path}: contexts is not a table", fix="Mend the file, or move it away and log in.")
    named = {name: _context(path, name, table) for name, table in cast("dict[str, Any]", tables).items()}
    return Contexts(str(data.get("current", "")), named)


def _context(path: Path, name: str, table: Any) -> Context:
    known = {item.name for item in fields(Context)}
    given = cast("dict[str, Any]", table) if isinstance(table, dict) else {}
    wrong = sorted(key for key, value in given.items() if key not in known or not isinstance(value, str))
    if wrong or not given.get("url"):
        what = f"{wrong[0]} is unknown or not text" if wrong else "url is missing"
        raise Misconfigured(
            f"{path}: contexts.{name}: {what}", fix=f"Known keys: {', '.join(sorted(known))}; all of them text."
        )
    return Context(**given)


def edit(path: Path, change: Callable[[Contexts], Contexts]) -> Contexts:
    """The file after ``change``; a daemon that announces itself at the same time waits, and is waited for."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (path.parent / ".contexts.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        changed = change(load(path))
        _save(path, changed)
    return changed


def _save(path: Path, contexts: Contexts) -> None:
    """Written beside and moved into place, so that a crash leaves the old file or the new one."""
    lines = [f"current = {_quoted(contexts.current)}"]
    for name, context in contexts.named.items():
        lines += ["", f"[contexts.{name}]"]
        lines += [
            f"{item.name} = {_quoted(value)}" for item in fields(Context) if (value := getattr(context, item.name))
        ]
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def with_context(contexts: Contexts, name: str, context: Context, *, use: bool = False) -> Contexts:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"name: {name[:60]!r} is not a context's name",
            field="name",
            fix="Use letters, digits, hyphens and underscores, at most 40.",
        )
    current = name if use or not contexts.current else contexts.current
    return Contexts(current, {**contexts.named, name: context})


def without_context(contexts: Contexts, name: str) -> Contexts:
    find(contexts, name)
    left = {key: value for key, value in contexts.named.items() if key != name}
    return Contexts("" if contexts.current == name else contexts.current, left)


def find(contexts: Contexts, name: str) -> Context:
    if name not in contexts.named:
        known = ", ".join(sorted(contexts.named)) or "none yet"
        raise NotFound(f"no context is called {name!r}", fix=f"Known contexts: {known}.")
    return contexts.named[name]


def chosen_name(contexts: Contexts, environment: Mapping[str, str], name: str | None) -> str:
    """What the command line says, else the environment, else the current one; empty when nobody says."""
    return name or environment.get("ALPHAPULSE_CONTEXT") or contexts.current


def choose(contexts: Contexts, environment: Mapping[str, str], name: str | None) -> Context:
    """The context in force. Raises Unauthenticated when there is none yet, NotFound when the named one is unknown."""
    wanted = chosen_name(contexts, environment, name)
    url = environment.get("ALPHAPULSE_URL", "").rstrip("/")
    if wanted:
        context = find(contexts, wanted)
    elif url:
        context = Context(url)
    else:
        raise Unauthenticated(
            "no daemon is known yet",
            fix="Start one with `alphapulse daemon start`, or log in to one with `alphapulse login URL`.",
        )
    if url and url != context.url:
        context = Context(url, ca=context.ca, tenant=context.tenant)
    key = environment.get("ALPHAPULSE_API_KEY", "")
    if key:
        context = replace(context, api_key=key, token="", expires_at="", refresh_token="")
    tenant = environment.get("ALPHAPULSE_TENANT", "")
    return replace(context, tenant=tenant) if tenant else context


def logged_in(context: Context, token: Token) -> Context:
    """``context`` with what a login or a refresh gave."""
    return replace(
        context,
        token=token.token,
        expires_at=write_time(token.expires_at),
        refresh_token=token.refresh_token,
        refresh_until="" if token.refresh_until is None else write_time(token.refresh_until),
        device=token.device or context.device,
    )


def device_of(contexts: Contexts, url: str, user: str) -> str:
    """What the daemon at ``url`` gave this machine to be known by, at an earlier login of ``user``."""
    known = (item.device for item in contexts.named.values() if (item.url, item.user) == (url, user) and item.device)
    return next(known, "")


def login_name(contexts: Contexts, wanted: str, login: Context) -> str:
    """Where a login goes: ``wanted`` unless that is somebody else's, else the first name of theirs or free."""
    home = re.sub(r"[^A-Za-z0-9]+", "-", login.user_tenant or login.user.partition("@")[2]).strip("-") or "login"
    longer = f"{wanted[: 35 - len(home[:15])]}-{home[:15]}"
    name, number = wanted, 1
    while name in contexts.named and not is_same_login(contexts.named[name], login):
        name = longer if number == 1 else f"{longer}-{number}"
        number += 1
    return name


def is_same_login(known: Context, login: Context) -> bool:
    """Whether a context is this person's, in this tenant, at this daemon: then a new login may replace the old one.

    One that was only added, without any credential, is anybody's.
    """
    if known.url == login.url and not (known.api_key or known.token or known.user or known.directory):
        return True
    same = (known.url, known.user, known.user_tenant) == (login.url, login.user, login.user_tenant)
    return same and not known.api_key and not known.directory


def seconds_left(context: Context, now: datetime) -> float | None:
    """How long the token still holds; None for an API key, and for a token of unknown age."""
    if context.api_key or not context.token or not context.expires_at:
        return None
    try:
        until = datetime.fromisoformat(context.expires_at)
    except ValueError:
        return None
    return (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds()
