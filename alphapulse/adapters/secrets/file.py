"""Secrets of tenants in folders of this machine, one per tenant, open to the daemon's user alone."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

from alphapulse.errors import Misconfigured, StorageFull, Unavailable

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


class FileSecrets:
    """directory: made at the first use, mode 0700; a folder named by the tenant's id for each tenant."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def prepare(self, tenant_id: UUID) -> None:
        """Raises Misconfigured, StorageFull or Unavailable, each naming the folder."""
        await self._on_disk(_make, tenant_id)

    async def erase(self, tenant_id: UUID) -> None:
        await self._on_disk(_remove, tenant_id)

    async def ping(self, tenant_id: UUID | None = None) -> None:
        await self._on_disk(_try, tenant_id)

    async def _on_disk(self, act: Callable[[Path], None], tenant_id: UUID | None) -> None:
        folder = self._directory if tenant_id is None else self._directory / str(tenant_id)
        try:
            await asyncio.to_thread(act, folder)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StorageFull(f"{folder}: no space left for secrets", fix="Free some room.") from error
            if error.errno in _DENIED:
                fix = "Give the daemon's user this folder, or correct data_directory."
                raise Misconfigured(f"{folder}: {error.strerror}", fix=fix) from error
            raise Unavailable(f"{folder}: {error.strerror}") from error


def _make(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.parent.chmod(0o700)
    folder.mkdir(mode=0o700, exist_ok=True)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:  # erased before, or by another attempt while we walked
        if folder.exists():
            shutil.rmtree(folder)


def _try(folder: Path) -> None:
    """A file is written and read back: a full or read-only disk shows here and not at the first credential."""
    if not folder.exists():
        raise FileNotFoundError(errno.ENOENT, "the namespace does not exist")
    trial = folder / f".trial-{uuid4().hex}"
    trial.write_bytes(b"trial")
    trial.unlink()
