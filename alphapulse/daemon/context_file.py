"""The command line's list of daemons, as far as the daemon writes it: its own address and, once, its admin's key.

``$XDG_CONFIG_HOME/alphapulse/contexts.toml``, 0600: ``current = "local"``, then one table ``[contexts.NAME]`` each with
url, api_key and what else the command line keeps there. Everything of other contexts is left as it is.
"""

from __future__ import annotations

import fcntl
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from alphapulse.daemon.lifecycle import write_private
from alphapulse.errors import Misconfigured


def contexts_file(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or ""
    folder = Path(base) if Path(base).is_absolute() else Path(environment.get("HOME") or Path.home()) / ".config"
    return folder / "alphapulse" / "contexts.toml"


def announce(path: Path, name: str, url: str, key: str, *, fresh: bool) -> bool:
    """Say in ``path`` where the daemon ``name`` is. True when the file was changed.

    A context that is known keeps its credentials, since somebody may have logged in as somebody else; only a key
    that was just made (fresh) replaces them. Raises Misconfigured when the file cannot be read or written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (path.parent / ".contexts.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return _rewrite(path, name, url, key, fresh=fresh)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured(f"cannot write {path}: {error}", fix="Mend the file, or move it away.") from error


def _rewrite(path: Path, name: str, url: str, key: str, *, fresh: bool) -> bool:
    data = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    contexts = cast("dict[str, dict[str, Any]]", data.get("contexts", {}))
    known = contexts.get(name)
    if known is None or fresh:
        kept = {part: value for part, value in (known or {}).items() if part in {"ca", "tenant"}}
        changed = {**kept, "url": url, "api_key": key}
    else:
        changed = {**known, "url": url}
    if known == changed and data.get("current"):
        return False
    contexts = {**contexts, name: changed}
    lines = [f"current = {_quoted(data.get('current') or name)}"]
    for context, table in contexts.items():
        lines += ["", f"[contexts.{context}]"]
        lines += [f"{part} = {_quoted(value)}" for part, value in table.items() if isinstance(value, str)]
    write_private(path, "\n".join(lines) + "\n")
    return True


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(text).replace("\x7f", "\\u007f")
