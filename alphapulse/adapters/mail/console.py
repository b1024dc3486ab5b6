"""The mail adapter that needs no server: mails are files for whoever runs this machine."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from alphapulse.adapters.mail.message import written
from alphapulse.domain.mail import Mail
from alphapulse.errors import StorageFull, Unavailable

_log = logging.getLogger(__name__)


class ConsoleMail:
    """One ``.eml`` file per mail in ``folder``, readable by its owner alone: a link in it opens an account."""

    def __init__(self, folder: Path, *, sender: str) -> None:
        self._folder = folder
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        text = written(mail, self._sender).as_bytes()
        path = self._folder / f"{mail.written_at:%Y%m%dT%H%M%S}-{mail.template.value}-{mail.id}.eml"
        await asyncio.to_thread(self._write, path, text)
        _log.info("mail written", extra={"to": mail.to, "template": mail.template.value, "folder": str(self._folder)})

    async def forget(self, mails: Sequence[UUID]) -> int:
        return await asyncio.to_thread(self._delete, frozenset(str(mail) for mail in mails))

    async def ping(self) -> None:
        await asyncio.to_thread(self._make_folder)

    def _write(self, path: Path, text: bytes) -> None:
        self._make_folder()
        draft = path.with_suffix(".part")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(text)
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise StorageFull(f"{path}: the mail cannot be written: {error.strerror}") from error

    def _delete(self, mails: frozenset[str]) -> int:
        gone = 0
        for path in self._folder.glob("*.eml"):
            if path.stem[-36:] in mails:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{self._folder}: the folder of mails cannot be made: {error.strerror}") from error
