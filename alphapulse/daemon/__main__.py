"""``python -m alphapulse.daemon VERB``: what needs the daemon's packages, and works while no daemon runs.

run       serve in the foreground            worker    run jobs beside a daemon
db        upgrade | status | current | check | backup | backups | verify [FILE] | restore [FILE] | restored
config    show | validate [FILE]            init      a complete configuration, and the first platform admin
doctor    what is wrong on this machine, and how to mend it

With --json the answer is one JSON document on stdout, and a failure one ``{"error": ...}`` on stderr; without, a
failure is a line ``error: ...`` and, where there is one, a line ``fix: ...``. Exit codes are the command line's.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapulse import errors
from alphapulse.errors import AlphaPulseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alphapulse.settings import Settings

#: The same as the command line's own; a test holds them equal.
EXIT_CODE: dict[type[BaseException], int] = {
    errors.Refused: 1,
    errors.UnknownOutcome: 1,
    errors.Misconfigured: 1,
    errors.StorageFull: 1,
    errors.InvalidInput: 2,
    errors.DriftFound: 3,
    errors.Unauthenticated: 4,
    errors.NotFound: 5,
    errors.Forbidden: 6,
    errors.Conflict: 7,
    errors.InputNeeded: 8,
    errors.TryAgain: 9,
    errors.Defect: 70,
    KeyboardInterrupt: 130,
}
_OUR_BUG = 70
#: Options of init, and the settings they are.
_INIT = {
    "profile": "profile",
    "data_directory": "data_directory",
    "host": "host",
    "port": "port",
    "public_url": "public_url",
    "tls_certificate": "tls_certificate",
    "tls_key": "tls_key",
    "trusted_proxy": "trusted_proxies",
    "smtp_host": "smtp.host",
    "smtp_port": "smtp.port",
    "smtp_security": "smtp.security",
    "smtp_sender": "smtp.sender",
    "backup_directory": "backup.directory",
}
_BACKUP_VERBS = ("backup", "backups", "verify", "restore", "restored")


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _init(options) if options.verb == "init" else _dispatch(options)
    except AlphaPulseError as error:
        _tell(error, as_json=options.json)
        return next((EXIT_CODE[kind] for kind in type(error).__mro__ if kind in EXIT_CODE), _OUR_BUG)
    except KeyboardInterrupt:
        return EXIT_CODE[KeyboardInterrupt]


def _dispatch(options: argparse.Namespace) -> int:
    settings = _settings(options)
    match options.verb:
        case "run" | "worker":
            return _run(settings, options)
        case "db" if options.what in _BACKUP_VERBS:
            return _backup(settings, options)
        case "db":
            from alphapulse.daemon.verbs import database  # noqa: PLC0415 -- each verb imports what it needs

            return database(settings, options.what, as_json=options.json)
        case "config":
            from alphapulse.daemon.verbs import configuration  # noqa: PLC0415 -- each verb imports what it needs

            return configuration(settings, options.what, as_json=options.json)
        case _:
            from alphapulse.daemon.doctor import doctor  # noqa: PLC0415 -- each verb imports what it needs

            return doctor(settings, as_json=options.json)


def _init(options: argparse.Namespace) -> int:
    from alphapulse.daemon.initialise import initialise  # noqa: PLC0415 -- each verb imports what it needs
    from alphapulse.settings import config_file, load, load_without_file  # noqa: PLC0415 -- as above

    given = {setting: getattr(options, name) for name, setting in _INIT.items() if getattr(options, name) is not None}
    if "data_directory" in given:
        given["data_directory"] = str(Path(given["data_directory"]).absolute())
    return initialise(
        load_without_file,
        load,
        given,
        options.admin_email,
        password_stdin=options.password_stdin,
        file=Path(options.config).absolute() if options.config else config_file(),
        as_json=options.json,
    )


def _backup(settings: Settings, options: argparse.Namespace) -> int:
    from alphapulse.daemon import backups  # noqa: PLC0415 -- each verb imports what it needs

    os.umask(0o077)
    match options.what:
        case "backup":
            return backups.make(settings, as_json=options.json)
        case "backups":
            return backups.list_all(settings, as_json=options.json)
        case "verify":
            return backups.verify(settings, options.backup, options.key, tried=options.drill, as_json=options.json)
        case "restored":
            return backups.restored(settings, options.erasures, as_json=options.json)
        case _:
            return backups.restore(
                settings,
                options.backup,
                options.key,
                options.erasures,
                replace=options.replace,
                force=options.force,
                as_json=options.json,
            )


def _run(settings: Settings, options: argparse.Namespace) -> int:
    from alphapulse.daemon import lifecycle, logs  # noqa: PLC0415 -- each verb imports what it needs

    os.umask(0o077)  # logs, candles and whatever else a library writes
    lifecycle.prepare(settings.data_directory)
    serves = options.verb == "run"
    file = settings.data_directory / (lifecycle.LOG_FILE if serves else "worker.log")
    logs.configure(settings.log_level, settings.log_format, file=file, stderr=not options.quiet)
    try:
        from alphapulse.daemon import serving  # noqa: PLC0415 -- most of the start's time, and only these two need it

        if serves:
            serving.run_daemon(settings, context=_context(settings, options.context))
        else:
            serving.run_worker(settings)
    except AlphaPulseError as error:
        logging.getLogger("alphapulse").error("not started, or ended: %s", error, extra={"fix": error.fix})  # noqa: TRY400 -- our errors name their cause
        raise
    return 0


def _context(settings: Settings, given: str | None) -> str | None:
    """The one of the default data directory is ``local``; any other directory's derives from its path."""
    from alphapulse.daemon.context_file import LOCAL  # noqa: PLC0415 -- only a daemon needs it
    from alphapulse.settings import default_data_directory  # noqa: PLC0415 -- as above

    if given == "" and settings.data_directory.resolve() == default_data_directory().resolve():
        return LOCAL
    return given


