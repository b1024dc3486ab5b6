"""The console entry: what can be answered without any library is answered here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from alphapulse import __version__


def run() -> int:
    """The process's exit code."""
    arguments = sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character gets a question mark, no crash
    try:
        code = _answer(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough, as in `alphapulse events tail | head`. Python flushes again at exit: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _answer(arguments: Sequence[str]) -> int:
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"alphapulse {__version__}\n")
        return 0
    if "_ALPHAPULSE_COMPLETE" in os.environ:
        from alphapulse.cli.candidates import candidates

        sys.stdout.write("".join(f"{word}\n" for word in candidates(arguments)))
        return 0
    from alphapulse.cli.dispatch import dispatch

    return dispatch(arguments, os.environ)
