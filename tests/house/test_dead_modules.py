"""What nothing imports is deleted."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable

from tests.house.sources import ROOT, Source, package, snippet

#: Modules that start something, or that a framework finds by their place, each with who opens them.
ENTRIES: dict[str, str] = {
    "alphapulse": "the package itself",
    "alphapulse.adapters.database.migrations.env": "Alembic",
}
ENTRY_PATTERNS = (
    re.compile(r"alphapulse(\.\w+)*\.__main__"),  # python -m
    re.compile(r"alphapulse\.adapters\.database\.migrations\.versions\.\w+"),  # Alembic
    re.compile(r"alphapulse\.agents\.library\.\w+"),  # every module of the folder is an agent, see registry.py
)
MODULE_NAME = re.compile(r"alphapulse(\.\w+)+")


def imported(source: Source, modules: set[str]) -> set[str]:
    """The modules that a file names: in an import, or as a whole string (lazily loaded commands and adapters)."""
    found: set[str] = set()
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=names):
                found.update(alias.name for alias in names)
            case ast.ImportFrom(module=str() as module, names=names):
                found.add(module)
                found.update(f"{module}.{alias.name}" for alias in names)
            case ast.Constant(value=str() as text) if MODULE_NAME.fullmatch(text.partition(":")[0]):
                found.add(text.partition(":")[0])
            case _:
                pass
    return found & modules


def entry_points() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["scripts"], *project["entry-points"].values()]
    return {target.partition(":")[0] for group in groups for target in group.values()}


def dead(sources: Iterable[Source]) -> list[str]:
    sources = list(sources)
    modules = {source.module for source in sources}
    alive = entry_points() | set(ENTRIES)
    for source in sources:
        alive |= {name for name in imported(source, modules) if name != source.module}
    alive |= {name for name in modules if any(one.fullmatch(name) for one in ENTRY_PATTERNS)}
    packages = {source.module for source in sources if source.path.endswith("/__init__.py")}
    for name in sorted(packages, reverse=True):  # a package lives when anything in it does
        if any(other.startswith(f"{name}.") for other in alive):
            alive.add(name)
    return sorted(modules - alive)


def test_every_module_is_imported_by_another() -> None:
    assert dead(package()) == []


def test_every_listed_entry_exists() -> None:
    assert set(ENTRIES) <= {source.module for source in package()}


def test_a_module_that_nothing_imports_is_found() -> None:
    one = snippet("from alphapulse.domain import money\n", "alphapulse/domain/orders.py")
    two = snippet("", "alphapulse/domain/money.py")
    lazy = snippet("TABLE = {'orders': 'alphapulse.domain.orders:place'}\n", "alphapulse/cli/main.py")
    assert dead([one, two]) == ["alphapulse.domain.orders"]
    assert dead([one, two, lazy]) == []
