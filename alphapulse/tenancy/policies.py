"""The privacy policy, in versions: files ``privacy-VERSION.md`` of which the last by name is in force."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from uuid import UUID

from alphapulse.domain.people import Policy
from alphapulse.errors import Misconfigured, NotFound, PolicyNotAccepted
from alphapulse.ports.database import Transaction
from alphapulse.tenancy import people_store

_FILE = re.compile(r"privacy-([0-9][0-9A-Za-z.-]{0,30})\.md")


class Policies:
    """texts: Markdown by version, at least one."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = dict(sorted(texts.items()))
        self.current = max(self._texts)

    @classmethod
    def from_directory(cls, folder: Path) -> Policies:
        """Reads the files once. Raises Misconfigured when there is none."""
        found = {
            match[1]: path.read_text(encoding="utf-8")
            for path in (sorted(folder.glob("privacy-*.md")) if folder.is_dir() else ())
            if (match := _FILE.fullmatch(path.name))
        }
        if not found:
            raise Misconfigured(
                f"{folder}: no privacy policy there",
                fix="Put privacy-VERSION.md there, for example privacy-2026-11-01.md, or unset policy_directory.",
            )
        return cls(found)

    def get(self, version: str | None = None) -> Policy:
        """version None: the current one. Raises NotFound."""
        wanted = version or self.current
        if wanted not in self._texts:
            raise NotFound(f"no privacy policy {wanted[:40]!r}", fix=f"The versions are {', '.join(self._texts)}.")
        return Policy(wanted, self._texts[wanted], wanted == self.current)

    def insist(self, version: str | None) -> None:
        """Raises PolicyNotAccepted unless ``version`` is the current one."""
        if version != self.current:
            raise PolicyNotAccepted(
                f"the privacy policy {self.current} is not accepted yet",
                fix=f"Read it (GET /policy), then send policy_version {self.current!r} to accept it.",
            )

    async def settle(self, tx: Transaction, user_id: UUID, version: str | None, at: datetime) -> None:
        """Asks a user who logs in: nothing when they accepted the current version, or accept it now by ``version``.

        In a transaction bound to the user. Raises PolicyNotAccepted.
        """
        if not await people_store.has_accepted(tx, user_id, self.current):
            self.insist(version)
            await people_store.accept_policy(tx, user_id, self.current, at)
