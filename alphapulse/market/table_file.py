"""Candles from Parquet and Feather (Arrow) files."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import feather

from alphapulse.errors import InvalidInput
from alphapulse.market.rows import VALUE_NAMES, Rows, find_columns, refuse, to_milliseconds

PARQUET_MAGIC = b"PAR1"
FEATHER_MAGIC = (b"ARROW1", b"FEA1")


def read_table(content: bytes, file: str, base: str) -> Rows:
    """Raises InvalidInput naming file, row (from 1) and column. base: base currency of the symbol."""
    try:
        source = pa.BufferReader(content)
        table = pq.ParquetFile(source).read() if content.startswith(PARQUET_MAGIC) else feather.read_table(source)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"{file} is damaged: {str(error).splitlines()[0][:200]}",
            field="file",
            fix="Nothing was imported. Fetch or write the file anew.",
        ) from error
    index = find_columns(table.column_names, file, base)
    names = {name: f"{at + 1} ({table.column_names[at]})" for name, at in index.items()}
    for name, at in index.items():
        column = table.column(at)
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            refuse(file, _place(row), names[name], "the cell is empty")
    times = _times(table.column(index["time"]), file, names["time"])
    values = {name: _floats(table.column(index[name]), file, names[name]) for name in VALUE_NAMES}
    return Rows(file, times, values, _place, names)


def _place(row: int) -> str:
    return f"row {row + 1}"


def _times(column: pa.ChunkedArray, file: str, name: str) -> NDArray[np.int64]:
    kind = column.type
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            column = pc.cast(column, pa.timestamp("us"))
        if pa.types.is_date(column.type):
            column = pc.cast(column, pa.timestamp("ms"))
        if pa.types.is_timestamp(column.type):
            stamps = pc.cast(pc.cast(column, pa.timestamp("us", column.type.tz), safe=False), pa.int64())
            micros = cast("NDArray[np.int64]", stamps.to_numpy())
            times, bad = micros // 1000, micros % 1000 != 0
        else:
            times, bad = to_milliseconds(cast("NDArray[np.int64]", pc.cast(column, pa.int64()).to_numpy()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        refuse(file, "every row", name, f"{kind} cannot be read as a time")
    if bad.any():
        refuse(file, _place(int(np.argmax(bad))), name, "the time is no whole number of milliseconds")
    return times


def _floats(column: pa.ChunkedArray, file: str, name: str) -> NDArray[np.float64]:
    try:
        return pc.cast(column, pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        refuse(file, "every row", name, f"{column.type} cannot be read as numbers")
