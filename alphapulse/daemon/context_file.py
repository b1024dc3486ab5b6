"""The command line's list of daemons, as far as the daemon writes it: its own address and its admin's key.

``$XDG_CONFIG_HOME/alphapulse/contexts.toml``, 0600: ``current = "local"``, then one table ``[contexts.NAME]`` each with
url, api_key and what else the command line keeps there. Every data directory has a context of its own, which names it
(``directory``); everything of other contexts is left as it is.
"""

from __future__ import annotations

import fcntl
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from alphapulse.daemon.lifecycle import write_private
from alphapulse.errors import Misconfigured

#: The context of the default data directory.
LOCAL = "local"
#: A context's name has at most 40 characters; this leaves room for a number.
_LONGEST_NAME = 36


def contexts_file(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or ""
    folder = Path(base) if Path(base).is_absolute() else Path(environment.get("HOME") or Path.home()) / ".config"
    return folder / "alphapulse" / "contexts.toml"


def announced(path: Path, directory: Path, name: str = "") -> tuple[str, str]:
    """The context of the daemon on ``directory``, and the credential that stands in it (empty when none does).

    name: of the context; empty for one that derives from the directory. Raises Misconfigured when the file cannot be
    read.
    """
    try:
        contexts, _ = _read(path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured(f"cannot read {path}: {error}", fix="Mend the file, or move it away.") from error
    wanted = name or _name_of(contexts, directory)
    return wanted, _credential(contexts.get(wanted, {}))


def announce(path: Path, directory: Path, name: str, url: str, key: str, *, keep: str = "") -> str:
    """Say in ``path`` where the daemon on ``directory`` is, and with which key; the name of the context it wrote.

    name: of the context; empty for one that derives from the directory. key: empty where people log in.
    keep: a credential that stays when it stands there, because this daemon knows it and somebody chose it; any other is
    of another daemon and gives way to ``key``.
    The current context stays the current one. Raises Misconfigured when the file cannot be read or written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (path.parent / ".contexts.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            contexts, current = _read(path)
            wanted = name or _name_of(contexts, directory)
            known = contexts.get(wanted, {})
            if keep and _credential(known) == keep:
                changed = {**known, "url": url, "directory": str(directory)}
            else:
                kept = {part: value for part, value in known.items() if part in {"ca", "tenant"}}
                own = {"api_key": key} if key else {}
                changed = {**kept, "url": url, **own, "directory": str(directory)}
            if known != changed or not current:
                _write(path, current or wanted, {**contexts, wanted: changed})
            return wanted
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured(f"cannot write {path}: {error}", fix="Mend the file, or move it away.") from error


def _name_of(contexts: Mapping[str, Mapping[str, Any]], directory: Path) -> str:
    """The context that names this directory, else the first free of local-D, local-D-2, ..."""
    for name, table in contexts.items():
        if table.get("directory") == str(directory):
            return name
    plain = re.sub(r"[^A-Za-z0-9]+", "-", directory.name).strip("-")
    base = f"{LOCAL}-{plain or 'root'}"[:_LONGEST_NAME]
    name, number = base, 1
    while name in contexts:
        number += 1
        name = f"{base}-{number}"
    return name


def _credential(table: Mapping[str, Any]) -> str:
    """What the command line would send: the key goes before the login."""
    return str(table.get("api_key") or table.get("token") or "")


def _read(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """Contexts by name, and which is the current one."""
    data = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return cast("dict[str, dict[str, Any]]", data.get("contexts", {})), str(data.get("current", ""))


def _write(path: Path, current: str, contexts: Mapping[str, Mapping[str, Any]]) -> None:
    lines = [f"current = {_quoted(current)}"]
    for context, table in contexts.items():
        lines += ["", f"[contexts.{context}]"]
        lines += [f"{part} = {_quoted(value)}" for part, value in table.items() if isinstance(value, str)]
    write_private(path, "\n".join(lines) + "\n")


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(text).replace("\x7f", "\\u007f")
