"""SQL is written in store files and in the database's adapter, so that a slow query is found by its room."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from tests.house.sources import Source, docstrings, expect_none, package, snippet

STATEMENT = re.compile(
    r"\bSELECT\b[\s\S]+?\b(FROM|\()|\bINSERT\s+INTO\b|\bUPDATE\s+\w+\s+SET\b|\bDELETE\s+FROM\b|\b(CREATE|ALTER|DROP)\s+(TABLE|ROLE|"
    r"SCHEMA|DATABASE|FUNCTION|POLICY|INDEX)\b|\bset_config\s*\(|\bpg_notify\s*\(|^\s*(SELECT|LISTEN|NOTIFY)\s+\w"
)
HOMES = re.compile(r"alphapulse/(adapters/database/.*|.*store)\.py")


def strings(source: Source) -> Iterable[tuple[ast.expr, str]]:
    """Every string of the file that is no docstring; of an f-string its constant parts, joined."""
    skipped: set[ast.AST] = set(docstrings(source.tree))
    for node in ast.walk(source.tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part for part in node.values if isinstance(part, ast.Constant)]
            skipped.update(parts)
            yield node, " x ".join(str(part.value) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node, node.value


def stray_sql(sources: Iterable[Source]) -> list[str]:
    return [
        f"{source.at(node)} {' '.join(text.split())[:60]}"
        for source in sources
        if not HOMES.fullmatch(source.path)
        for node, text in strings(source)
        if STATEMENT.search(text)
    ]


def test_sql_stands_in_stores_and_in_the_database_adapter_only() -> None:
    expect_none(stray_sql(package()))


def test_a_statement_in_a_service_is_found_and_prose_is_not() -> None:
    text = (
        'def f(tx):\n    """SELECT nothing FROM here: a docstring."""\n'
        '    tx.run(f"DELETE FROM orders WHERE id = {x}")\n'
        '    tx.one("SELECT id FROM t")\n'
        '    print("Select one from below.")\n'
    )
    assert stray_sql([snippet(text, "alphapulse/trading/service.py")]) == [
        "alphapulse/trading/service.py:3 DELETE FROM orders WHERE id =",
        "alphapulse/trading/service.py:4 SELECT id FROM t",
    ]
    assert stray_sql([snippet(text, "alphapulse/trading/order_store.py")]) == []
