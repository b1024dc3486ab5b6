"""Candles from delimited text: any header of the known dialects, or Binance's header-less klines.

Arrow reads it; whatever Arrow does not like is read again cell by cell, which names the line and the column.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from alphapulse.errors import InvalidInput
from alphapulse.market.rows import VALUE_NAMES, Rows, check_size, find_columns, refuse, to_milliseconds
from alphapulse.quant.window import Floats, to_ms

#: Binance: open time, open, high, low, close, volume, close time, ...
KLINE_COLUMNS = {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_STAMP = re.compile(r"\d+(\.0*)?", re.ASCII)
_DELIMITERS = (",", ";", "\t")


def read_csv(content: bytes, file: str, base: str) -> Rows:
    """Raises InvalidInput naming file, line and column. base: base currency of the symbol."""
    check_size(max(content.count(b"\n"), content.count(b"\r")) - 1, file)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            f"{file}, line {line}: not UTF-8 text",
            field="file",
            fix="Import CSV, Parquet or Feather; unpack archives first.",
        ) from None
    layout = _Layout(text, file, base)
    fast = _read_fast(text, layout)
    times, values = fast if fast is not None else _read_carefully(layout)
    return Rows(file, times, values, layout.place, layout.names)


class _Layout:
    """Delimiter, columns and where the data begin."""

    def __init__(self, text: str, file: str, base: str) -> None:
        self.file = file
        self.text = text
        first = next((line for line in StringIO(text) if line.strip()), "")
        self.delimiter = max(_DELIMITERS, key=first.count)
        _, cells = next(self._read([first]), (1, []))
        self.width = len(cells)
        self.has_header = not (cells and (_STAMP.fullmatch(cells[0].strip()) or _is_time(cells[0])))
        if not self.has_header and self.width < len(KLINE_COLUMNS):
            raise InvalidInput(
                f"{file}, line 1: {self.width} cells, a candle needs {len(KLINE_COLUMNS)}",
                field="file",
                fix="Expected a header, or open time, open, high, low, close, volume.",
            )
        self.index = find_columns(cells, file, base) if self.has_header else KLINE_COLUMNS
        self.names = {
            name: f"{at + 1} ({cells[at].strip() if self.has_header else name})" for name, at in self.index.items()
        }

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of every row of data."""
        skip = self.has_header
        for line, cells in self._read(StringIO(self.text, newline="")):
            if not any(cell.strip() for cell in cells):
                continue
            if skip:
                skip = False
                continue
            yield line, cells

    def _read(self, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of every row. Raises InvalidInput for a cell that never ends, or is no text."""
        reader = csv.reader(lines, delimiter=self.delimiter)
        try:
            for cells in reader:
                yield reader.line_num, cells
        except csv.Error as error:
            raise InvalidInput(
                f"{self.file}, line {reader.line_num}: not a row of a CSV file ({error})",
                field="file",
                fix="Nothing was imported. Correct that line (a quotation mark without its pair?) and import it again.",
            ) from None

    def place(self, index: int) -> str:
        for position, (line, _) in enumerate(self.rows()):
            if position == index:
                return f"line {line}"
        return f"row {index + 1}"


def _read_fast(text: str, layout: _Layout) -> tuple[NDArray[np.int64], dict[str, Floats]] | None:
    """None when anything at all is odd."""
    first = next(layout.rows(), None)
    if first is None or len(first[1]) != layout.width:
        return None
    wanted = {f"f{at}": name for name, at in layout.index.items()}
    types = {column: pa.string() if name == "time" else pa.float64() for column, name in wanted.items()}
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(text.lstrip().encode()),
            read_options=arrow_csv.ReadOptions(
                skip_rows=int(layout.has_header), autogenerate_column_names=True, use_threads=False
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=layout.delimiter),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(wanted), column_types=types, null_values=[], strings_can_be_null=False
            ),
        )
        times = _read_times(table.column(f"f{layout.index['time']}"))
    except (pa.ArrowException, KeyError):
        return None
    if times is None:
        return None
    values = {name: table.column(f"f{layout.index[name]}").to_numpy() for name in VALUE_NAMES}
    return times, values


def _read_times(column: pa.ChunkedArray) -> NDArray[np.int64] | None:
    """Stamps as milliseconds; None when a stamp is neither a number nor an ISO time, or is no whole millisecond."""
    for kind in (pa.int64(), pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            cast_column = pc.cast(column, kind)
        except pa.ArrowInvalid:
            continue
        stamps = cast("NDArray[np.int64]", pc.cast(cast_column, pa.int64()).to_numpy())
        if kind == pa.int64():
            times, bad = to_milliseconds(stamps)
        else:
            times, bad = stamps // 1000, stamps % 1000 != 0
        return None if bad.any() else times
    return None


def _read_carefully(layout: _Layout) -> tuple[NDArray[np.int64], dict[str, Floats]]:
    # Arrays: a list of numbers takes five times the memory.
    times = array("q")
    values = {name: array("d") for name in VALUE_NAMES}
    for line, cells in layout.rows():
        if len(cells) != layout.width:
            raise InvalidInput(
                f"{layout.file}, line {line}: {len(cells)} cells, expected {layout.width}",
                field="file",
                fix="Nothing was imported. Correct that line and import the file again.",
            )
        times.append(_parse_stamp(cells[layout.index["time"]].strip(), line, layout))
        for name, column in values.items():
            cell = cells[layout.index[name]].strip()
            if not _NUMBER.fullmatch(cell):
                refuse(layout.file, f"line {line}", layout.names[name], f"{cell[:40]!r} is not a number")
            column.append(float(cell))
    return np.array(times, dtype=np.int64), {
        name: np.array(column, dtype=np.float64) for name, column in values.items()
    }


def _parse_stamp(cell: str, line: int, layout: _Layout) -> int:
    if _STAMP.fullmatch(cell) and len(cell) < 19:
        stamps, bad = to_milliseconds(np.array([int(cell.partition(".")[0])], dtype=np.int64))
        if not bad[0]:
            return int(stamps[0])
    elif _is_time(cell):
        at = datetime.fromisoformat(cell)
        return to_ms(at.replace(tzinfo=UTC) if at.tzinfo is None else at)
    return refuse(layout.file, f"line {line}", layout.names["time"], f"{cell[:40]!r} is not a time")


def _is_time(cell: str) -> bool:
    try:
        datetime.fromisoformat(cell.strip())
    except ValueError:
        return False
    return True