def _settings(options: argparse.Namespace) -> Settings:
    from alphapulse.settings import load, unknown_variables  # noqa: PLC0415 -- after the arguments are known to be right

    given = {name: getattr(options, name, None) for name in ("host", "port", "data_directory")}
    given |= {"tls_certificate": getattr(options, "tls_cert", None), "tls_key": getattr(options, "tls_key", None)}
    if given["data_directory"] is not None:
        given["data_directory"] = Path(given["data_directory"]).absolute()
    file = getattr(options, "file", None) or options.config
    settings = load(None if file is None else Path(file), **given)
    for name in unknown_variables(os.environ):
        print(f"warning: the variable {name} is no setting", file=sys.stderr)
    return settings


def _tell(error: AlphaPulseError, *, as_json: bool) -> None:
    if as_json:
        shown: dict[str, Any] = {
            "code": error.code,
            "message": error.message,
            "fix": error.fix,
            "retryable": error.retryable,
            "request_id": error.request_id,
        }
        print(json.dumps({"error": shown}), file=sys.stderr)
        return
    print(f"error: {error.message}", file=sys.stderr)
    if error.fix:
        print(f"fix: {error.fix}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE", help="settings file, instead of the user's")
    common.add_argument("--data-directory", metavar="DIR", help="where database, candles, keys and logs live")
    common.add_argument("--json", action="store_true", help="answers and errors as JSON")
    parser = argparse.ArgumentParser(prog="alphapulse.daemon", description=(__doc__ or "").partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("run", "worker"):
        one = verbs.add_parser(verb, parents=[common])
        one.add_argument("--quiet", action="store_true", help="log to the data directory only, not to stderr")
    run = verbs.choices["run"]
    run.add_argument("--host", metavar="ADDRESS", help="address to listen on")
    run.add_argument("--port", type=int, metavar="N", help="port to listen on; 0 takes a free one")
    run.add_argument("--tls-cert", metavar="FILE", help="PEM file with the certificate chain to serve TLS 1.3 with")
    run.add_argument("--tls-key", metavar="FILE", help="PEM file with its key; both are read again at SIGHUP")
    run.add_argument(
        "--context",
        default="",
        metavar="NAME",
        help="how the command line calls this daemon; else local, or local-DIR for another data directory",
    )
    run.add_argument(
        "--no-context", dest="context", action="store_const", const=None, help="do not tell the command line"
    )
    db = verbs.add_parser("db", parents=[common])
    db.add_argument("what", choices=["upgrade", "status", "current", "check", *_BACKUP_VERBS])
    db.add_argument("backup", nargs="?", metavar="FILE", help="verify, restore: the backup; else the newest")
    db.add_argument("--key", metavar="FILE", help="verify, restore: the master key that the backup was made with")
    db.add_argument("--drill", action="store_true", help="verify: also restore it on trial, and prove that")
    db.add_argument("--erasures", metavar="FILE", help="restore, restored: a further erasure ledger to carry out again")
    db.add_argument("--replace", action="store_true", help="restore: although there is a database; it is kept aside")
    db.add_argument("--force", action="store_true", help="restore: although the proof found differences")
    config = verbs.add_parser("config", parents=[common])
    config.add_argument("what", choices=["show", "validate"])
    config.add_argument("file", nargs="?", help="settings file, instead of the user's")
    verbs.add_parser("doctor", parents=[common])
    _add_init(verbs.add_parser("init", parents=[common]))
    return parser


def _add_init(init: argparse.ArgumentParser) -> None:
    for name in _INIT:
        if name != "data_directory":
            kind = int if name.endswith("port") else str
            action = "append" if name == "trusted_proxy" else "store"
            init.add_argument(f"--{name.replace('_', '-')}", type=kind, action=action)
    init.add_argument("--admin-email", metavar="EMAIL", help="make the first platform admin")
    init.add_argument("--password-stdin", action="store_true", help="the admin's password comes on standard input")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
