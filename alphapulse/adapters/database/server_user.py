"""Whom the embedded server runs as: ourselves, or an unprivileged user when we are root."""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypedDict

from alphapulse.errors import Misconfigured


class Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class ServerUser:
    """uid: None when the server runs as ourselves."""

    uid: int | None

    @classmethod
    def of(cls, data: Path) -> Self:
        """For root: the owner of existing data, else ``nobody``."""
        if os.geteuid() != 0:
            return cls(None)
        owner = data.stat().st_uid if data.exists() else 0
        return cls(owner or pwd.getpwnam("nobody").pw_uid)

    @property
    def effective(self) -> int:
        return os.geteuid() if self.uid is None else self.uid

    def identity(self) -> Identity:
        """The arguments of a subprocess that runs as this user."""
        return {} if self.uid is None else {"user": self.uid, "group": self._group(), "extra_groups": []}

    def own(self, path: Path) -> None:
        if self.uid is not None:
            os.chown(path, self.uid, self._group())

    def may_enter(self, directory: Path) -> bool:
        """Whether a server that runs as this user gets through every folder down to ``directory``."""
        if self.uid is None:
            return True
        for folder in (directory, *directory.parents):
            found = folder.stat()
            if not found.st_mode & (0o100 if found.st_uid == self.uid else 0o001):
                return False
        return True

    def name_of(self, directory: Path) -> str:
        """How a server that was started inside ``directory`` names it.

        The user we drop to may not be allowed through the folders above, as below /root. We enter the directory
        while still root, and on Linux that place keeps this name, whoever we become.
        """
        return "/proc/self/cwd" if self.uid is not None and sys.platform == "linux" else str(directory)

    def insist_on_name(self) -> None:
        """PostgreSQL's initdb wants a name for its user. Raises Misconfigured when there is none."""
        if not _has_name(self.effective):
            raise Misconfigured(
                f"the user id {self.effective} has no entry in the list of users, which PostgreSQL demands",
                fix="Run as a user with an entry in /etc/passwd, or set ALPHAPULSE_DATABASE_URL.",
            )

    def _group(self) -> int:
        assert self.uid is not None
        return pwd.getpwuid(self.uid).pw_gid if _has_name(self.uid) else self.uid


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
