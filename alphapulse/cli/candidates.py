"""What completion offers, from the table of commands alone wherever that is enough.

The scripts of ``alphapulse completion`` call the program with ``_ALPHAPULSE_COMPLETE`` set and the words up to the
cursor as arguments; the last one is what is being typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alphapulse.cli.commands import COMMANDS

SHELLS = ("bash", "zsh", "fish")


def candidates(words: Sequence[str]) -> list[str]:
    """What may stand where the last of ``words`` is being typed."""
    *before, typed = words or [""]
    path = [word for word in before if not word.startswith("-")]
    if typed.startswith("-"):
        return [option for option in _options(path) if option.startswith(typed)]
    if not path:
        return [name for name in COMMANDS if name.startswith(typed)]
    entry = COMMANDS.get(path[0])
    if path == ["completion"]:
        return [shell for shell in SHELLS if shell.startswith(typed)]
    if entry is not None and len(path) == 1:
        return [name for name in entry.names if name.startswith(typed)]
    if path[:2] == ["funds", "config"] and len(path) == 2:
        return [name for name in ("show", "set", "diff", "rollback") if name.startswith(typed)]
    return []


def _options(path: Sequence[str]) -> list[str]:
    """The options of the command that ``path`` leads to."""
    from alphapulse.cli.lazy import everywhere, real, root

    command: Any = root() if not path or path[0] not in COMMANDS else real(path[0])
    for name in path[1:]:
        command = getattr(command, "commands", {}).get(name, command)
    parameters = [*command.params, *([] if not path else everywhere())]
    names = [name for parameter in parameters for name in parameter.opts if name.startswith("-")]
    return sorted({"--help", *names})
