"""Writes docs/reference from the code: ``make docs``.

With ``--check`` writes nothing and fails when a page is stale.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy.dialects import postgresql

import alphapulse.tables as schema
from alphapulse import errors as tree
from alphapulse.adapters.telemetry.metrics import METRICS
from alphapulse.agents.registry import info, library_agents
from alphapulse.cli.commands import COMMANDS
from alphapulse.cli.lazy import everywhere, real
from alphapulse.cli.render import exit_code
from alphapulse.daemon.app import create_app
from alphapulse.daemon.problems import HTTP_STATUS
from alphapulse.domain import risk
from alphapulse.domain.tenancy import PERMISSIONS, Permission
from alphapulse.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
HEADER = "<!-- Written by docs/generate.py from the code; `make docs` writes it again. -->\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; pipes and line breaks in cells are escaped."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell(value) for value in line) + " |" for line in lines) + "\n"


def cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


def code(value: object) -> str:
    return f"`{value}`" if str(value) else ""


# The command line.

#: What stands for a value that names itself no better.
VALUES = {"integer": "N", "integer range": "N", "float": "X", "float range": "X", "path": "PATH"}


def cli() -> str:
    parts = [
        "# Commands\n",
        "`alphapulse COMMAND --help` says the same. Every command also takes these, before or after its own:\n",
        options(everywhere()),
    ]
    panels: dict[str, list[str]] = {}
    for name, entry in COMMANDS.items():
        panels.setdefault(entry.panel, []).append(command(f"alphapulse {name}", real(name), entry.help))
    parts += [f"## {panel}\n\n" + "\n".join(texts) for panel, texts in panels.items()]
    return "\n".join(parts)


def command(name: str, found: Any, summary: str) -> str:
    """One command, or a group with the commands in it."""
    inner: dict[str, Any] = getattr(found, "commands", {})
    if inner:
        head = f"### {name}\n\n{summary}\n\n"
        return head + "\n".join(command(f"{name} {key}", one, one.help or "") for key, one in inner.items())
    arguments = [one for one in found.params if one.param_type_name == "argument"]
    usage = " ".join([name, *(one.make_metavar(None) for one in arguments), "[OPTIONS]"])
    text = f"#### {name}\n\n{prose(found.help or summary)}\n\n```\n{usage}\n```\n"
    own = [one for one in found.params if not getattr(one, "hidden", False)]
    return text + (f"\n{options(own)}" if own else "")


def options(parameters: Iterable[Any]) -> str:
    rows: list[tuple[str, str, str]] = []
    for one in parameters:
        is_argument = one.param_type_name == "argument"
        name = one.make_metavar(None) if is_argument else ", ".join([*one.opts, *one.secondary_opts])
        takes = "" if is_argument or one.is_flag else f" {one.metavar or VALUES.get(one.type.name, 'TEXT')}"
        default = one.default if one.show_default and not callable(one.default) else None
        shown = "" if default in {None, False, ()} else code(default)
        rows.append((code(f"{name}{takes}"), one.help or "", "required" if one.required else shown))
    return table(("", "meaning", "default"), rows)


def prose(text: str) -> str:
    return re.sub(r"[ \t]*\n[ \t]*", "\n", text.replace("\b\n", "")).strip()


# Settings.


def settings() -> str:
    return "\n".join(
        (
            "# Settings\n",
            "Read once when the daemon starts; later sources win: the defaults below, then `alphapulse.toml` in",
            "`$XDG_CONFIG_HOME/alphapulse/` (or where `ALPHAPULSE_CONFIG` points), then the environment.",
            "`alphapulse config show` prints what is in force, `alphapulse config validate` checks a file.",
            'Durations are seconds; rates and money are written as text (`"0.001"`).\n',
            table(("setting", "environment", "default", "meaning"), setting_rows(Settings, "", PREFIX)),
        )
    )


def setting_rows(model: Any, path: str, prefix: str) -> Iterable[tuple[str, str, str, str]]:
    """One row per setting; a table's settings follow it, named with dots."""
    for name, field in model.model_fields.items():
        full = f"{path}.{name}" if path else name
        inner = field.annotation
        if hasattr(inner, "model_fields"):
            yield from setting_rows(inner, full, prefix)
            continue
        variable = code(prefix + full.replace(".", "__").upper())
        yield code(full), variable, default_of(field), field.description or ""


