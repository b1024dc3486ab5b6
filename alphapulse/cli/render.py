"""What a command says: data on stdout in the asked form, everything else on stderr, and the exit code.

Tables are for people: with colour and fitted to the width where stdout is a terminal, plain and whole where it is
not. ``json`` is the API's own JSON, ``jsonl`` one item per line, ``csv`` every field with nested keys joined by dots.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TextIO, TypeVar, cast

from alphapulse import errors
from alphapulse.domain import wire
from alphapulse.errors import AlphaPulseError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

T = TypeVar("T")
#: As money and quantities are written; a dash for what is missing.
_NUMBER = re.compile(r"[+-]?[\d,]+(\.\d+)?|-")

#: Looked up along the MRO. 0 done, 2 usage, 70 our bug, 130 interrupted; architecture.md has the whole table.
EXIT_CODE: dict[type[BaseException], int] = {
    errors.Refused: 1,
    errors.UnknownOutcome: 1,
    errors.Misconfigured: 1,
    errors.StorageFull: 1,
    errors.InvalidInput: 2,
    errors.DriftFound: 3,
    errors.Unauthenticated: 4,
    errors.NotFound: 5,
    errors.Forbidden: 6,
    errors.Conflict: 7,
    errors.InputNeeded: 8,
    errors.TryAgain: 9,
    errors.Defect: 70,
    KeyboardInterrupt: 130,
}
USAGE, OUR_BUG, INTERRUPTED = 2, 70, 130


def exit_code(error: BaseException) -> int:
    """What is not in the tree at all is our bug."""
    return next((EXIT_CODE[kind] for kind in type(error).__mro__ if kind in EXIT_CODE), OUR_BUG)


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True)  # no slots: with them, Python 3.11 cannot build Column[Order](...)
class Column(Generic[T]):
    """style: of rich, by value; empty for none."""

    heading: str
    text: Callable[[T], str]
    right: bool = False
    style: Callable[[T], str] | str = ""


class Output:
    """quiet: ids or names only, one a line, and no notes."""

    def __init__(self, form: Format = Format.TABLE, *, quiet: bool = False) -> None:
        self.form = form
        self.quiet = quiet

    @property
    def for_people(self) -> bool:
        return self.form is Format.TABLE and not self.quiet

    @property
    def on_terminal(self) -> bool:
        return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    def console(self, *, stderr: bool = False) -> Console:
        """Rich, without colour where NO_COLOR says so or where no terminal is; 120 columns wide where none is."""
        from rich.console import Console

        stream = sys.stderr if stderr else sys.stdout
        if stream.isatty():
            return Console(file=stream, highlight=False, soft_wrap=False)
        from alphapulse.cli.trimmed import Trimmed

        return Console(file=cast("TextIO", Trimmed(stream)), highlight=False, soft_wrap=False, width=120)

    def rows(
        self,
        items: Iterable[T],
        columns: Sequence[Column[T]],
        *,
        key: Callable[[T], str],
        following: str | None = None,
        empty: str = "Nothing yet.",
    ) -> None:
        """A list. key: what --quiet prints of each. following: cursor for the rest. empty: said instead of no rows."""
        listed = list(items)
        if self.quiet:
            _lines(key(item) for item in listed)
        elif self.form is Format.JSON:
            self.json({"items": listed, "next": following})
        elif self.form is not Format.TABLE:
            self._machine_rows(listed)
        elif not listed:
            self.note(empty)
        elif self.on_terminal:
            self._rich_table(listed, columns)
        else:
            _lines(_aligned(listed, columns))
        if following is not None and self.for_people:
            self.note(f"There is more: --before {following}")

    def record(self, value: Any, pairs: Sequence[tuple[str, str]], *, key: str) -> None:
        """One thing. pairs: what people see of it, heading and text. key: what --quiet prints."""
        if self.quiet:
            _lines([key])
        elif self.form is Format.JSON:
            self.json(value)
        elif self.form is not Format.TABLE:
            self._machine_rows([value])
        else:
            width = max((len(heading) for heading, _ in pairs), default=0)
            dim, plain = ("\x1b[2m", "\x1b[0m") if self.colours else ("", "")
            _lines(f"{dim}{heading:<{width}}{plain}  {clean(text)}" for heading, text in pairs)

    @property
    def colours(self) -> bool:
        return self.on_terminal and not os.environ.get("NO_COLOR")

    def json(self, value: Any) -> None:
        _lines([json.dumps(wire.encode(value), indent=2, ensure_ascii=False)])

    def json_line(self, value: Any) -> None:
        say(json.dumps(wire.encode(value), ensure_ascii=False))
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Something for people, on stderr, so that stdout stays data."""
        if not self.quiet and self.form is Format.TABLE:
            warn(text)

    def _machine_rows(self, items: Sequence[Any]) -> None:
        encoded = [wire.encode(item) for item in items]
        if self.form is Format.JSONL:
            _lines(json.dumps(item, ensure_ascii=False) for item in encoded)
            return
        import csv

        flat = [_flat(item) for item in encoded]
        names = list(dict.fromkeys(name for row in flat for name in row))
        writer = csv.writer(sys.stdout, lineterminator="\n")
        if names:
            writer.writerow(names)
        writer.writerows([[row.get(name, "") for name in names] for row in flat])

    def _rich_table(self, items: Sequence[T], columns: Sequence[Column[T]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
        heads, *rows = _padded(items, columns)
        for head in heads:
            table.add_column(head, overflow="fold")
        for item, cells in zip(items, rows, strict=True):
            table.add_row(
                *(
                    Text(cell, style=column.style if isinstance(column.style, str) else column.style(item))
                    for cell, column in zip(cells, columns, strict=True)
                )
            )
        self.console().print(table)


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)


def say(line: str = "") -> None:
    """A line of data."""
    sys.stdout.write(f"{line}\n")


def warn(line: str) -> None:
    """A line that is not data."""
    sys.stderr.write(f"{line}\n")


def clean(text: str) -> str:
    """Without control characters: what somebody wrote into a name or a reason must not steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def _aligned(items: Sequence[T], columns: Sequence[Column[T]]) -> Iterable[str]:
    for row in _padded(items, columns):
        yield "  ".join(row).rstrip()


def _padded(items: Sequence[T], columns: Sequence[Column[T]]) -> list[tuple[str, ...]]:
    """The headings and every row, each cell as wide as its column; numbers stand with their points in line."""
    padded: list[list[str]] = []
    for column in columns:
        cells = [clean(column.text(item)) for item in items]
        if column.right:
            cells = _on_the_point(cells)
        width = max(len(cell) for cell in (column.heading, *cells))
        padded.append([cell.rjust(width) if column.right else cell.ljust(width) for cell in (column.heading, *cells)])
    return list(zip(*padded, strict=True))


def _on_the_point(cells: Sequence[str]) -> list[str]:
    """Filled up at the right so that decimal points meet; as they are unless all are numbers or missing."""
    if not all(_NUMBER.fullmatch(cell) for cell in cells):
        return list(cells)
    tails = [len(cell) - cell.find(".") if "." in cell else 0 for cell in cells]
    return [cell + " " * (max(tails) - tail) for cell, tail in zip(cells, tails, strict=True)]


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested objects as dotted names; arrays as JSON, since their length is no column's."""
    if not isinstance(value, Mapping):
        return {prefix or "value": _cell(value)}
    row: dict[str, str] = {}
    for name, item in cast("Mapping[str, Any]", value).items():
        path = f"{prefix}.{name}" if prefix else name
        row |= _flat(item, path) if isinstance(item, Mapping) else {path: _cell(item)}
    return row


def _cell(value: Any) -> str:
    """A spreadsheet runs a cell that starts like a formula: such text is led by an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, str):
        risky = value[:1] in {"=", "@", "\t", "\r"} or (value[:1] in {"+", "-"} and not _is_number(value))
        return f"'{value}" if risky else value
    return json.dumps(value, ensure_ascii=False)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def show_failure(error: BaseException, *, as_json: bool, trace: Path | None = None) -> int:
    """One line on stderr, what to do, and the exit code; with --json one object. trace: file with a bug's trace."""
    code = exit_code(error)
    known = error if isinstance(error, AlphaPulseError) else None
    message = known.message if known else f"{type(error).__name__}: {error}"
    fix = known.fix if known else ""
    if code == OUR_BUG:
        fix = f"{fix} {_REPORT}".strip() + (f" and with {trace}." if trace else ".")
    if as_json:
        shown: dict[str, Any] = {
            "code": known.code if known else "defect",
            "message": message,
            "fix": fix,
            "retryable": known.retryable if known else False,
            "request_id": known.request_id if known else "",
        }
        if isinstance(error, errors.InvalidInput):
            shown["field"] = error.field
        if isinstance(error, errors.LimitBreached):
            shown["denials"] = list(error.denials)
        warn(json.dumps({"error": shown}, ensure_ascii=False))
        return code
    red, dim, plain = _marks()
    warn(f"{red}error:{plain} {clean(message)}")
    for denial in error.denials if isinstance(error, errors.LimitBreached) else ():
        warn(f"  {clean(denial)}")
    if fix:
        warn(f"{dim}fix:{plain} {fix}")
    if known and known.request_id and code in {OUR_BUG, 9}:
        warn(f"{dim}request:{plain} {known.request_id}")
    return code


_REPORT = "This is a bug of ours: please report it with the command that you ran"


def _marks() -> tuple[str, str, str]:
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return ("\x1b[31m", "\x1b[2m", "\x1b[0m") if coloured else ("", "", "")
