"""What completion offers, from the table of commands alone wherever that is enough.

The scripts of ``alphapulse completion`` call the program with ``_ALPHAPULSE_COMPLETE`` set and the words up to the
cursor as arguments; the last one is what is being typed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from alphapulse.cli.commands import COMMANDS

#: Of the options of every command those that take a value, and those that take none.
_VALUED = frozenset({"--output", "-o", "--context", "--tenant"})
_FLAGS = frozenset({"--json", "--quiet", "-q", "--yes", "-y", "--no-input", "--help", "--version"})


def candidates(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """What may stand where the last of ``words`` is being typed."""
    *before, typed = words or [""]
    path, given, waiting = _read(before)
    if waiting:
        offered = _values_of_option(waiting, environment, given)
    elif typed.startswith("-"):
        offered = _options(path)
    else:
        offered = _names(path) or _values_of_argument(path, environment, given)
    return [word for word in offered if word.startswith(typed)]


def _read(words: Sequence[str]) -> tuple[list[str], dict[str, str], str]:
    """The words that are no options, the options' values, and the option that waits for its value, or empty."""
    path: list[str] = []
    given: dict[str, str] = {}
    waiting = ""
    for word in words:
        if waiting:
            given[waiting] = word
            waiting = ""
        elif word.startswith("-") and "=" in word:
            name, _, given[name] = word.partition("=")
        elif word.startswith("-"):
            waiting = word if _takes_value(path, word) else ""
        else:
            path.append(word)
    return path, given, waiting


def _takes_value(path: Sequence[str], option: str) -> bool:
    if option in _VALUED or option in _FLAGS:
        return option in _VALUED
    return any(option in parameter.opts and not parameter.is_flag for parameter in _parameters(path))


def _names(path: Sequence[str]) -> tuple[str, ...]:
    """The commands that may follow."""
    if not path:
        return tuple(COMMANDS)
    if list(path) == ["funds", "config"]:
        return ("show", "set", "diff", "rollback")
    entry = COMMANDS.get(path[0])
    return entry.names if entry is not None and len(path) == 1 else ()


def _values_of_option(option: str, environment: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    from alphapulse.cli.values import OPTIONS, values

    return values(OPTIONS.get(option, ""), environment, given.get("--context", ""), given.get("--tenant", ""))


def _values_of_argument(path: Sequence[str], environment: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    from alphapulse.cli.values import ARGUMENTS, values

    for length in range(len(path), 0, -1):
        kinds = ARGUMENTS.get(tuple(path[:length]), ())
        place = len(path) - length
        if place < len(kinds):
            return values(kinds[place], environment, given.get("--context", ""), given.get("--tenant", ""))
    return []


def _options(path: Sequence[str]) -> list[str]:
    """The options of the command that ``path`` leads to."""
    return sorted({"--help", *(name for one in _parameters(path) for name in one.opts if name.startswith("-"))})


def _parameters(path: Sequence[str]) -> list[Any]:
    """The options and arguments of the command that ``path`` leads to."""
    from alphapulse.cli.lazy import everywhere, real, root

    command: Any = root() if not path or path[0] not in COMMANDS else real(path[0])
    for name in path[1:]:
        command = getattr(command, "commands", {}).get(name, command)
    return [*command.params, *([] if not path else everywhere())]
