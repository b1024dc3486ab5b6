"""`alphapulse funds config`: versions of a fund's configuration, as files and as single values."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from alphapulse.cli.agents import in_force
from alphapulse.cli.lazy import group, invocation
from alphapulse.cli.render import Column
from alphapulse.cli.text import time
from alphapulse.domain import wire
from alphapulse.domain.funds import ConfigVersion, FundConfig
from alphapulse.errors import InvalidInput

config = group()

_Fund = Annotated[str, typer.Argument(metavar="FUND", help="Its name or id.")]


@config.command("show")
def show(
    ctx: typer.Context,
    fund: _Fund,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Default: the one in force.")] = None,
    every: Annotated[bool, typer.Option("--all", help="List the versions instead.")] = False,
) -> None:
    """A version of the configuration, one value a line, as `set` takes them."""
    run = invocation(ctx)
    if every:
        page = run.client.funds.configs(fund)
        columns = [
            Column[ConfigVersion]("VERSION", lambda item: str(item.version), right=True),
            Column[ConfigVersion]("BY", lambda item: item.actor),
            Column[ConfigVersion]("AT", lambda item: time(item.recorded_at.replace(microsecond=0))),
        ]
        run.output.rows(page, columns, key=lambda item: str(item.version), following=page.next)
        return
    found = run.client.funds.config(fund, version or run.client.funds.get(fund).config_version)
    run.output.record(found.config, list(flat(found.config).items()), key=str(found.version))


@config.command("set")
def change(
    ctx: typer.Context,
    fund: _Fund,
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="For example limits.max_position_fraction=0.3."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="JSON or TOML with the whole configuration.")
    ] = None,
) -> None:
    """Store the next version; it is in force from the next bar on."""
    run = invocation(ctx)
    if bool(values) == bool(file):
        raise InvalidInput("what to set?", field="values", fix="Give KEY=VALUE pairs, or --file FILE.")
    before = run.client.funds.get(fund)
    wanted = read_config(file) if file else with_values(before.config, values or [])
    changed = run.client.funds.configure(fund, wanted)
    run.output.record(
        changed,
        [("fund", changed.name), ("configuration", in_force(changed, before.config_version))],
        key=str(changed.config_version),
    )


@config.command("diff")
def diff(
    ctx: typer.Context,
    fund: _Fund,
    before: Annotated[
        int | None, typer.Argument(metavar="FROM", help="Version to start from. Default: the one before TO.")
    ] = None,
    after: Annotated[int | None, typer.Argument(metavar="TO", help="Default: the version in force.")] = None,
) -> None:
    """What changed between two versions."""
    run = invocation(ctx)
    later = after or run.client.funds.get(fund).config_version
    earlier = before or max(1, later - 1)
    old = flat(run.client.funds.config(fund, earlier).config)
    new = flat(run.client.funds.config(fund, later).config)
    changes = [
        {"key": key, "before": old.get(key), "after": new.get(key)}
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    ]
    columns = [
        Column[dict[str, str | None]]("KEY", lambda item: str(item["key"]), style="bold"),
        Column[dict[str, str | None]](f"V{earlier}", lambda item: item["before"] or "-", style="red"),
        Column[dict[str, str | None]](f"V{later}", lambda item: item["after"] or "-", style="green"),
    ]
    run.output.rows(changes, columns, key=lambda item: str(item["key"]), empty="No difference.")


@config.command("rollback")
def rollback(
    ctx: typer.Context, fund: _Fund, version: Annotated[int, typer.Argument(metavar="VERSION", min=1)]
) -> None:
    """Store an old version again, as the next one."""
    run = invocation(ctx)
    changed = run.client.funds.rollback(fund, version)
    run.output.record(
        changed,
        [("fund", changed.name), ("configuration", f"version {changed.config_version}, equal to version {version}")],
        key=str(changed.config_version),
    )


def read_config(file: Path) -> FundConfig:
    """Raises InvalidInput naming the file and what is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8")
        # TOML's numbers are binary floats: money is text there, as it is in JSON.
        data = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file}: {error}", field="config", fix="Name a readable JSON or TOML file.") from error
    return wire.decode(FundConfig, data)


def flat(settings: FundConfig) -> dict[str, str]:
    """Every value by its dotted key; an agent's under its name."""
    found: dict[str, str] = {}
    _flatten(_by_name(wire.encode(settings)), "", found)
    return found


def with_values(settings: FundConfig, values: list[str]) -> FundConfig:
    """``settings`` with each ``key=value`` set. Raises InvalidInput for an unknown key or a value that does not fit."""
    data = _by_name(wire.encode(settings))
    for text in values:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidInput(f"{text[:60]!r} is not KEY=VALUE", field="values", fix="See `funds config show FUND`.")
        _put(data, key, value)
    data["agents"] = [{"name": name, **choice} for name, choice in data["agents"].items()]
    return wire.decode(FundConfig, data)


def _by_name(data: dict[str, Any]) -> dict[str, Any]:
    agents = {choice["name"]: {key: item for key, item in choice.items() if key != "name"} for choice in data["agents"]}
    return {**data, "agents": agents}


def _flatten(value: Any, path: str, found: dict[str, str]) -> None:
    if isinstance(value, dict):
        settings = cast("dict[str, Any]", value)
        free = path.endswith("parameters")  # numbers by name, which have no order of their own
        for name, item in sorted(settings.items()) if free else settings.items():
            _flatten(item, f"{path}.{name}".lstrip("."), found)
    elif isinstance(value, list):
        found[path] = ",".join(str(item) for item in cast("list[Any]", value))
    else:
        found[path] = str(value).lower() if isinstance(value, bool) else str(value)


def _put(data: dict[str, Any], key: str, text: str) -> None:
    *folders, name = key.split(".")
    place = data
    for folder in folders:
        inner = place.get(folder)
        if not isinstance(inner, dict):
            raise _unknown(key)
        place = cast("dict[str, Any]", inner)
    free = folders[-1:] in (["parameters"], ["allocator_parameters"])
    if name not in place and not free:
        raise _unknown(key)
    place[name] = _like(place.get(name, 0.0), text, key)


def _like(old: Any, text: str, key: str) -> Any:
    """``text`` as the kind of value that stands there now."""
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(old, int):
            return int(text)
        if isinstance(old, float):
            return float(text)
    except (ValueError, KeyError):
        raise InvalidInput(f"{key}: {text[:40]!r} does not fit", field=key, fix=f"It is {old!r} now.") from None
    if isinstance(old, list):
        return [item.strip() for item in text.split(",") if item.strip()]
    if isinstance(old, dict):
        raise _unknown(key)
    return text


def _unknown(key: str) -> InvalidInput:
    return InvalidInput(
        f"{key[:80]}: no such setting", field=key[:80], fix="See `alphapulse funds config show FUND` for the keys."
    )
