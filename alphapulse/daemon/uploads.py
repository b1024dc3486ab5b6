"""Where uploads lie while they arrive: in the data directory, for the daemon's user alone."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

#: In the data directory.
FOLDER = "uploads"

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def room(folder: Path) -> Generator[Path]:
    """A file to write one upload to, in a folder of its own that is gone afterwards. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        yield Path(own) / "upload"


def clear(directory: Path) -> None:
    """Remove what a daemon that was killed left in the data directory; only whoever holds the directory may call it."""
    folder = directory / FOLDER
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            _log.warning("old uploads could not be removed", extra={"folder": str(folder)})