def default_of(field: Any) -> str:
    if field.default_factory is not None:
        made = field.default_factory()
        return "the user's data folder" if isinstance(made, Path) else code(made) if made else ""
    value = field.default
    if value in {None, ()}:
        return ""
    return code(f"{value.total_seconds():g}" if hasattr(value, "total_seconds") else value)


# Errors.


def errors() -> str:
    meanings = dict(re.findall(r"[├└]── (\w+) +(.+)", tree.__doc__ or ""))
    classes = [one for one in vars(tree).values() if isinstance(one, type) and issubclass(one, tree.AlphaPulseError)]
    rows = [
        (
            code(one.code),
            meanings[one.__name__],
            next(HTTP_STATUS[rung] for rung in one.__mro__ if rung in HTTP_STATUS),
            exit_code(one("")) if one is not tree.TooManyRequests else exit_code(tree.TryAgain("")),
            "yes" if one.retryable else "",
        )
        for one in classes
        if one is not tree.AlphaPulseError
    ]
    exits = (
        "0 done",
        "1 refused or failed",
        "2 usage",
        "3 drift found",
        "4 login needed",
        "5 not found",
        "6 forbidden",
    )
    more = ("7 conflict", "8 input needed, and no terminal", "9 try again", "70 our bug", "130 interrupted")
    return "\n".join(
        (
            "# Errors\n",
            "The API answers problem+json with these `code`s; a command prints one line and ends with the exit code.",
            'With `--json` it prints `{"error": {code, message, fix, retryable, request_id}}` on stderr.\n',
            table(("code", "meaning", "HTTP", "exit", "retry"), rows),
            f"Exit codes: {' · '.join((*exits, *more))}.\n",
            "## Denials of the risk checks\n",
            "A `limit_breached` answer, `orders explain` and the stored order carry one line per failed check,",
            "`CODE: key=value`. A symbol that the venue lacks, that is quoted in another currency or that has no price",
            "gets that one line; else every check runs, and the lines stand in this order:\n",
            table(("code",), [(code(one),) for one in denial_codes(Path(risk.__file__ or ""))]),
        )
    )


_CODE = re.compile(r'"([A-Z]+(?:_[A-Z]+)+)"')


def denial_codes(path: Path) -> list[str]:
    """The codes in domain/risk.py, in the order in which ``judge`` makes the checks."""
    text = path.read_text(encoding="utf-8")
    body = text[text.index("def judge(") :]
    parts = dict(re.findall(r"^def (_\w+)\((.*?)(?=^def |\Z)", text, re.DOTALL | re.MULTILINE))
    made, _, checks = body[: body.index("\ndef ")].rpartition("return Verdict(")
    inline = re.sub(r"(_\w+)\(", lambda called: f"{called[0]} {parts.get(called[1], '')}", checks)
    early = [one for one in _CODE.findall(made) if one not in _CODE.findall(inline)]
    return list(dict.fromkeys([*_CODE.findall(inline)[:1], *early, *_CODE.findall(inline)]))


# The HTTP API.


def api() -> str:
    bare = SimpleNamespace(clock=None, telemetry=None, recorder=None, limits=None, stream=SimpleNamespace(serve=None))
    document = create_app(cast("Any", bare), Settings.model_construct()).openapi()
    parts = [
        "# HTTP API\n",
        f"{document['info']['description']}\n",
        "The daemon serves the same as OpenAPI, with schemas and examples, at `/openapi.json`.\n",
    ]
    rooms: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        room = path.split("/")[1]
        rooms.setdefault(room, []).extend(route(method, path, one) for method, one in methods.items())
    parts += [f"## /{room}\n\n" + "\n".join(texts) for room, texts in rooms.items()]
    parts.append(
        "## /ws\n\nThe event stream. Log in with the `Authorization` header or with a first message\n"
        '`{"type": "auth", "token": "..."}` within 5 seconds, then send `{"type": "subscribe", "since": N}`.\n'
        'Every event after N follows as `{"type": "event", ...}`, and a heartbeat every 15 seconds. Another `auth`\n'
        "message renews the login. The stream closes with 4401 when the login ends or is revoked, and with 4403 for a\n"
        "foreign origin.\n"
    )
    return "\n".join(parts)


