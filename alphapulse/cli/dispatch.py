"""Runs one command line to its exit code: the outermost loop, where every error becomes a line and a number."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from alphapulse.cli import lazy
from alphapulse.cli.invocation import Invocation
from alphapulse.cli.render import INTERRUPTED, OUR_BUG, USAGE, exit_code, show_failure, warn


def dispatch(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    called = Invocation(environment)
    try:
        lazy.run(arguments, called)
    except typer.Exit as ended:
        return ended.exit_code
    except typer.Abort:
        warn("stopped: nothing was done")
        return INTERRUPTED
    except typer.TyperException as wrong:
        return _misused(wrong, as_json=called.as_json or "--json" in arguments)
    except KeyboardInterrupt:
        warn("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 -- the outermost loop: what is left is our bug, and is said as one
        trace = _keep_trace(error, environment) if exit_code(error) == OUR_BUG else None
        return show_failure(error, as_json=called.as_json, trace=trace)
    finally:
        called.close()
    return 0


def _keep_trace(error: Exception, environment: Mapping[str, str]) -> Path | None:
    """Where the trace of a bug of ours was written, for the report; None where nothing can be written."""
    base = environment.get("XDG_STATE_HOME") or ""
    folder = (Path(base) if Path(base).is_absolute() else Path.home() / ".local/state") / "alphapulse"
    file = folder / "crash.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return None
    return file


def _misused(wrong: typer.TyperException, *, as_json: bool) -> int:
    """What the parser refused. A call of a group without a command gets its help."""
    message = wrong.format_message().strip()
    ctx = getattr(wrong, "ctx", None)
    option = str(getattr(wrong, "option_name", "") or "")
    fix = f"See `{ctx.command_path} --help`." if ctx is not None else "See `alphapulse --help`."
    if option[:1] == "-" and option[1:2].isdigit():
        message = f"{option}...: a negative number is not accepted here"
        fix = "Quantities and prices are above zero; buy or sell says the direction."
    if type(wrong).__name__ == "NoArgsIsHelpError":
        if message:
            warn(message)
        return USAGE
    if as_json:
        error = {"code": "usage", "message": message, "fix": fix, "retryable": False, "request_id": ""}
        warn(json.dumps({"error": error}, ensure_ascii=False))
    else:
        warn(f"error: {message}\nfix: {fix}")
    return USAGE
