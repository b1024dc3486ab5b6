"""The layers, read and laid over each other; every mistake named with its place."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from platformdirs import user_config_path
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsError

from alphapulse.errors import Misconfigured
from alphapulse.packaged import packaged_config
from alphapulse.settings.model import PREFIX, Settings

PROFILES: tuple[str, ...] = get_args(Settings.model_fields["profile"].annotation)
DEFAULT_PROFILE: str = Settings.model_fields["profile"].default


def config_file() -> Path:
    """The user's file; it need not exist."""
    named = os.environ.get(f"{PREFIX}CONFIG")
    return Path(named) if named else user_config_path("alphapulse") / "alphapulse.toml"


def load(path: Path | None = None, **overrides: Any) -> Settings:
    """The settings in effect. path: the user's file, which then must exist.

    overrides: from the command line; None is left out.

    Raises Misconfigured naming the setting, what is wrong and how to write it.
    """
    user = _tables(path or config_file(), required=path is not None or f"{PREFIX}CONFIG" in os.environ)
    return _layered(user, path or config_file(), overrides)


def load_without_file(**overrides: Any) -> Settings:
    """As ``load``, as if the user had no file. Raises Misconfigured."""
    return _layered({}, config_file(), overrides)


def _layered(user: dict[str, Any], file: Path, overrides: Mapping[str, Any]) -> Settings:
    """user: the tables of the user's ``file``."""
    given = {name: value for name, value in overrides.items() if value is not None}
    layers = (user, _profile(given, user), _tables(packaged_config() / "alphapulse.toml", required=True))

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            files = (InitSettingsSource(settings_cls, init_kwargs=tables) for tables in layers)
            return init_settings, env_settings, *files

    try:
        return Layered(**given)
    except ValidationError as error:
        raise _misconfigured(error, user, file) from error
    except SettingsError as error:
        raise Misconfigured(f"{error}", fix="Write tables in environment variables as JSON.") from error


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """``ALPHAPULSE_*`` variables that look like settings and are none: misspelled, most likely."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    clients = {f"{PREFIX}{name}" for name in ("CONFIG", "API_KEY", "CONTEXT", "TENANT", "URL", "COMPLETE")}
    return sorted(
        name for name in environment if name.startswith(PREFIX) and name.partition("__")[0] not in known | clients
    )


def _profile(given: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of the profile in force; a name that is none is left to the validation."""
    name = given.get("profile") or os.environ.get(f"{PREFIX}PROFILE") or user.get("profile") or DEFAULT_PROFILE
    path = packaged_config() / "profiles" / f"{name}.toml"
    return _tables(path, required=True) if name in PROFILES else {}


def _tables(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise Misconfigured(f"{path}: no such file", fix="Name an existing file, or unset it.") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: cannot be read: {error}", fix="Make it a readable UTF-8 file.") from error
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path}: not TOML: {error}", fix="Mend the line that is named.") from error


def _misconfigured(error: ValidationError, user: Mapping[str, Any], file: Path) -> Misconfigured:
    """Every mistake in one message; the fix says where each stands. user: the tables of the user's ``file``."""
    problems: list[str] = []
    fixes: list[str] = []
    for found in error.errors(include_url=False, include_input=False):
        steps = [str(part) for part in found["loc"]]
        path = ".".join(steps)
        problem = str(found["msg"]).removeprefix("Value error, ")
        variable = PREFIX + path.replace(".", "__").upper()
        where = variable if variable in os.environ else str(file) if steps and steps[0] in user else ""
        if not path:
            problems.append(problem)
            fixes.append("Change the settings named above.")
        elif found["type"] == "extra_forbidden":
            problems.append(f"setting {path} does not exist")
            fixes.append(f"Remove {path}{where and ' from '}{where}: {_nearest(steps)}")
        else:
            problems.append(f"setting {path}: {problem}")
            fixes.append(f"Correct {path}{where and ' in '}{where or f' where it is given, or set {variable}'}.")
    return Misconfigured("; ".join(problems), fix=" ".join(fixes))


def _nearest(steps: list[str]) -> str:
    """``did you mean ...`` where a name is close, else the names there are."""
    fields: Mapping[str, Any] = Settings.model_fields
    for step in steps[:-1]:
        kind = fields[step].annotation if step in fields else None
        fields = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}
    near = get_close_matches(steps[-1], fields, n=1)
    prefix = "".join(f"{step}." for step in steps[:-1])
    if near:
        return f"did you mean {prefix}{near[0]}?"
    return (
        f"the settings are {', '.join(sorted(prefix + name for name in fields))}" if fields else "there is no such name"
    )
