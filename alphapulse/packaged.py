"""Where the files that ship with the package are found, in an installed wheel and in a checkout alike."""

from __future__ import annotations

from pathlib import Path


def packaged_config() -> Path:
    """The folder of the default configuration (alphapulse.toml, agents.toml, ...).

    A wheel carries the checkout's config/ as alphapulse/_config; an editable install reads config/ itself.
    """
    package = Path(__file__).resolve().parent
    inside = package / "_config"
    return inside if inside.is_dir() else package.parent / "config"
