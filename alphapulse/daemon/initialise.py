"""``init``: from an empty machine to a daemon that may be started: its settings, its keys, its database, its admin.

Every step that was done before is left as it is, so an ``init`` that failed half-way is simply repeated.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapulse.daemon import lifecycle
from alphapulse.daemon.assembly import first_run
from alphapulse.daemon.assembly.database import reached, upgrade
from alphapulse.daemon.doctor import Finding, examine, say
from alphapulse.errors import Conflict, InputNeeded

if TYPE_CHECKING:
    from alphapulse.settings import Settings
    from alphapulse.tenancy.admins import NewAdmin


@dataclass(frozen=True, slots=True)
class Question:
    """setting: its dotted name. variable: one of the environment answers as well. default: taken when left empty."""

    setting: str
    option: str
    text: str
    default: str = ""
    secret: bool = False

    @property
    def variable(self) -> str:
        return f"ALPHAPULSE_{self.setting.upper().replace('.', '__')}"


#: What production cannot do without. The encryption of the door is asked for by the settings themselves.
PRODUCTION = (
    Question("public_url", "--public-url", "Address under which people reach it, https://HOST"),
    Question("smtp.host", "--smtp-host", "Mail server"),
    Question("smtp.sender", "--smtp-sender", "Address that mails come from"),
    Question("backup.directory", "--backup-directory", "Folder for backups, on another disk"),
)


def initialise(
    parse: Callable[..., Settings],
    load: Callable[[Path], Settings],
    given: Mapping[str, Any],
    email: str | None,
    *,
    password_stdin: bool,
    file: Path,
    as_json: bool,
) -> int:
    """The exit code: that of doctor at the end. given: settings by dotted name. file: to write, or to go on with.

    Raises InputNeeded without a terminal when an answer is missing, Misconfigured for answers that do not fit, and
    Conflict when settings are given and the file is there already; nothing was written then.
    """
    os.umask(0o077)
    asked = _Terminal(as_json=as_json)
    wrote = not file.exists()
    if wrote:
        answers = asked.complete(given)
        email = email or asked.admin(answers)
        settings = parse(**_nested(answers))
    elif set(given) - {"profile", "data_directory"}:
        raise Conflict(f"{file} is there already", fix="Change it there, or leave the options out to go on with it.")
    else:
        answers = given
        settings = load(file)
    password = _password(asked, stdin=password_stdin) if email else ""
    if wrote:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lifecycle.write_private(file, _written(answers))
    lifecycle.prepare(settings.data_directory)
    admin, found = _prepare(settings, email, password)
    ok = all(one.ok for one in found)
    if as_json:
        shown = {"settings": str(file), "master_key": str(settings.master_key), "admin": admin and _admin(admin)}
        print(json.dumps({**shown, "ok": ok, "findings": [asdict(one) for one in found]}))
    else:
        _tell(settings, file, admin)
        say(found)
    return 0 if ok else 1


def _prepare(settings: Settings, email: str | None, password: str) -> tuple[NewAdmin | None, list[Finding]]:
    """Keys, schema, admin, and what doctor says while the database runs. No admin where none was asked for."""
    first_run.make_key(settings)
    with reached(settings) as urls:
        upgrade(urls)
        admin = asyncio.run(first_run.make_admin(settings, urls, email, password)) if email else None
        return admin, examine(settings)


class _Terminal:
    """Asks, where somebody can be asked."""

    def __init__(self, *, as_json: bool) -> None:
        self._there = not as_json and sys.stdin.isatty() and sys.stderr.isatty()

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The given settings and the answers to what production still needs."""
        answers = dict(given)
        if answers.get("profile") != "production":
            return answers
        answers.setdefault("mail", "smtp")
        missing = [one for one in PRODUCTION if one.setting not in answers and one.variable not in os.environ]
        if missing and not self._there:
            raise InputNeeded(
                f"{', '.join(one.setting for one in missing)}: not given, and nobody can be asked",
                fix=f"Give {' '.join(one.option for one in missing)}, or set {missing[0].variable} and so on.",
            )
        for one in missing:
            answers[one.setting] = self.ask(one.text)
        return answers

    def admin(self, answers: Mapping[str, Any]) -> str | None:
        """The first platform admin's address; production has no other way in."""
        if answers.get("profile") != "production":
            return None
        if not self._there:
            raise InputNeeded("the first admin's address is needed, and nobody can be asked", fix="Give --admin-email.")
        return self.ask("E-mail address of the first platform admin")

    def ask(self, text: str) -> str:
        while True:
            print(f"{text}: ", end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline()
            if not answer:
                raise InputNeeded(f"{text}: the input ended", fix="Answer, or give the option.")
            if answer.strip():
                return answer.strip()

    def password(self) -> str:
        if not self._there:
            raise InputNeeded(
                "the admin's password is needed, and nobody can be asked",
                fix="Write it to the standard input, with --password-stdin.",
            )
        while True:
            first = getpass.getpass("Password of the platform admin: ")
            if getpass.getpass("Once more: ") == first:
                return first
            print("They differ.", file=sys.stderr)


def _password(asked: _Terminal, *, stdin: bool) -> str:
    return sys.stdin.readline().rstrip("\r\n") if stdin else asked.password()


def _nested(answers: Mapping[str, Any]) -> dict[str, Any]:
    """``smtp.host`` as the settings take it."""
    found: dict[str, Any] = {}
    for name, value in answers.items():
        table, _, key = name.rpartition(".")
        if table:
            found.setdefault(table, {})[key] = value
        else:
            found[name] = value
    return found


def _written(answers: Mapping[str, Any]) -> str:
    """As the settings file has it; JSON's strings and lists are TOML's."""
    lines = ["# Written by `alphapulse init`. `alphapulse config show` prints every setting in force."]
    tables = [(name, value) for name, value in _nested(answers).items() if isinstance(value, dict)]
    lines += [f"{name} = {_toml(value)}" for name, value in answers.items() if "." not in name]
    for name, table in tables:
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    shown = list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
    return json.dumps(shown, ensure_ascii=False).replace("\x7f", "\\u007f")


def _admin(admin: NewAdmin) -> dict[str, Any]:
    return {
        "email": admin.email,
        "secret": admin.secret,
        "uri": admin.uri,
        "recovery_codes": list(admin.recovery_codes),
    }


def _tell(settings: Settings, file: Path, admin: NewAdmin | None) -> None:
    print(f"settings    {file}")
    print(f"master key  {settings.master_key}")
    print("            Keep a copy of it away from this machine: without it no backup opens.")
    if admin is not None:
        print(f"admin       {admin.email}")
        print("            Shown this once. Put the secret into an authenticator, and the codes in a safe place.")
        print(f"secret      {admin.secret}")
        print(f"            {admin.uri}")
        for code in admin.recovery_codes:
            print(f"recovery    {code}")
    print()
