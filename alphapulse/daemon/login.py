"""Whether the command line of this machine, as it stands, can log in to the daemon that it would ask."""

from __future__ import annotations

import ssl
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http.client import HTTPException
from typing import Any, cast

from alphapulse.daemon.context_file import contexts_file
from alphapulse.errors import Misconfigured

_WITHIN_S = 3.0
_RESTART = (
    "Run: alphapulse login, or, for a daemon of this machine, restart it: it writes its key into its context anew."
)


class Answer(Enum):
    """NOBODY: no daemon answers there, or none is known."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Seen:
    """context: the one in force, empty when there is none. fix: empty when accepted."""

    answer: Answer
    context: str
    detail: str
    fix: str = ""


def look(environment: Mapping[str, str]) -> Seen:
    """Ask the daemon of the context in force who we are. Raises Misconfigured when contexts.toml cannot be read."""
    path = contexts_file(environment)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise Misconfigured(f"cannot read {path}: {error}", fix="Mend the file, or move it away.") from error
    name = environment.get("ALPHAPULSE_CONTEXT") or str(data.get("current", ""))
    table = cast("dict[str, dict[str, Any]]", data.get("contexts", {})).get(name, {})
    known = str(table.get("url", ""))
    url = environment.get("ALPHAPULSE_URL", "").rstrip("/") or known
    if not url.startswith(("http://", "https://")):
        return Seen(
            Answer.NOBODY,
            name,
            f"no daemon is known as context {name!r}" if name else "the command line knows no daemon yet",
            "Choose one with: alphapulse context use NAME",
        )
    own = str(table.get("api_key") or table.get("token") or "") if url == known else ""
    variable = environment.get("ALPHAPULSE_API_KEY", "")
    whose = "the API key in ALPHAPULSE_API_KEY" if variable else f"context {name}" if name else "ALPHAPULSE_URL"
    answer = _ask(url, variable or own, str(table.get("ca", "")))
    if answer is Answer.ACCEPTED:
        return Seen(answer, name, f"{whose} is accepted at {url}")
    if answer is Answer.NOBODY:
        return Seen(answer, name, f"no daemon answers at {url} ({whose})", "Start it: alphapulse daemon start")
    fix = "Correct ALPHAPULSE_API_KEY, or unset it." if variable else _RESTART
    return Seen(answer, name, f"{whose} is not accepted at {url}", fix)


def _ask(url: str, credential: str, authority: str) -> Answer:
    request = urllib.request.Request(f"{url}/auth/whoami", headers={"Authorization": f"Bearer {credential}"})  # noqa: S310 -- http or https, looked at above
    try:
        trust = ssl.create_default_context(cafile=authority or None) if url.startswith("https:") else None
        handlers = [urllib.request.ProxyHandler({})] if trust is None else [urllib.request.HTTPSHandler(context=trust)]
        with urllib.request.build_opener(*handlers).open(request, timeout=_WITHIN_S):
            return Answer.ACCEPTED
    except urllib.error.HTTPError as error:
        with error:
            return Answer.REFUSED if error.code in {401, 403} else Answer.NOBODY
    except (OSError, ValueError, HTTPException):
        return Answer.NOBODY
