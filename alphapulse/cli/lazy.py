"""Groups that import a command only when it is run, and the options that every command takes.

`--help` and completion see stand-ins with a name and a sentence; dispatching replaces the stand-in by the real thing.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from alphapulse.cli.commands import COMMANDS
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.render import Format, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PANEL = "Options of every command"
_NUMBERS = re.compile("(int|float|integer)( range)?$")


class Group(TyperGroup):
    """A group whose commands take the options of every command as well."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not any(parameter.name == "output" for parameter in command.params):
            command.params = [*command.params, *everywhere(hidden=isinstance(command, TyperGroup))]
        return name, command, rest


class Command(TyperCommand):
    """A command whose usage line shows its arguments as plain words: the brackets alone say what may be left out."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece[1:-1] if piece.startswith("{") else piece for piece in super().collect_usage_pieces(ctx)]


class Commands(typer.Typer):
    """What a group's commands are declared with."""

    def command(self, name: str | None = None, **declared: Any) -> Callable[[Any], Any]:
        declared.setdefault("cls", Command)
        return super().command(name, **declared)


class Root(Group):
    """`alphapulse` itself."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 -- typer calls it so
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 -- typer calls it so
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        return TyperCommand(cmd_name, help=entry.help, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args[0] in COMMANDS:
            self.commands = {args[0]: real(args[0])}
            command = self.commands[args[0]]
            command.params = [*command.params, *everywhere(hidden=isinstance(command, TyperGroup))]
            return args[0], command, args[1:]
        self.commands = {name: self.get_command(ctx, name) for name in COMMANDS}
        return super().resolve_command(ctx, args)


def real(name: str) -> Any:
    """The command behind an entry of the table, imported."""
    entry = COMMANDS[name]
    module, _, attribute = entry.target.partition(":")
    found = getattr(import_module(module), attribute)
    command: Any
    if isinstance(found, typer.Typer):
        command = typer.main.get_group(found)
    else:
        single = Commands(add_completion=False)
        single.command(name=name)(found)
        command = typer.main.get_command(single)
    command.name = name
    command.help = command.help or entry.help
    _name_numbers(command)
    return command


def _name_numbers(command: Any) -> None:
    """Options that take a number say so with one letter; their range stands beside it."""
    for parameter in command.params:
        if isinstance(parameter, TyperOption) and parameter.metavar is None and _NUMBERS.match(parameter.type.name):
            parameter.metavar = "N"
    for inner in getattr(command, "commands", {}).values():
        _name_numbers(inner)


def group() -> Commands:
    """An empty group; its help stands in the table."""
    return Commands(cls=Group, no_args_is_help=True, add_completion=False)


def root() -> Root:
    return Root(
        name="alphapulse",
        help="Control plane for multi-tenant, agent-driven crypto funds.\n\nStart with `alphapulse demo`.",
        no_args_is_help=True,
        params=[*everywhere(), _version()],
    )


def everywhere(*, hidden: bool = False) -> list[Any]:
    """The options that stand before or after the command, wherever the hand put them. hidden: taken, not shown."""
    options = [
        _option("--output", "-o", metavar="|".join(Format), help="How data is printed.", keep=_keep_output),
        _option("--json", help="Short for --output json.", keep=lambda run, _: run.set_format(Format.JSON)),
        _option("--quiet", "-q", help="Ids or names only, one a line.", keep=lambda run, _: run.be_quiet()),
        _option("--yes", "-y", help="Answer every confirmation with yes.", keep=lambda run, _: run.assume_yes()),
        _option("--no-input", help="Never ask: exit with 8 instead.", keep=lambda run, _: run.never_ask()),
        _option(
            "--context", metavar="NAME", help="Which daemon to talk to.", keep=lambda run, name: run.use_context(name)
        ),
        _option(
            "--tenant",
            metavar="SLUG",
            help="The tenant to act in, as a platform admin.",
            keep=lambda run, slug: run.use_tenant(slug),
        ),
    ]
    for option in options:
        option.hidden = hidden
    return options


def _keep_output(run: Invocation, text: str) -> None:
    if text not in set(Format):
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(Format)}.", param_hint="--output")
    run.set_format(Format(text))


def _option(*names: str, help: str, keep: Callable[[Invocation, str], None], metavar: str | None = None) -> TyperOption:
    def note(ctx: typer.Context, _parameter: Any, value: Any) -> None:
        if value is not None and value is not False:
            keep(invocation(ctx), value)

    flag = metavar is None
    return TyperOption(
        param_decls=list(names),
        help=help,
        metavar=metavar,
        is_flag=flag,
        default=False if flag else None,
        type=None if flag else str,
        callback=note,
        expose_value=False,
        rich_help_panel=_PANEL,
        show_default=False,
    )


def _version() -> TyperOption:
    def answer(ctx: typer.Context, _parameter: Any, value: Any) -> None:
        if value and not ctx.resilient_parsing:
            from alphapulse import __version__

            say(f"alphapulse {__version__}")
            raise typer.Exit

    return TyperOption(
        param_decls=["--version"],
        help="Print the version.",
        is_flag=True,
        default=False,
        is_eager=True,
        expose_value=False,
        callback=answer,
        show_default=False,
    )


def invocation(ctx: typer.Context) -> Invocation:
    """What the command was called with; every command asks for it first."""
    return cast("Invocation", ctx.obj)


def run(arguments: Sequence[str], called: Invocation) -> None:
    """Parses and runs. Raises what the command raises, and typer's own exceptions."""
    command = root()
    with command.make_context("alphapulse", list(arguments), obj=called) as ctx:
        command.invoke(ctx)
