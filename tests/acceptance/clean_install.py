"""A fresh environment that holds the built wheel and exactly the packages that it declares, without a network.

The declared packages are linked from the environment that runs the tests; whatever the wheel forgets to declare is
not there.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class CleanInstall:
    """python: the fresh environment's interpreter. home: an empty folder that stands for the user's."""

    python: Path
    home: Path

    def run(self, *arguments: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        """``alphapulse ARGUMENTS`` as an installed program, with no variable of ours set."""
        return self.call(str(self.python.with_name("alphapulse")), *arguments, timeout=timeout)

    def call(self, *command: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        environment = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        return subprocess.run(
            command,
            cwd=self.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout, built as ``pip install`` would."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True, capture_output=True, timeout=100)
    (wheel,) = folder.glob("alphapulse-*.whl")
    return wheel


def install(wheel: Path, folder: Path, extra: str = "") -> CleanInstall:
    """The wheel in a new environment below ``folder``, with the packages of ``extra`` (or of no extra)."""
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=60)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, wheel], check=True, capture_output=True, timeout=60)
    packages = next((environment / "lib").glob("python*")) / "site-packages"
    (metadata,) = packages.glob("alphapulse-*.dist-info")
    for found in closure(Distribution.at(metadata), extra).values():
        link(found, packages)
    home = folder / "home"
    home.mkdir()
    return CleanInstall(python, home)


def closure(start: Distribution, extra: str) -> dict[str, Distribution]:
    """Every distribution that ``start[extra]`` needs on this machine, by name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(start, "")] + ([(start, extra)] if extra else [])
    while waiting:
        here, wanted = waiting.pop()
        for text in here.requires or []:
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": wanted}):
                continue
            needed = distribution(requirement.name)
            for one in ("", *requirement.extras):
                if (needed.name, one) not in seen:
                    seen.add((needed.name, one))
                    waiting.append((needed, one))
            found[needed.name] = needed
    return found


def link(found: Distribution, packages: Path) -> None:
    """Links a distribution's top-level files and folders; two distributions may share a folder."""
    for file in found.files or []:
        parts = file.parts
        if parts[0] in {"..", "__pycache__"}:
            continue
        origin = Path(str(found.locate_file(parts[0]))).resolve()
        link_entry(origin, packages / parts[0], shared=not (origin / "__init__.py").exists() and origin.is_dir())


def link_entry(origin: Path, target: Path, *, shared: bool) -> None:
    if shared and not re.search(r"\.(dist-info|libs)$", origin.name):
        target.mkdir(exist_ok=True)
        for child in origin.iterdir():
            link_entry(child, target / child.name, shared=False)
    elif not target.exists():
        target.symlink_to(origin)
