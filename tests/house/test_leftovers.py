"""Nothing is left for later: no stub, no note to oneself, no skipped test without a reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from tests.house.sources import Source, dotted, everything, expect_none, functions, package, snippet

#: Spelled in halves, so that this file does not find itself.
NOTE = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")


#: Adapters that need nothing may do nothing.
NEEDS_NOTHING = "/none.py"


def notes(sources: Iterable[Source]) -> list[str]:
    return [
        f"{source.path}:{number} {line.strip()[:60]}"
        for source in sources
        for number, line in enumerate(source.text.splitlines(), 1)
        if NOTE.search(line)
    ]


def protocols(tree: ast.Module) -> set[ast.AST]:
    """The functions whose body may be empty: methods of a Protocol, overloads, abstract methods."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.dump(one) for one in node.bases):
            found.update(ast.walk(node))
    found.update(
        node
        for node in functions(tree)
        if any(dotted(one).endswith(("overload", "abstractmethod")) for one in node.decorator_list)
    )
    return found


def is_empty(body: list[ast.stmt]) -> bool:
    """Nothing but ``pass``, ``...`` or ``raise NotImplementedError``.

    A docstring alone is no stub: it says why there is nothing to do.
    """

    def says_nothing(statement: ast.stmt) -> bool:
        match statement:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return True
            case ast.Raise(exc=ast.Call(func=raised)) | ast.Raise(exc=raised) if raised:
                return dotted(raised) == "NotImplementedError"
            case _:
                return False

    documented = (
        isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and body[0].value.value is not ...
    )
    return not (documented and len(body) == 1) and all(map(says_nothing, body))


def stubs(sources: Iterable[Source]) -> list[str]:
    return [
        f"{source.at(node)} {node.name}"
        for source in sources
        for allowed in (protocols(source.tree),)
        for node in functions(source.tree)
        if node not in allowed and is_empty(node.body) and not source.path.endswith(NEEDS_NOTHING)
    ]


def test_no_file_holds_a_note_to_oneself() -> None:
    expect_none(notes(everything()))


def test_no_function_is_a_stub() -> None:
    expect_none(stubs(package()))


def test_a_stub_and_a_note_are_found_and_a_protocol_is_not() -> None:
    text = (
        "class Port(Protocol):\n    def ask(self) -> int: ...\n"
        'def a():\n    """Later."""\n    raise NotImplementedError\n'
        "async def b():\n    pass\n"
        'def c():\n    """Nothing to show where nobody watches."""\n'
    )
    note = "# TO" + "DO: more"
    assert stubs([snippet(text)]) == ["alphapulse/domain/snippet.py:3 a", "alphapulse/domain/snippet.py:6 b"]
    assert notes([snippet(f"x = 1\n{note}\n")]) == [f"alphapulse/domain/snippet.py:2 {note}"]
