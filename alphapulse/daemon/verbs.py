"""``db`` and ``config``: what an operator does while no daemon runs. Answers go to stdout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from alphapulse.daemon import lifecycle
from alphapulse.daemon.assembly import database as parts
from alphapulse.errors import Misconfigured

if TYPE_CHECKING:
    from alphapulse.settings import Settings


def database(settings: Settings, what: str, *, as_json: bool) -> int:
    """The exit code. what: upgrade, status, current or check."""
    if settings.database_url is None:
        lifecycle.prepare(settings.data_directory)
    with parts.reached(settings) as urls:
        match what:
            case "upgrade":
                changed = parts.upgrade(urls)
                version = parts.version(settings, urls)
                show({"upgraded": changed, "version": version.current}, as_json=as_json)
            case "check":
                _insist(parts.findings(urls))
                show({"row_level_security": "holds"}, as_json=as_json)
            case "current":
                show({"version": parts.version(settings, urls).current}, as_json=as_json)
            case _:
                version = parts.version(settings, urls)
                shown = {"database": version.database, "version": version.current, "needed": version.needed}
                show({**shown, "up_to_date": version.current == version.needed}, as_json=as_json)
                return 0 if version.current == version.needed else 1
    return 0


def _insist(found: list[str]) -> None:
    if found:
        raise Misconfigured(
            f"tenants are not kept apart in this database: {'; '.join(found)}",
            fix="Connect as ap_app (ALPHAPULSE_DATABASE_URL), and run: alphapulse db upgrade",
        )


def configuration(settings: Settings, what: str, *, as_json: bool) -> int:
    """The exit code. what: show or validate; by the time this runs the settings have been found valid."""
    if what == "validate":
        show({"valid": True}, as_json=as_json)
    else:
        show(settings.shown(), as_json=as_json)
    return 0


def show(answer: Mapping[str, Any], *, as_json: bool) -> None:
    """One JSON object, or a line per value."""
    if as_json:
        print(json.dumps(answer))
        return
    for name, value in flat(answer):
        print(f"{name} = {json.dumps(value, ensure_ascii=False)}")


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted names of nested values, in their order. An empty table stays a value."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found += flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", value))
    return found
