"""The queue engine's own tables, as the installed engine ships them.

They are not ours and are not copied. A migration names the hash of the text it was tested with, so that a
release of the engine with other tables is met by a clear refusal instead of a half-known schema.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import distribution
from pathlib import Path

from alphapulse.errors import Misconfigured

_PACKAGE = "procrastinate"


def engine_schema(sha256: str) -> bytes:
    """The schema's SQL; it runs with ``search_path=queue``. Raises Misconfigured unless it has that hash."""
    package = distribution(_PACKAGE)
    text = Path(str(package.locate_file(f"{_PACKAGE}/sql/schema.sql"))).read_bytes()
    found = hashlib.sha256(text).hexdigest()
    if found != sha256:
        raise Misconfigured(
            f"{_PACKAGE} {package.version} brings other tables than this release of alphapulse knows",
            fix="Install the versions of config/constraints.txt (pip install -c constraints.txt).",
        )
    return text
