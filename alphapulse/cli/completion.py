"""`alphapulse completion`: the script that a shell evaluates."""

from __future__ import annotations

from typing import Annotated

import typer

from alphapulse.cli.lazy import invocation
from alphapulse.cli.render import say
from alphapulse.errors import InvalidInput

_SCRIPTS = {
    "bash": """\
_alphapulse_completion() {
    local IFS=$'\\n'
    COMPREPLY=($(_ALPHAPULSE_COMPLETE=1 "${COMP_WORDS[0]}" "${COMP_WORDS[@]:1:$COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _alphapulse_completion alphapulse
""",
    "zsh": """\
#compdef alphapulse
_alphapulse() {
    local -a found
    found=(${(f)"$(_ALPHAPULSE_COMPLETE=1 ${words[1]} ${(@)words[2,$CURRENT]} 2>/dev/null)"})
    if (( $#found )); then compadd -- $found; else _files; fi
}
compdef _alphapulse alphapulse
""",
    "fish": """\
function __alphapulse_complete
    set -lx _ALPHAPULSE_COMPLETE 1
    set -l words (commandline -opc) (commandline -ct)
    $words[1] $words[2..-1] 2>/dev/null
end
complete -c alphapulse -a '(__alphapulse_complete)'
""",
}
_WHERE = {
    "bash": 'eval "$(alphapulse completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(alphapulse completion zsh)"   # in ~/.zshrc, after compinit',
    "fish": "alphapulse completion fish | source   # in ~/.config/fish/config.fish",
}


def completion(
    ctx: typer.Context, shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="Your shell.")]
) -> None:
    """Print the script that completes commands and options; your shell evaluates it."""
    run = invocation(ctx)
    if shell not in _SCRIPTS:
        raise InvalidInput(
            f"shell: {shell[:20]!r} is not known", field="shell", fix=f"Use one of {', '.join(_SCRIPTS)}."
        )
    say(_SCRIPTS[shell].rstrip())
    if run.output.on_terminal:
        run.output.note(f"\nTo use it: {_WHERE[shell]}")
