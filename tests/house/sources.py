"""The package's files, read and parsed once, for the tests that look at how the house is built."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "alphapulse"


@dataclass(frozen=True)
class Source:
    """One Python file. path: relative to the repository, with forward slashes. text: as it stands."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        """Dotted name, for example ``alphapulse.domain.orders``; a package's is that of its ``__init__``."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    def at(self, node: ast.stmt | ast.expr | ast.excepthandler | ast.arg) -> str:
        return f"{self.path}:{node.lineno}"


def snippet(text: str, path: str = "alphapulse/domain/snippet.py") -> Source:
    """A made-up file, for showing that a check can fail."""
    return Source(path, text)


@cache
def read(folder: str) -> tuple[Source, ...]:
    """Every Python file below a folder of the repository, in order of path."""
    return tuple(
        Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "__pycache__" not in path.parts
    )


def package() -> tuple[Source, ...]:
    return read("alphapulse")


def everything() -> tuple[Source, ...]:
    return (*read("alphapulse"), *read("tests"), *read("docs"))


def docstrings(tree: ast.Module) -> set[ast.expr]:
    """The expressions that are docstrings, of the module, its classes and its functions."""
    found: set[ast.expr] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            found.add(first.value)
    return found


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of a chain of attributes, or empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            before = dotted(value)
            return f"{before}.{attribute}" if before else ""
        case _:
            return ""


def expect_none(found: list[str]) -> None:
    """Fails with one line per finding."""
    assert not found, f"{len(found)} found:\n" + "\n".join(found)