def route(method: str, path: str, operation: dict[str, Any]) -> str:
    permission = operation.get("x-permission") or ("any login" if "security" in operation else "none")
    rows: list[tuple[str, str, str]] = []
    for one in operation.get("parameters", []):
        where = {"path": "in the path", "query": "query", "header": "header"}[one["in"]]
        rows.append((code(one["name"]), where, "required" if one.get("required") else ""))
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        rows.append((code(type_of(body["schema"])), f"body, {media}", "required"))
    answers = [
        f"{status} {code(type_of(content['application/json']['schema']))}".strip()
        for status, answer in operation["responses"].items()
        if status != "default" and (content := answer.get("content", {})) and "application/json" in content
    ]
    text = f"### {method.upper()} {path}\n\n{prose(operation.get('description', ''))}\n\n"
    text += f"Permission: {code(permission) if '.' in permission else permission}."
    text += f" Answers {', '.join(answers)}.\n" if answers else "\n"
    return text + (f"\n{table(('', 'where', ''), rows)}" if rows else "")


def type_of(schema: dict[str, Any]) -> str:
    """A short name for a schema: the component's, ``X list``, or what JSON calls it."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        page = re.fullmatch(r"Page_(\w+)_", name)
        return f"{page[1]} list" if page else name
    if schema.get("type") == "array":
        return f"{type_of(schema['items'])} list"
    return str(schema.get("type", "any"))


# Permissions.


def permissions() -> str:
    roles = list(PERMISSIONS)
    rows = [(code(one), *("yes" if one in PERMISSIONS[role] else "" for role in roles)) for one in Permission]
    return "\n".join(
        (
            "# Permissions\n",
            "One table grants everything; nothing outside it does. A role holds inside one tenant, except the platform",
            "admin's, who names the tenant to act in (`--tenant`, `X-Tenant`).\n",
            table(("permission", *(role.value.replace("_", " ") for role in roles)), rows),
        )
    )


# Tables of the database.


def tables() -> str:
    parts = [
        "# Tables\n",
        "Schema `app`. Every table with `tenant_id` has row-level security, enabled and forced. The queue engine's own",
        "tables live in schema `queue`.\n",
    ]
    meanings = table_comments(Path(schema.__file__).parent)
    for one in schema.METADATA.sorted_tables:
        rows = [
            (
                code(column.name),
                column.type.compile(postgresql.dialect()).lower(),
                "key" if column.primary_key else "",
                "may be null" if column.nullable else "",
            )
            for column in one.columns
        ]
        parts.append(f"## {one.name}\n\n{meanings.get(one.name, '')}\n\n{table(('column', 'type', '', ''), rows)}")
    return "\n".join(parts)


def table_comments(folder: Path) -> dict[str, str]:
    """The ``#:`` comment above each table, by the table's name."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r'((?:^#: .*\n)+)[A-Z_]+ = Table\(\s*"(\w+)"', text, re.MULTILINE):
            found[match[2]] = " ".join(line.removeprefix("#: ") for line in match[1].splitlines())
    return found


# Agents.


def agents() -> str:
    parts = ["# Agents\n", "What `alphapulse agents list` and `agents show NAME` print of the agents that ship.\n"]
    for one in map(info, library_agents().values()):
        rows = [(code(p.name), f"{p.default:g}", f"{p.minimum:g} to {p.maximum:g}", p.meaning) for p in one.parameters]
        parts += [
            f"## {one.name}\n",
            f"{one.summary}\n",
            f"Formula: {one.formula}\n",
            f"Source: {one.source}\n",
            f"Looks back {one.lookback} bars with its default parameters.\n",
            table(("parameter", "default", "range", "meaning"), rows),
        ]
    return "\n".join(parts)


# Metrics.


def metrics() -> str:
    rows = [(code(f"alphapulse_{one.name}"), one.kind, ", ".join(one.labels), one.meaning) for one in METRICS.values()]
    return "\n".join(
        (
            "# Metrics\n",
            "Served at `/metrics` in Prometheus' text format, with the usual figures of the process beside them.",
            "No label holds the id of a tenant, fund or order. Histograms count seconds.\n",
            table(("metric", "kind", "labels", "meaning"), sorted(rows)),
        )
    )


PAGES: dict[str, Callable[[], str]] = {
    "agents.md": agents,
    "api.md": api,
    "cli.md": cli,
    "errors.md": errors,
    "metrics.md": metrics,
    "permissions.md": permissions,
    "settings.md": settings,
    "tables.md": tables,
}


def main(arguments: list[str]) -> int:
    stale: list[str] = []
    for name, page in PAGES.items():
        path = REFERENCE / name
        text = HEADER + "\n" + page().rstrip() + "\n"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    print(f"docs/reference: {', '.join(stale) or 'nothing'} {'stale' if '--check' in arguments else 'written'}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
