"""``db backup``, ``db backups``, ``db verify`` and ``db restore``: for operators, with or without a daemon running."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapulse.backup import service
from alphapulse.clock import SystemClock
from alphapulse.daemon import lifecycle
from alphapulse.daemon.assembly import backup as parts
from alphapulse.daemon.assembly.database import reached
from alphapulse.daemon.assembly.erasures import known_erasures
from alphapulse.daemon.verbs import show
from alphapulse.domain.backups import BackupFile, RestoreProof
from alphapulse.domain.wire import write_time
from alphapulse.errors import DriftFound, NotFound

if TYPE_CHECKING:
    from alphapulse.settings import Settings

_FIX_DRIFT = "See the differences above; take another backup, or take it over nevertheless with --force."


def make(settings: Settings, *, as_json: bool) -> int:
    """``db backup``: the exit code. Old backups go once the new one is complete."""
    lifecycle.prepare(settings.data_directory)
    clock = SystemClock()
    with reached(settings) as urls:
        backups = parts.open_backups(settings, urls, parts.seal_of(settings), clock)
        made = backups.make()
        gone = backups.tidy()
    show({**_shown(made), "deleted": [one.file for one in gone]}, as_json=as_json)
    return 0


def list_all(settings: Settings, *, as_json: bool) -> int:
    """``db backups``: newest first."""
    found = service.list_backups(settings.backup_directory)
    if as_json:
        show({"directory": str(settings.backup_directory), "backups": [_shown(one) for one in found]}, as_json=True)
        return 0
    if not found:
        print(f"No backup in {settings.backup_directory}.")
    for one in found:
        print(f"{one.created_at:%Y-%m-%d %H:%M:%S}  {one.size / 1e6:>10.1f} MB  schema {one.schema}  {one.file}")
    return 0


def verify(settings: Settings, file: str | None, key: str | None, *, tried: bool, as_json: bool) -> int:
    """``db verify [FILE]``: read all of it; tried: also restore it into a scratch database and prove that."""
    backup = _named(settings, file)
    seal = parts.seal_of(settings, _path(key))
    sums = service.verify(Path(backup.file), seal)
    proof = parts.drill(settings, backup, seal, known_erasures(settings, None)) if tried else None
    show({**_shown(backup), **sums, **({} if proof is None else _proved(proof))}, as_json=as_json)
    if proof is not None:
        _insist(proof, backup)
    return 0


def restore(
    settings: Settings,
    file: str | None,
    key: str | None,
    erasures: str | None,
    *,
    replace: bool,
    force: bool,
    as_json: bool,
) -> int:
    """``db restore [FILE]``: put it in place; the database that is there stays under another name."""
    backup = _named(settings, file)
    seal = parts.seal_of(settings, _path(key))
    service.verify(Path(backup.file), seal)
    lifecycle.prepare(settings.data_directory)
    with _no_daemon(settings), reached(settings) as urls:
        known = known_erasures(settings, urls, _path(erasures))
        restored = parts.restore(settings, urls, backup, seal, known, replace=replace, force=force)
        if restored.done and key is not None:
            parts.adopt_key(settings, Path(key))
    shown = {"restored": restored.done, **_shown(backup), **_proved(restored.proof)}
    show({**shown, "kept_as": restored.kept_as}, as_json=as_json)
    if not restored.done:
        _insist(restored.proof, backup)
    return 0


def restored(settings: Settings, erasures: str | None, *, as_json: bool) -> int:
    """``db restored``: for a database that was put back by other means. Erasures are carried out again, then it is
    proved.
    """
    with reached(settings) as urls:
        seal = parts.seal_of(settings)
        proof = parts.prove_here(settings, urls, seal, known_erasures(settings, urls, _path(erasures)))
    shown = _proved(proof)
    show({name: value for name, value in shown.items() if name not in {"rows", "candles"}}, as_json=as_json)
    if proof.problems:
        raise DriftFound(
            f"the database does not hold what it should ({len(proof.problems)} differences): {proof.problems[0]}",
            fix="See the differences above, and compare with a backup.",
        )
    return 0


@contextlib.contextmanager
def _no_daemon(settings: Settings) -> Generator[None]:
    """Raises Conflict while a daemon runs on the data directory."""
    with lifecycle.held(settings.data_directory):
        yield


def _named(settings: Settings, file: str | None) -> BackupFile:
    if file is not None:
        return service.describe(Path(file).absolute())
    found = service.list_backups(settings.backup_directory)
    if not found:
        raise NotFound(
            f"there is no backup in {settings.backup_directory}", fix="Make one (alphapulse db backup), or name a file."
        )
    return found[0]


def _path(named: str | None) -> Path | None:
    if named is None:
        return None
    if not Path(named).is_file():
        raise NotFound(f"there is no file {named}", fix="Correct the path.")
    return Path(named)


def _insist(proof: RestoreProof, backup: BackupFile) -> None:
    if proof.problems:
        raise DriftFound(
            f"the backup {backup.file} does not hold what it should ({len(proof.problems)} differences):"
            f" {proof.problems[0]}",
            fix=_FIX_DRIFT,
        )


def _shown(backup: BackupFile) -> dict[str, Any]:
    return {**asdict(backup), "created_at": write_time(backup.created_at)}


def _proved(proof: RestoreProof) -> dict[str, Any]:
    return {**asdict(proof), "problems": list(proof.problems), "candles": list(proof.candles)}
